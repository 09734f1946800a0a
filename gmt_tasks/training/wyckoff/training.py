"""A generator from a table of crystals: training, likelihoods beside counted baselines, weights with card."""

from collections.abc import Callable
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path

import numpy as np

from gmt_tasks.training.wyckoff.baselines import CountedBaseline
from gmt_tasks.training.wyckoff.data import MOST_ORBITS, MOST_SLOTS, Part, real_crystals
from gmt_tasks.training.wyckoff.loop import WyckoffLoop, WyckoffTraining, mean_by_kind
from models.wyckoff.generator import GeneratorCard, count_parameters, known_file, save_generator
from models.wyckoff.known import save_known
from models.wyckoff.sequences import sequences_of

NAME, VERSION = "wyckoff", "0.1.0"
CANDIDATES = "candidates.parquet"

Report = Callable[[str], None]


def train_generator(config: WyckoffTraining, folder: Path, out: Path, report: Report) -> GeneratorCard:
    """Trains a generator, or goes on training it, and writes weights, card and the table of known crystals.

    Args:
        config: of the run.
        folder: of the data: files of labels, whose val and test formulas are left out, and a table of candidates.
        out: folder of the run; a run of the same configuration is resumed.
        report: receives one line per event.

    Raises:
        ModelError: the folder holds another run.
    """
    real = real_crystals(folder, CANDIDATES)
    data = sequences_of(real.crystals)
    is_small = (data.lengths <= MOST_SLOTS) & (real.crystals.orbits_per_crystal <= MOST_ORBITS)
    rows = {part: np.intersect1d(real.rows(part), np.flatnonzero(is_small)) for part in Part}
    loop = WyckoffLoop(config, out, report)
    counts = ", ".join(f"{len(rows[part]):,} {part}" for part in Part)
    report(f"{counts}; {count_parameters(loop.network):,} weights, seed {config.seed}")
    while loop.epoch < config.epochs:
        loop.run_epoch(data, rows[Part.TRAIN], rows[Part.VAL])
    network = loop.best()
    report("likelihoods of held-out crystals, and of baselines that count")
    metrics: dict[str, dict[str, dict[str, float]]] = {}
    baselines = {
        "unigram": CountedBaseline.of(data, rows[Part.TRAIN], 1),
        "bigram": CountedBaseline.of(data, rows[Part.TRAIN], 3),
    }
    for part in (Part.VAL, Part.TEST):
        metrics[part.value] = {"network": mean_by_kind(network, data, rows[part])}
        for name, baseline in baselines.items():
            metrics[part.value][name] = baseline.mean_by_kind(data, rows[part])
    training = {
        "data": CANDIDATES,
        "sources": "all but wbm, perov_5, carbon_24",
        "crystals": {part.value: len(rows[part]) for part in Part},
        "split": "train and val by hash of the reduced formula (5 % val), test: val and test formulas of all labels",
        "weights": count_parameters(network),
        "config": asdict(config),
        "best_epoch": int(np.argmin([entry["val"] for entry in loop.curve])) + 1,
        "finished": datetime.now(UTC).isoformat(timespec="seconds"),
    }
    card = save_generator(network, GeneratorCard(NAME, VERSION, "", config.network, training, metrics), out)
    save_known(real.crystals.select(real.rows(Part.TRAIN)), known_file(out / f"{NAME}.json"))
    for name_of_part, of_models in metrics.items():
        sums = ", ".join(f"{name} {sum(kinds.values()):.2f}" for name, kinds in of_models.items())
        report(f"{name_of_part}: {sums} nats per crystal")
    return card
