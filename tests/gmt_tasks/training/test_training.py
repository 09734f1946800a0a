"""Training: it learns, it resumes, it says what is wrong with a configuration."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from gmt_tasks.labels.files import LabelledCrystals, Split, read_labels
from gmt_tasks.screening.screener import Screener
from gmt_tasks.training.config import Schedule, TrainingConfig
from gmt_tasks.training.data import make_targets, prepare, typical_norms
from gmt_tasks.training.epochs import share_of_rate
from gmt_tasks.training.loop import LOSS_WEIGHTS
from gmt_tasks.training.training import make_network, match_scales, train
from models.crystals.crystal import CrystalBatch, Ints
from models.crystals.graph import build_graph
from models.errors import ModelError, SourceError
from models.gmtnet.card import read_card
from models.gmtnet.config import CONFIGS, GMTNET
from models.gmtnet.loss import LossKind, multi_task_loss
from models.gmtnet.network import GMTNet, build_network
from models.gmtnet.torch_graph import TorchGraph
from models.quantities import TENSORS, Scalar, Tensor
from models.symmetry.search import find_symmetry
from models.testing.contract import ToyTensorModel, textbook_crystals

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
    predicted = ToyTensorModel().predict(batch)
    first = {q: t.reshape(-1, batch.n_crystals, *TENSORS[q].shape)[0] for q, t in predicted.items()}  # of the networks
    tensors = {q: symmetry.project(q, t) for q, t in first.items()}
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
    """Of the only network, whether a checkpoint numbers its networks or not."""
    return {name.removeprefix("0."): value for name, value in load_file(folder / "tiny.safetensors").items()}


def trained(folder: Path) -> GMTNet:
    network = build_network(read_card(folder / "tiny.json").config)
    network.load_state_dict(weights(folder))
    return network.eval()


def test_the_device_that_is_asked_for_is_obeyed(
    config: TrainingConfig, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A GPU is announced that is not there: whoever takes one all the same fails."""
    few = replace(config, limit=3, batch_crystals=3)
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    train(few, tmp_path / "run", report=SILENT.append, stop_after_epoch=1, device="cpu")
    with pytest.raises((AssertionError, RuntimeError), match="(?i)cuda"):
        train(few, tmp_path / "run", report=SILENT.append, stop_after_epoch=2)


def test_training_lowers_the_loss_and_leaves_a_model_that_predicts(config: TrainingConfig, tmp_path: Path) -> None:
    config = replace(config, epochs=8)
    lines: list[str] = []
    card = train(config, tmp_path / "run", report=lines.append)
    data = read_labels(Path(config.data))
    rows = data.rows(Split.TRAIN)
    fresh = make_network(SMALL, data, rows, config.seed)
    match_scales(fresh, prepare(data, rows, config))
    before, after = total_loss(fresh, data, rows), total_loss(trained(tmp_path / "run"), data, rows)
    assert after < 0.7 * before
    assert card is not None
    assert set(card.elements) == set(data.crystals.select(rows).numbers.tolist())
    assert (card.name, card.training["epochs"], card.training["n_crystals"]) == ("tiny", 8, 24)
    assert card.training["data"] == "data"  # no path of the machine it was trained on
    # nothing was said of expansion and distortion: a head of them would take every crystal for relaxed
    assert set(Scalar) - set(card.config.scalars) == {Scalar.EXPANSION, Scalar.DISTORTION}
    assert len([line for line in lines if line.startswith("epoch")]) == 8


def test_every_loss_has_a_weight() -> None:
    """A loss of a new kind without a weight would end a run at its first batch."""
    tensors = {q.value for q in Tensor} | {s.value for s in Scalar}
    assert tensors < set(LOSS_WEIGHTS)
    assert all(weight > 0 for weight in LOSS_WEIGHTS.values())


def test_a_resumed_run_gives_the_weights_of_an_uninterrupted_one(config: TrainingConfig, tmp_path: Path) -> None:
    config = replace(config, limit=12)
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
    config = replace(config, epochs=1, limit=12)
    for name, seed in (("a", 0), ("b", 0), ("c", 1)):
        train(replace(config, seed=seed), tmp_path / name, report=SILENT.append)
    a, b, c = (weights(tmp_path / name) for name in "abc")
    assert all(torch.equal(a[name], b[name]) for name in a)
    assert not torch.equal(a["radial.linear.weight"], c["radial.linear.weight"])
    assert not torch.equal(a["heads.elastic_voigt.read.maps.4e.weight"], c["heads.elastic_voigt.read.maps.4e.weight"])


def test_a_run_of_another_configuration_is_not_resumed(config: TrainingConfig, tmp_path: Path) -> None:
    config = replace(config, limit=6)
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


def median_norms(network: GMTNet, data: LabelledCrystals, rows: Ints) -> dict[Tensor, float]:
    """Of what a network says of the crystals that have a label, in training mode as at the first step."""
    graph = TorchGraph.from_graph(build_graph(data.crystals.select(rows), SMALL.graph), "cpu", torch.float32)
    with torch.no_grad():
        predicted = network.train()(graph)
    known = {q: torch.as_tensor(np.linalg.norm(c[rows], axis=1) > 0) for q, c in data.components.items()}
    return {q: float(predicted[q][known[q]].norm(dim=1).median()) for q in Tensor}


def test_a_fresh_network_is_scaled_to_its_labels(config: TrainingConfig) -> None:
    """Before any step every even tensor has the size of its labels already, and the odd one is no larger."""
    data = read_labels(Path(config.data))
    rows = data.rows(Split.TRAIN)
    network = make_network(SMALL, data, rows, 0)
    match_scales(network, prepare(data, rows, config))
    found, wanted = median_norms(network, data, rows), typical_norms(data, rows).norms
    for quantity, norm in wanted.items():
        assert (0.0 if quantity is Tensor.PIEZOELECTRIC else 0.2) * norm < found[quantity] < 5 * norm, quantity
    raw = median_norms(build_network(SMALL), data, rows)  # negative control: without the labels' constants
    assert raw[Tensor.ELASTIC] < 0.2 * wanted[Tensor.ELASTIC]


def test_read_outs_have_unit_spread_over_the_training_crystals(config: TrainingConfig) -> None:
    data = read_labels(Path(config.data))
    rows = data.rows(Split.TRAIN)
    prepared = prepare(data, rows, config)

    def spreads(network: GMTNet) -> list[float]:
        graph = TorchGraph.from_graph(prepared.graph, "cpu", torch.float32)
        with torch.no_grad():
            features, _ = network.train().describe(graph)
            sizes = [
                linear(features[kind]).square().mean(dim=(0, 2)).sqrt()
                for head in network.heads.values()
                for kind, linear in head.read.maps.items()  # type: ignore[union-attr, operator]
            ]
        return [float(size[size > 1e-6].square().mean().sqrt()) for size in sizes]

    network = make_network(SMALL, data, rows, 0)
    for name, parameter in network.heads.named_parameters():
        if "read" in name and name.endswith("bias"):  # constants are not scaled
            torch.nn.init.zeros_(parameter)
    fresh = spreads(network)
    match_scales(network, prepared)
    matched = spreads(network)
    assert len(matched) == 2 + 2 + 3 + 3
    assert max(fresh) / min(fresh) > 10.0  # negative control
    for before, after in zip(fresh, matched, strict=True):  # raised a thousandfold at most
        assert after == pytest.approx(min(1.0, 1000.0 * before), rel=0.1)


def test_a_tensor_without_any_label_is_named_and_the_model_predicts_the_others(
    config: TrainingConfig, tmp_path: Path
) -> None:
    (Path(config.data) / "piezoelectric.jsonl").unlink()
    lines: list[str] = []
    card = train(replace(config, epochs=1), tmp_path / "run", report=lines.append)
    assert any("no labels for piezoelectric" in line for line in lines)
    assert card is not None
    assert Tensor.PIEZOELECTRIC not in card.config.tensors
    screener = Screener.load(str(tmp_path / "run" / "tiny.json"))
    tensors = screener.predict(textbook_crystals().crystals).derived.prediction.tensors
    assert set(tensors) == set(Tensor) - {Tensor.PIEZOELECTRIC}


def test_a_folder_without_labels_is_refused(tmp_path: Path) -> None:
    with pytest.raises(SourceError, match="No label files"):
        train(TrainingConfig(data=str(tmp_path)), tmp_path / "run", report=SILENT.append)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("epoch = 3", "unknown keys"),
        ('network = "resnet"', "unknown network"),
        ("epochs = 3\nlerning_rate = 1.0", "lerning_rate"),
        ('schedule = "exponential"', "exponential"),
    ],
)
def test_a_configuration_with_a_mistake_is_refused(text: str, message: str, tmp_path: Path) -> None:
    path = tmp_path / "mine.toml"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(ModelError, match=message):
        TrainingConfig.read(str(path))


def test_a_configuration_is_read_from_toml(tmp_path: Path) -> None:
    path = tmp_path / "mine.toml"
    path.write_text('name = "mine"\nepochs = 3\nlearning_rate = 0.01\nschedule = "linear"\n', encoding="utf-8")
    expected = TrainingConfig(name="mine", epochs=3, learning_rate=0.01, schedule=Schedule.LINEAR)
    assert TrainingConfig.read(str(path)) == expected
    with pytest.raises(ModelError, match="no training configuration"):
        TrainingConfig.read("does-not-exist")


def test_the_published_rate_falls_in_a_line_to_a_hundredth() -> None:
    assert [share_of_rate(Schedule.LINEAR, x) for x in (0.0, 0.5, 1.0)] == pytest.approx([1.0, 0.505, 0.01])


def test_the_rate_warms_up_and_falls_to_a_hundredth_along_a_cosine() -> None:
    rates = [share_of_rate(Schedule.COSINE, x) for x in (0.0, 0.01, 0.5, 1.0)]
    assert rates == pytest.approx([0.0, 0.5 * 0.99975, 0.505, 0.01], rel=1e-3)


def test_the_published_recipe_lowers_its_loss_too(config: TrainingConfig, tmp_path: Path) -> None:
    lines: list[str] = []
    published = replace(config, schedule=Schedule.LINEAR, loss=LossKind.HUBER, epochs=6)
    train(published, tmp_path / "run", report=lines.append)
    values = [float(line.split("elastic_voigt ")[1].split()[0]) for line in lines if line.startswith("epoch")]
    assert values[-1] < 0.8 * values[0]
