"""Training: it learns, it resumes, it says what is wrong with a configuration."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from gmt_tasks.labels import LabelledCrystals, Split, read_labels
from gmt_tasks.training import TrainingConfig, join_graphs, make_network, make_targets, train, typical_norms
from models.crystal import CrystalBatch, Ints
from models.errors import ModelError, SourceError
from models.gmtnet.card import find_checkpoint
from models.gmtnet.config import CONFIGS, GMTNET
from models.gmtnet.loss import multi_task_loss
from models.gmtnet.network import GMTNet, TorchGraph, build_network
from models.gmtnet.predictor import GMTNetPredictor
from models.graph import GraphSpec, build_graph
from models.quantities import Tensor
from models.symmetry import find_symmetry
from models.testing import ToyTensorModel, textbook_crystals

SMALL = replace(
    GMTNET,
    channels=16,
    n_comformer=1,
    n_radial=12,
    edge_channels=16,
    message_irreps=("8x0e+4x1o+4x2e+2x3o+2x4e",),
    hidden_irreps="8x0e+4x1o+4x2e+4x2o+2x3o+2x4e",
    coupling_channels=4,
)
SILENT: list[str] = []


@pytest.fixture(autouse=True)
def small_network(monkeypatch: pytest.MonkeyPatch) -> None:
    """The same kinds of layers, few channels."""
    monkeypatch.setitem(CONFIGS, "gmtnet", SMALL)


def write_labels(folder: Path) -> Path:
    """Labels that the toy model makes for the textbook crystals and slightly strained copies, in three files."""
    folder.mkdir()
    rng = np.random.default_rng(0)
    books = textbook_crystals().crystals
    factors = rng.uniform(0.96, 1.05, size=3)
    batch = CrystalBatch.join(replace(books, lattice=books.lattice * factor) for factor in factors)
    symmetry = find_symmetry(batch)
    tensors = {q: symmetry.project(q, t) for q, t in ToyTensorModel().predict(batch).items()}
    rows: dict[str, list[str]] = {"dielectric.jsonl": [], "piezoelectric.jsonl": [], "elastic.jsonl": []}
    for k in range(batch.n_crystals):
        one = batch.select([k])
        split = "val" if k % 10 == 3 else "test" if k % 10 == 6 else "train"
        shape = {"lattice": one.lattice[0].tolist(), "frac_coords": one.frac_coords.tolist()}
        row = {"id": f"toy-{k}", "species": one.numbers.tolist(), "split": split} | shape
        found = {q: t[k].tolist() for q, t in tensors.items()}
        both = {"tensor": found[Tensor.DIELECTRIC_TOTAL], "tensor_electronic": found[Tensor.DIELECTRIC_ELECTRONIC]}
        rows["dielectric.jsonl"].append(json.dumps(row | {"kind": "dielectric_total"} | both))
        if symmetry.piezo_allowed[k]:
            facts = {"kind": "piezo_e_total", "frame": "ieee_pymatgen", "point_group": symmetry.point_group[k]}
            rows["piezoelectric.jsonl"].append(json.dumps(row | facts | {"tensor": found[Tensor.PIEZOELECTRIC]}))
        if k % 2:
            rows["elastic.jsonl"].append(
                json.dumps(row | {"kind": "elastic_stiffness", "tensor_voigt": found[Tensor.ELASTIC]})
            )
        else:
            rows["elastic.jsonl"].append(json.dumps(row | {"kind": "moduli_vrh", "K_vrh": 90.0 + k, "G_vrh": 40.0 + k}))
    for name, lines in rows.items():
        (folder / name).write_text("\n".join(lines) + "\n", encoding="utf-8")
    return folder


@pytest.fixture
def config(tmp_path: Path) -> TrainingConfig:
    return TrainingConfig(
        data=str(write_labels(tmp_path / "data")),
        name="tiny",
        epochs=3,
        batch_crystals=6,
        piezo_repeat=2,
        average=0.8,
        learning_rate=5e-3,
    )


def total_loss(network: GMTNet, data: LabelledCrystals, rows: Ints) -> float:
    """Sum of the losses of all kinds over the given crystals."""
    batch = data.crystals.select(rows)
    with torch.no_grad():
        predicted = network.eval()(
            TorchGraph.from_graph(build_graph(batch, network.config.graph), "cpu", torch.float32)
        )
    return float(sum(multi_task_loss(predicted, make_targets(data, rows), typical_norms(data, rows)).values()))


def weights(folder: Path) -> dict[str, torch.Tensor]:
    return load_file(folder / "tiny.safetensors")


def test_training_lowers_the_loss_and_leaves_a_model_that_predicts(config: TrainingConfig, tmp_path: Path) -> None:
    config = replace(config, epochs=8)
    lines: list[str] = []
    card = train(config, tmp_path / "run", report=lines.append)
    data = read_labels(Path(config.data))
    rows = data.rows(Split.TRAIN)
    before = total_loss(make_network(SMALL, data, rows, config.seed), data, rows)
    model, _ = GMTNetPredictor.load(find_checkpoint(str(tmp_path / "run" / "tiny.json")))
    after = total_loss(model.network, data, rows)
    assert after < 0.7 * before
    assert card is not None
    assert set(card.elements) == set(data.crystals.select(rows).numbers.tolist())
    assert (card.name, card.training["epochs"], card.training["n_crystals"]) == ("tiny", 8, 24)
    assert card.training["data"] == "data"  # no path of the machine it was trained on
    assert len([line for line in lines if line.startswith("epoch")]) == 8
    tensors = model.predict(data.crystals)
    assert all(np.isfinite(t).all() for t in tensors.values())


def test_a_resumed_run_gives_the_weights_of_an_uninterrupted_one(config: TrainingConfig, tmp_path: Path) -> None:
    train(config, tmp_path / "whole", report=SILENT.append)
    assert train(config, tmp_path / "parts", report=SILENT.append, stop_after_epoch=1) is None
    assert not (tmp_path / "parts" / "tiny.safetensors").exists()
    train(config, tmp_path / "parts", report=SILENT.append, stop_after_epoch=2)
    lines: list[str] = []
    train(config, tmp_path / "parts", report=lines.append)
    assert any("going on after epoch 2 of 3" in line for line in lines)
    whole, parts = weights(tmp_path / "whole"), weights(tmp_path / "parts")
    assert all(torch.equal(value, parts[name]) for name, value in whole.items())


def test_another_seed_gives_other_weights_and_the_same_seed_the_same(config: TrainingConfig, tmp_path: Path) -> None:
    """Negative control of the test above: weights do depend on what happened."""
    config = replace(config, epochs=1)
    for name, seed in (("a", 0), ("b", 0), ("c", 1)):
        train(replace(config, seed=seed), tmp_path / name, report=SILENT.append)
    a, b, c = (weights(tmp_path / name) for name in "abc")
    assert all(torch.equal(a[name], b[name]) for name in a)
    assert not torch.equal(a["radial.linear.weight"], c["radial.linear.weight"])


def test_a_run_of_another_configuration_is_not_resumed(config: TrainingConfig, tmp_path: Path) -> None:
    train(config, tmp_path / "run", report=SILENT.append, stop_after_epoch=1)
    with pytest.raises(ModelError, match="another configuration"):
        train(replace(config, learning_rate=1e-4), tmp_path / "run", report=SILENT.append)
    renamed = replace(config, version="9")  # a name is not what is trained
    train(renamed, tmp_path / "run", report=SILENT.append, stop_after_epoch=2)


def test_only_crystals_of_the_training_split_are_trained_on(config: TrainingConfig, tmp_path: Path) -> None:
    data = read_labels(Path(config.data))
    chosen = {Split.TRAIN: 24, Split.VAL: 3, Split.TEST: 3}
    assert {split: len(data.rows(split)) for split in Split} == chosen
    lines: list[str] = []
    train(replace(config, max_atoms=4), tmp_path / "run", report=lines.append, stop_after_epoch=1)
    expected = int((data.crystals.atoms_per_crystal[data.rows(Split.TRAIN)] <= 4).sum())
    assert lines[0].startswith(f"{expected} training crystals")
    assert expected < 24
    lines.clear()
    train(replace(config, limit=5), tmp_path / "few", report=lines.append, stop_after_epoch=1)
    assert lines[0].startswith("5 training crystals")


def test_a_fresh_network_is_scaled_to_its_labels(config: TrainingConfig) -> None:
    """Before any step the even tensors have the size of the labels already, and the odd one is no larger."""
    data = read_labels(Path(config.data))
    rows = data.rows(Split.TRAIN)
    network = make_network(SMALL, data, rows, 0).eval()
    batch = data.crystals.select(rows)
    with torch.no_grad():
        predicted = network(TorchGraph.from_graph(build_graph(batch, SMALL.graph), "cpu", torch.float32))
    for quantity, norm in typical_norms(data, rows).norms.items():
        known = torch.as_tensor(~np.isnan(data.components[quantity][rows, 0]))
        median = float(predicted[quantity][known].norm(dim=1).median())
        assert (0 if quantity is Tensor.PIEZOELECTRIC else 0.3 * norm) < median < 3 * norm, quantity
    unscaled = build_network(SMALL).eval()  # negative control: without the labels' constants
    with torch.no_grad():
        raw = unscaled(TorchGraph.from_graph(build_graph(batch, SMALL.graph), "cpu", torch.float32))
    assert float(raw[Tensor.ELASTIC].norm(dim=1).median()) < 0.3 * typical_norms(data, rows).norms[Tensor.ELASTIC]


def test_a_tensor_without_any_label_is_named(config: TrainingConfig, tmp_path: Path) -> None:
    (Path(config.data) / "piezoelectric.jsonl").unlink()
    with pytest.raises(ModelError, match="No training label for piezoelectric"):
        train(config, tmp_path / "run", report=SILENT.append)


def test_a_folder_without_labels_is_refused(tmp_path: Path) -> None:
    with pytest.raises(SourceError, match="No label files"):
        train(TrainingConfig(data=str(tmp_path)), tmp_path / "run", report=SILENT.append)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("epoch = 3", "unknown keys"),
        ('network = "resnet"', "unknown network"),
        ("epochs = 3\nlerning_rate = 1.0", "lerning_rate"),
    ],
)
def test_a_configuration_with_a_mistake_is_refused(text: str, message: str, tmp_path: Path) -> None:
    path = tmp_path / "mine.toml"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(ModelError, match=message):
        TrainingConfig.read(str(path))


def test_a_configuration_is_read_from_toml(tmp_path: Path) -> None:
    path = tmp_path / "mine.toml"
    path.write_text('name = "mine"\nepochs = 3\nlearning_rate = 0.01\n', encoding="utf-8")
    assert TrainingConfig.read(str(path)) == TrainingConfig(name="mine", epochs=3, learning_rate=0.01)
    with pytest.raises(ModelError, match="no training configuration"):
        TrainingConfig.read("does-not-exist")


def test_graphs_are_joined_as_if_built_together() -> None:
    batch = textbook_crystals().crystals
    spec = GraphSpec()
    together = build_graph(batch, spec)
    joined = join_graphs([build_graph(batch.select(part), spec) for part in (range(4), range(4, 5), range(5, 10))])
    for name in ("n_crystals", "numbers", "crystal_of_atom", "center"):
        assert np.array_equal(getattr(joined, name), getattr(together, name)), name
    order = [np.lexsort((*np.round(g.vector.T, 3), g.neighbor, g.center)) for g in (joined, together)]
    assert np.array_equal(joined.neighbor[order[0]], together.neighbor[order[1]])
    assert np.allclose(joined.closeness[order[0]], together.closeness[order[1]], atol=1e-6)
