"""What the training loop reads: nothing of val or test, and every label where it belongs."""

import json
from dataclasses import fields, replace
from itertools import pairwise
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch
from numpy.typing import NDArray

from gmt_tasks.labels.files import LabelledCrystals, Split
from gmt_tasks.training.candidate_columns import read_table
from gmt_tasks.training.config import TrainingConfig
from gmt_tasks.training.data import (
    MAX_CANDIDATE_ATOMS,
    Prepared,
    make_targets,
    prepare,
    select_targets,
    training_rows,
)
from gmt_tasks.training.evaluated_formulas import judged_by_start
from models.crystals.crystal import CrystalBatch, Ints
from models.crystals.graph import build_graph
from models.errors import SourceError
from models.gmtnet.config import GMTNET
from models.gmtnet.invariants import largest_singular_value
from models.gmtnet.loss import Targets
from models.gmtnet.training_data.split_table import SplitTable
from models.quantities import ELASTIC_INVARIANTS, TENSORS, Scalar, Tensor
from models.reference.crystals import random_orthogonal
from models.symmetry.orbits import join_orbit_graphs, reduce_to_orbits
from models.tensors.rotate import rotate
from models.tensors.voigt import from_components, piezo_to_voigt
from models.testing.contract import textbook_crystals

BOOKS = textbook_crystals()
TEXTBOOK = BOOKS.crystals
SPLITS = ["train"] * 8 + ["val", "test"]  # the triclinic GaNO is val, copper is test
N = 10
QUARTZ, GAAS, MGO = (BOOKS.names.index(name) for name in ("quartz", "zinc blende GaAs", "rocksalt MgO"))


def labelled() -> LabelledCrystals:
    """Ten crystals: piezoelectric tensors of two, a total dielectric tensor of a third, invariants of others."""
    rng = np.random.default_rng(0)
    components = {q: np.full((N, t.n_components), np.nan) for q, t in TENSORS.items()}
    components[Tensor.PIEZOELECTRIC][[QUARTZ, GAAS]] = rng.normal(size=(2, 18))
    components[Tensor.DIELECTRIC_TOTAL][MGO] = rng.normal(size=6)
    elastic = np.full((N, len(ELASTIC_INVARIANTS)), np.nan)
    elastic[1:3] = rng.uniform(50, 100, size=(2, 12))
    singular, ieee = np.full(N, np.nan), np.full((N, 3, 3), np.nan)
    singular[1], ieee[1] = 0.5, random_orthogonal(rng)
    return LabelledCrystals(
        [f"c{k}" for k in range(N)],
        TEXTBOOK,
        np.array(SPLITS),
        components,
        {q: np.zeros(N, dtype=np.bool_) for q in TENSORS},
        np.arange(N) == GAAS,
        np.ones(N, dtype=np.bool_),
        np.full((N, 2), np.nan),
        rng.uniform(1, 2, size=(N, 3)),
        elastic,
        np.zeros_like(elastic),
        singular,
        ieee,
    )


def write_candidates(
    folder: Path, crystals: CrystalBatch, energy: list[float | None], gap: list[float | None], name: str = "c.parquet"
) -> Path:
    ends = crystals.first_atom
    parts = [slice(a, b) for a, b in pairwise(ends)]
    table = {
        "lattice": [lattice.ravel().tolist() for lattice in crystals.lattice],
        "species": [crystals.numbers[p].tolist() for p in parts],
        "frac_coords": [crystals.frac_coords[p].ravel().tolist() for p in parts],
        "e_form": pa.array(energy, pa.float64()),
        "band_gap": pa.array(gap, pa.float64()),
    }
    pq.write_table(pa.table(table), folder / name)
    return folder / name


def decorated(swap: dict[int, int]) -> CrystalBatch:
    """The textbook crystals with other elements in their places."""
    return replace(TEXTBOOK, numbers=np.array([swap.get(int(z), int(z)) for z in TEXTBOOK.numbers]))


def config(folder: Path, **changes: object) -> TrainingConfig:
    return replace(TrainingConfig(data=str(folder), candidates="c.parquet"), **changes)  # type: ignore[arg-type]


def prepared(folder: Path, data: LabelledCrystals) -> Prepared:
    settings = config(folder)
    return prepare(data, training_rows(data, settings), settings)


def species_of(graph_numbers: Ints, crystal_of_orbit: Ints, crystal: int) -> set[int]:
    return set(graph_numbers[crystal_of_orbit == crystal].tolist())


def candidate_species(data: Prepared) -> list[set[int]]:
    return [species_of(data.graph.numbers, data.graph.crystal_of_orbit, int(k)) for k in data.candidates]


def test_compositions_of_val_and_test_are_not_among_the_candidates(tmp_path: Path) -> None:
    """Copper (test) and GaNO (val) stay out, a supercell of copper too; what the training part has may come."""
    write_candidates(tmp_path, CrystalBatch.join([TEXTBOOK, double_copper()]), [0.1] * 11, [1.0] * 11)
    chosen = candidate_species(prepared(tmp_path, labelled()))
    assert {29} not in chosen
    assert {31, 7, 8} not in chosen
    assert len(chosen) == 8
    everything_is_train = replace(labelled(), split=np.array(["train"] * N))  # negative control
    assert len(candidate_species(prepared(tmp_path, everything_is_train))) == 11


@pytest.mark.parametrize("split", ["train", "val", "test"])
def test_compositions_of_rows_that_are_not_learned_stay_out_too(tmp_path: Path, split: str) -> None:
    """Nothing of the row but its formula and its part can be read."""
    row = {"kind": "of another program", "formula": "Ga2 N2 O2", "split": split}
    (tmp_path / "others.jsonl").write_text(json.dumps(row) + "\nno row\n")
    write_candidates(tmp_path, TEXTBOOK, [0.1] * N, [1.0] * N)
    everything_is_train = replace(labelled(), split=np.array(["train"] * N))
    chosen = candidate_species(prepared(tmp_path, everything_is_train))
    assert ({31, 7, 8} in chosen) is (split == "train")
    assert len(chosen) == (N if split == "train" else N - 1)


def test_what_the_start_of_a_training_is_judged_by_stays_out() -> None:
    table = SplitTable.of({"AlN": "train", "O2Si": "val", "Cu": "test"}, {})
    assert judged_by_start(["AlN", "O2Si", "Cu", "GaAs", "Cu"], table) == {"O2Si", "Cu"}
    assert judged_by_start(["AlN", "O2Si"], None) == set()


def double_copper() -> CrystalBatch:
    copper = TEXTBOOK.select([N - 1])
    return CrystalBatch(
        copper.lattice * np.array([[[2.0], [1.0], [1.0]]]),
        np.array([[0.0, 0, 0], [0.5, 0, 0]]),
        np.array([29, 29]),
        np.array([0, 0]),
    )


def test_candidates_follow_the_labelled_crystals_with_their_scalars_alone(tmp_path: Path) -> None:
    energy: list[float | None] = [-0.1 * k for k in range(N)]
    gap: list[float | None] = [0.0, 2.0, None, 1.5, 0.0, 3.0, 4.0, 5.0, 6.0, 7.0]
    energy[4], gap[4], energy[5] = None, None, None  # nothing known; only the gap known
    write_candidates(tmp_path, decorated({8: 16, 13: 31, 29: 47}), energy, gap)
    data = prepared(tmp_path, labelled())
    assert data.labelled.tolist() == list(range(8))
    assert data.candidates.tolist() == list(range(8, 17))  # ten but the one of which nothing is known
    scalars = data.targets.scalars
    assert list(Scalar)[:3] == [Scalar.BAND_GAP, Scalar.METAL, Scalar.FORMATION_ENERGY]
    assert list(Scalar)[3:] == [Scalar.EXPANSION, Scalar.DISTORTION]
    assert torch.isnan(scalars[:8]).all() and torch.isnan(scalars[8:, 3:]).all()
    nan = float("nan")  # a metal has no width of a gap to learn
    expected = torch.tensor([[nan, 1.0, -0.0], [2.0, 0.0, -0.1], [nan, nan, -0.2], [1.5, 0.0, -0.3], [3.0, 0.0, nan]])
    assert torch.allclose(scalars[8:13, :3], expected, equal_nan=True)
    for field in fields(Targets):
        if field.name not in {"components", "scalars", "sign_unproven", "piezo_to_ieee", "stiffness_noise"}:
            assert torch.isnan(getattr(data.targets, field.name)[8:]).all(), field.name
    assert all(torch.isnan(c[8:]).all() for c in data.targets.components.values())
    assert len({len(getattr(data.targets, f.name)) for f in fields(Targets) if f.name != "components"}) == 1


def test_large_and_invalid_candidates_are_left_out(tmp_path: Path) -> None:
    n = MAX_CANDIDATE_ATOMS + 1
    rng = np.random.default_rng(1)
    large = CrystalBatch(20.0 * np.eye(3)[None], rng.random((n, 3)), np.full(n, 6), np.zeros(n, dtype=np.int64))
    flat = replace(TEXTBOOK.select([0]), lattice=np.zeros((1, 3, 3)))
    write_candidates(tmp_path, CrystalBatch.join([large, flat, TEXTBOOK.select([1])]), [0.0] * 3, [1.0] * 3)
    assert candidate_species(prepared(tmp_path, labelled())) == [{13, 7}]


def test_a_table_that_lacks_a_column_is_refused_with_its_name(tmp_path: Path) -> None:
    path = write_candidates(tmp_path, TEXTBOOK, [0.0] * N, [1.0] * N)
    pq.write_table(pq.read_table(path).drop_columns(["band_gap", "lattice"]), path)
    with pytest.raises(SourceError, match=r"c.parquet lacks the columns \['band_gap', 'lattice'\]"):
        prepared(tmp_path, labelled())


def test_a_table_is_read_as_it_was_written(tmp_path: Path) -> None:
    path = write_candidates(tmp_path, TEXTBOOK, [*[0.5] * 9, None], [1.0] * N)
    batch, columns = read_table(path, ("e_form", "band_gap"))
    for name in ("lattice", "frac_coords", "numbers", "crystal_of_atom"):
        assert np.array_equal(getattr(batch, name), getattr(TEXTBOOK, name)), name
    assert np.isnan(columns["e_form"]).tolist() == [False] * 9 + [True]
    assert columns["band_gap"].tolist() == [1.0] * N


def test_graphs_are_those_of_the_crystals_one_atom_per_orbit(tmp_path: Path) -> None:
    data = prepare(labelled(), np.array([4, 0]), replace(config(tmp_path), candidates=""))
    singles = [TEXTBOOK.select([k]) for k in (4, 0)]
    expected = join_orbit_graphs([reduce_to_orbits(one, build_graph(one, GMTNET.graph)) for one in singles])
    for name in ("numbers", "crystal_of_orbit", "share", "orbit_of_atom", "center", "turns"):
        assert np.array_equal(getattr(data.graph, name), getattr(expected, name)), name
    assert data.atoms.tolist() == [2, 2]  # orbits, not atoms: quartz has nine of these
    assert len(data.candidates) == 0


def test_scarce_crystals_are_those_with_the_rarest_labels(tmp_path: Path) -> None:
    rows = np.array([MGO, 1, 3, QUARTZ, 6])
    data = prepare(labelled(), rows, replace(config(tmp_path), candidates=""))
    assert data.scarce.tolist() == [0, 1, 3]  # total dielectric tensor, singular value of e, e


def test_targets_are_the_labels_of_the_rows() -> None:
    data, rows = labelled(), np.array([5, GAAS, 0])
    targets = make_targets(data, rows)
    for quantity, components in targets.components.items():
        assert components.dtype == torch.float32
        assert np.allclose(components.numpy(), data.components[quantity][rows], equal_nan=True)
    assert targets.sign_unproven.tolist() == [False, True, False]
    for name in ("eps_mean", "eps_principal", "elastic", "piezo_singular"):
        assert np.allclose(getattr(targets, name).numpy(), getattr(data, name)[rows], equal_nan=True), name
    assert targets.scalars.shape == (3, len(Scalar)) and torch.isnan(targets.scalars).all()


def test_the_map_to_ieee_axes_gives_the_voigt_matrix_there() -> None:
    data = labelled()
    targets = make_targets(data, np.array([0, 1]))
    assert float(targets.piezo_to_ieee[0].abs().max()) == 0.0  # no singular value is known of quartz
    components = np.random.default_rng(3).normal(size=18)
    in_ieee = rotate(Tensor.PIEZOELECTRIC, from_components(Tensor.PIEZOELECTRIC, components), data.ieee[1])
    voigt: NDArray[np.float64] = piezo_to_voigt(in_ieee)
    found = (targets.piezo_to_ieee[1].double() @ torch.tensor(components)).reshape(3, 6).numpy()
    assert np.allclose(found, voigt, atol=1e-6)
    largest = largest_singular_value(torch.tensor(components)[None], targets.piezo_to_ieee[1:2].double())
    assert float(largest[0]) == pytest.approx(np.linalg.svd(voigt, compute_uv=False)[0], rel=1e-6)


def test_selected_targets_are_those_of_the_rows(tmp_path: Path) -> None:
    data = prepare(labelled(), np.arange(8), replace(config(tmp_path), candidates=""))
    picked = select_targets(data, np.array([3, 3, 1]), "cpu")
    assert torch.equal(picked.eps_principal, data.targets.eps_principal[[3, 3, 1]])
    assert torch.equal(picked.sign_unproven, data.targets.sign_unproven[[3, 3, 1]])
    assert all(len(c) == 3 for c in picked.components.values())


def test_training_rows_hold_nothing_of_val_or_test() -> None:
    data = labelled()
    settings = TrainingConfig(max_atoms=6)
    rows = training_rows(data, settings)
    assert set(data.split[rows]) == {"train"}
    assert QUARTZ not in rows  # nine atoms
    assert len(rows) == 7
    few = training_rows(data, replace(settings, limit=3))
    assert set(few.tolist()) < set(rows.tolist())
    assert len(few) == 3
    assert len(data.rows(Split.TRAIN)) == 8
