"""A network of beam nets from a table of crystals: training, errors on kept-out nets, weights with card."""

from datetime import UTC, datetime
from pathlib import Path

import numpy as np

from gmt_tasks.training.beam_lattice.data import Part, labelled_nets
from gmt_tasks.training.beam_lattice.errors import bound_errors, net_errors
from gmt_tasks.training.beam_lattice.loop import LatticeLoop, LatticeTraining, Report, plain_config
from models.gmtnet.beam_lattice.predictor import LatticeCard, save_lattice_predictor
from models.wyckoff.generator import count_parameters, one_thread

NAME, VERSION = "beam-lattice", "0.2.0"
CANDIDATES = "candidates.parquet"


def train_lattice(config: LatticeTraining, folder: Path, out: Path, report: Report) -> LatticeCard:
    """Trains a network of nets, or goes on training it, and writes weights and card.

    Args:
        config: of the run.
        folder: of the table of crystals whose bonds become nets.
        out: folder of the run; a run of the same configuration is resumed.
        report: receives one line per event.

    Raises:
        ModelError: the folder holds another run.
    """
    with one_thread():
        data = labelled_nets(folder / CANDIDATES, config.choice)
        loop = LatticeLoop(config, data[Part.TRAIN], out, report)
        counts = ", ".join(f"{d.nets.n_nets:,} {part} of {d.n_topologies:,} topologies" for part, d in data.items())
        report(f"nets: {counts}; {count_parameters(loop.network):,} weights, seed {config.seed}")
        while loop.epoch < config.epochs:
            loop.run_epoch(data[Part.VAL])
        network = loop.best_network()
        predictor = loop.predictor(network)
        metrics = {
            part.value: {"network": net_errors(data[part], predictor), **bound_errors(data[part])}
            for part in (Part.VAL, Part.TEST, Part.LARGER)
        }
    training = {
        "data": CANDIDATES,
        "labels": "homogenized by models/beam_lattice/homogenize.py, rigid joints, Poisson's ratio 0.3",
        "nets": {part.value: {"nets": d.nets.n_nets, "topologies": d.n_topologies} for part, d in data.items()},
        "split": "by hash of the coordination sequences: 80 % of topologies train, 10 % val, 10 % test",
        "weights": count_parameters(network),
        "config": plain_config(config),
        "best_epoch": int(np.argmin([entry["val"] for entry in loop.curve])) + 1,
        "processor_seconds": round(sum(entry["seconds"] for entry in loop.curve)),
        "finished": datetime.now(UTC).isoformat(timespec="seconds"),
    }
    card = save_lattice_predictor(network, LatticeCard(NAME, VERSION, "", config.network, training, metrics), out)
    for part, errors in metrics.items():
        shown = ", ".join(f"{name} {100 * one['nrmse']:.2f} %" for name, one in errors.items())
        report(f"{part}: NRMSE {shown}")
    return card
