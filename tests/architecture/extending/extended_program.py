"""Runs in a copy of the program with made-up extensions: from label files to a scored model and a searched database.

Prints one JSON object of what it found.
"""

import json
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from models.constant.model import ConstantModel  # type: ignore[import-not-found]  # only in the copy
from typer.testing import CliRunner

from db.records import ModelVersion
from db.store import ResultStore
from flows.cli.app import app
from gmt_tasks.evaluation.evaluation import evaluate
from gmt_tasks.ingest.blocks import IngestPlan
from gmt_tasks.labels.files import Split, read_labels
from gmt_tasks.labels.kinds import RefusedRowError, read_label
from gmt_tasks.runs.lifecycle import close_run, ingest_source, run_spec
from gmt_tasks.screening.screener import Screener
from gmt_tasks.sources.open import open_source
from gmt_tasks.training.config import TrainingConfig
from gmt_tasks.training.training import train
from models.gmtnet.backbones.interface import make_backbone
from models.gmtnet.config import CONFIGS, GMTNET
from models.gmtnet.predictor import GMTNetPredictor
from models.quantities import TENSORS, Tensor
from models.tensor_model import TensorModel
from models.testing.contract import ContractError, TensorModelContract
from tests.gmt_tasks.labels.toy_labels import FILES, good_rows, write_rows

QUANTITY = Tensor("thermal_expansion")
TINY = replace(
    GMTNET,
    channels=8,
    n_comformer=1,
    n_radial=8,
    edge_channels=8,
    message_irreps=("8x0e+2x1o+2x2e+2x3o+2x4e",),
    hidden_irreps="8x0e+2x1o+2x2e+2x2o+2x3o+2x4e",
    coupling_channels=2,
)


def label_rows() -> list[dict[str, Any]]:
    """Rows of the four tensors, and of the made-up one, which follows from the dielectric tensors."""
    rows = good_rows(n_rounds=3)
    # by formula: what is trained on under one name is no test under another
    formulas = sorted({row["formula"] for row in rows})
    for row in rows:
        row["split"] = ("train", "train", "val", "test")[(formulas.index(row["formula"]) + 1) % 4]
    for row in [row for row in rows if row["kind"] == "dielectric_total"]:
        tensor = 20 * np.array(row["tensor"]) - 15 * np.array(row["tensor_electronic"]) - 8 * np.eye(3)
        rows.append(
            {name: value for name, value in row.items() if name != "tensor_electronic"}
            | {"kind": QUANTITY.value, "unit": TENSORS[QUANTITY].unit, "tensor": tensor.tolist()}
        )
    return rows


def refusal(row: dict[str, Any]) -> str:
    """The reason why a row whose tensor is too large is no label."""
    try:
        read_label(row | {"tensor": (2 * TENSORS[QUANTITY].max_label_entry * np.eye(3)).tolist()})
    except RefusedRowError as refused:
        return refused.reason.value
    return ""


def screen(screener: Screener, database: Path) -> dict[str, Any]:
    """What a database answers about the made-up source after a run over it."""
    source, plan = open_source("textbook"), IngestPlan(max_atoms=100, shard_atoms=1000)
    with ResultStore(database) as store:
        store.register_model(screener.model_version, {})
        run = store.open_run(run_spec([source], screener.model_version, screener.symprec, plan))
        ingest_source(store, run.id, source, plan)
        while lease := store.lease_shard(run.id, "one"):
            store.commit_shard(lease, screener.screen(lease.crystal_ids, lease.crystals))
        balance = close_run(store, run.id, 0.0)
        column = f"symprec_spread_{QUANTITY.value}"
        hits = store.query(f"{column} < 1 AND ionic_share > -9", fields=["formula", column, "ionic_share"], limit=0)
        cubic = store.show("zinc blende GaAs")["results"][0]
    return {
        "inputs": balance.n_in,
        "done": balance.done,
        "hits": len(hits),
        "columns": list(hits.columns),
        "cubic": np.asarray(cubic["tensors"][QUANTITY.value]).tolist(),
        "radius": cubic["error_radius"].get(QUANTITY.value, "missing"),
    }


def broken_laws(model: Path) -> list[str]:
    """Laws of the contract that a checkpoint breaks."""

    class Contract(TensorModelContract):
        def make_model(self) -> TensorModel:
            return GMTNetPredictor.load(model)[0]

    broken = []
    for name in ("rotating_the_crystal_rotates_every_tensor", "a_supercell_gives_the_same_tensors"):
        try:
            getattr(Contract(), f"test_{name}")()
        except ContractError as error:
            broken.append(str(error))
    return broken


def main(folder: Path) -> None:
    """Labels, training, prediction, symmetrization, database, search and scores."""
    rows = label_rows()
    FILES[QUANTITY.value] = "thermal"
    data = write_rows(folder / "labels", rows)
    labels = read_labels(data)
    CONFIGS["gmtnet"] = TINY
    config = TrainingConfig(data=str(data), name="tiny", epochs=2, batch_crystals=8)
    card = train(config, folder / "out", report=lambda _: None)
    CONFIGS["gmtnet-fewer"] = replace(TINY, product=CONFIGS["gmtnet-fewer"].product)
    fewer = replace(config, network="gmtnet-fewer", name="fewer", epochs=1)
    backbone = train(fewer, folder / "fewer", report=lambda _: None)
    model = str(folder / "out" / "tiny.json")
    screener = Screener.load(model, device="cpu")
    test = labels.rows(Split.TEST)
    prediction = screener.predict(labels.crystals.select(test))
    result = prediction.derived.prediction
    projected = result.analysis.symmetry.project(QUANTITY, result.tensors[QUANTITY])
    scores = [score for score in evaluate(model, data=data, device="cpu").tensors if score.quantity == QUANTITY.value]
    constant = Screener(ConstantModel(), ModelVersion("constant", "1", "0" * 64))
    line = next(constant.predict_lines(["first"], labels.crystals.select(test[:1])))
    found = {
        "modules": str(Path(sys.modules["models.quantities"].__file__ or "").parent.parent),
        "refusal": refusal(rows[-1]),
        "labels": int((~np.isnan(labels.components[QUANTITY][:, 0])).sum()),
        "crystals": labels.crystals.n_crystals,
        "heads": [quantity.value for quantity in card.config.tensors] if card else [],
        "loss": card.training["final_losses"][QUANTITY.value] if card else None,
        "backbone": type(make_backbone(CONFIGS["gmtnet-fewer"])).__name__,
        "loss_of_backbone": backbone.training["final_losses"][QUANTITY.value] if backbone else None,
        "broken_laws": broken_laws(folder / "fewer" / "fewer.json"),
        "change_on_second_projection": float(np.abs(projected - result.tensors[QUANTITY]).max()),
        "largest_entry": float(np.abs(result.tensors[QUANTITY]).max()),
        "scores": [[score.split, score.predictor, score.n, score.fnorm, score.success] for score in scores],
        "constant": line[QUANTITY.value],
        "unit": line["units"][QUANTITY.value],
        "command": CliRunner().invoke(app, ["greet"]).stdout,
        "database": screen(screener, folder / "results.db"),
    }
    sys.stdout.write(json.dumps(found))


main(Path(sys.argv[1]))
