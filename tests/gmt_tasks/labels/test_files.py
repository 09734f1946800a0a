"""Label files: what is read, what is refused, and in which frame it stands."""

import gzip
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from gmt_tasks.evaluation.label_properties import label_properties
from gmt_tasks.labels.files import LabelledCrystals, Split, read_labels
from gmt_tasks.labels.kinds import piezo_of_e14
from models.crystals.crystal import CrystalBatch
from models.errors import SourceError
from models.quantities import ELASTIC_INVARIANTS, TENSORS, Tensor
from models.reference.crystals import random_orthogonal, transformed
from models.symmetry.search import SIGN_FREE_CLASSES, find_symmetry
from models.tensors.rotate import rotate
from models.tensors.voigt import from_components, piezo_to_voigt, voigt_to_piezo
from models.testing.contract import textbook_crystals

Floats = NDArray[np.float64]
Row = dict[str, Any]
BOOKS = textbook_crystals()
AXES = np.eye(3)
CUBIC_C = (np.diag([80.0] * 3 + [60.0] * 3) + np.pad(np.full((3, 3), 40.0), (0, 3))).tolist()
ELATE = {
    "K_Voigt": 1.0, "K_Reuss": 2.0, "K_VRH": 3.0, "G_Voigt": 4.0, "G_Reuss": 5.0, "G_VRH": 6.0, "Emin": 7.0,
    "Emax": 8.0, "Gmin": 9.0, "Gmax": 10.0, "minLC": 11.0, "maxLC": 12.0, "minNu": 0.1, "maxNu": 0.2, "flags": [],
}  # fmt: skip


def book(name: str, **more: Any) -> Row:
    """A row of a label file with a textbook crystal."""
    crystal = BOOKS.crystals.select([BOOKS.names.index(name)])
    return row_of(crystal, name) | more


def row_of(crystal: CrystalBatch, name: str) -> Row:
    return {
        "id": name,
        "lattice": crystal.lattice[0].tolist(),
        "species": crystal.numbers.tolist(),
        "frac_coords": crystal.frac_coords.tolist(),
        "split": "train",
    }


def read(folder: Path, **files: list[Row]) -> LabelledCrystals:
    for name, rows in files.items():
        (folder / f"{name}.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return read_labels(folder)


def tensor_of(data: LabelledCrystals, quantity: Tensor, row: int = 0) -> Floats:
    return from_components(quantity, data.components[quantity][row])


def known(data: LabelledCrystals, quantity: Tensor) -> list[bool]:
    return (~np.isnan(data.components[quantity][:, 0])).tolist()


def dielectric(total: Any, electronic: Any, name: str = "rocksalt MgO") -> Row:
    return book(name, kind="dielectric_total", tensor=total, tensor_electronic=electronic)


def test_a_dielectric_row_brings_both_tensors(tmp_path: Path) -> None:
    data = read(tmp_path, dielectric=[dielectric((9.8 * AXES).tolist(), (3.0 * AXES).tolist())])
    assert np.allclose(tensor_of(data, Tensor.DIELECTRIC_TOTAL), 9.8 * AXES)
    assert np.allclose(tensor_of(data, Tensor.DIELECTRIC_ELECTRONIC), 3.0 * AXES)
    assert data.primary[Tensor.DIELECTRIC_TOTAL].tolist() == [True]
    assert data.rows(Split.TRAIN).tolist() == [0]


def test_a_dielectric_component_above_a_hundred_costs_its_own_tensor_only(tmp_path: Path) -> None:
    data = read(tmp_path, dielectric=[dielectric((101.0 * AXES).tolist(), (3.0 * AXES).tolist())])
    assert known(data, Tensor.DIELECTRIC_TOTAL) == [False]
    assert known(data, Tensor.DIELECTRIC_ELECTRONIC) == [True]
    assert not data.primary[Tensor.DIELECTRIC_TOTAL].any()


def test_an_electronic_row_brings_ascending_eigenvalues_and_the_tensor_if_there_is_one(tmp_path: Path) -> None:
    kind = {"kind": "dielectric_electronic", "symmetry_consistent": True}
    rows = [
        book("rutile", eps_principal=[7.0, 6.0, 6.0], tensor_electronic=None, **kind),
        book("diamond", eps_principal=[5.8] * 3, tensor_electronic=(5.8 * AXES).tolist(), **kind),
        book(
            "wurtzite AlN", eps_principal=[4.0] * 3, tensor_electronic=None, **(kind | {"symmetry_consistent": False})
        ),
        book("quartz", eps_principal=[4.0, 4.0, 101.0], tensor_electronic=None, **kind),
    ]
    data = read(tmp_path, dielectric_electronic=rows)
    assert data.ids == ["rutile", "diamond"]
    assert data.eps_principal.tolist() == [[6.0, 6.0, 7.0], [5.8] * 3]
    assert known(data, Tensor.DIELECTRIC_ELECTRONIC) == [False, True]
    assert not data.primary[Tensor.DIELECTRIC_ELECTRONIC].any()


def test_means_out_of_range_or_missing_are_unknown(tmp_path: Path) -> None:
    kind = {"kind": "dielectric_scalar_mean"}
    rows = [
        book("rutile", eps_electronic=6.5, eps_total=2.9e6, **kind),
        book("diamond", eps_electronic=None, eps_total=5.8, **kind),
        book("quartz", eps_electronic=None, eps_total=2.9e6, **kind),
    ]
    data = read(tmp_path, dielectric_scalar=rows)
    assert data.ids == ["rutile", "diamond"]
    assert np.allclose(data.eps_mean, [[6.5, np.nan], [np.nan, 5.8]], equal_nan=True)


def test_stiffnesses_that_are_odd_are_left_out_and_recovered_ones_are_not_primary(tmp_path: Path) -> None:
    kind = {"kind": "elastic_stiffness", "tensor_voigt": CUBIC_C}
    huge = (np.array(CUBIC_C) * 20.0).tolist()
    data = read(
        tmp_path,
        elastic=[book("diamond", **kind), book("quartz", **(kind | {"tensor_voigt": huge}))],
        elastic_recovered=[
            book("rocksalt MgO", recovered=True, flags=["min_eig<2"], **kind),
            book("copper", recovered=True, flags=["K_conflict"], **kind),
        ],
    )
    assert data.ids == ["diamond", "rocksalt MgO"]
    assert np.allclose(tensor_of(data, Tensor.ELASTIC), CUBIC_C)
    assert data.primary[Tensor.ELASTIC].tolist() == [True, False]


def test_elastic_invariants_stand_in_their_order(tmp_path: Path) -> None:
    rows = [
        book("quartz", kind="elastic_invariants", **ELATE),
        book("rutile", kind="elastic_invariants", **(ELATE | {"flags": ["K_conflict"]})),
        book("copper", kind="elastic_invariants", **(ELATE | {"K_Voigt": -1.0})),
    ]
    data = read(tmp_path, elastic_invariants=rows)
    assert data.ids == ["quartz"]
    assert data.elastic.tolist() == [[float(k) for k in range(1, 13)]]
    found = dict(zip(ELASTIC_INVARIANTS, data.elastic[0], strict=True))
    assert (found["g_vrh"], found["young_max"], found["shear_min"], found["linear_compressibility_max"]) == (
        6,
        8,
        9,
        12,
    )


def test_moduli_are_elastic_invariants_too(tmp_path: Path) -> None:
    rows = [
        book("quartz", kind="moduli_vrh", K_vrh=37.0, G_vrh=44.0),
        book("rutile", kind="moduli_vrh", K_vrh=-3.0, G_vrh=44.0),
        book("copper", kind="moduli_vrh", K_vrh=137.0, G_vrh=1600.0),
    ]
    data = read(tmp_path, moduli=rows)
    assert data.ids == ["quartz"]
    assert data.elastic[0, [ELASTIC_INVARIANTS.index(name) for name in ("k_vrh", "g_vrh")]].tolist() == [37.0, 44.0]
    assert np.isnan(data.elastic).sum() == 10


def piezo_row(name: str, frame: str, size: float = 1.0) -> Row:
    """A random tensor that the crystal's own group allows."""
    crystal = BOOKS.crystals.select([BOOKS.names.index(name)])
    random = from_components(Tensor.PIEZOELECTRIC, np.random.default_rng(4).normal(size=(1, 18)))
    symmetry = find_symmetry(crystal)
    tensor = size * symmetry.project(Tensor.PIEZOELECTRIC, random)[0]
    point_group = symmetry.point_group[0]
    return book(name, kind="piezo_e_total", frame=frame, point_group=point_group, tensor=tensor.tolist())


def test_a_piezoelectric_sign_is_proven_by_its_frame_and_its_class(tmp_path: Path) -> None:
    rows = [
        piezo_row("quartz", "ieee_pymatgen"),
        piezo_row("wurtzite AlN", "ieee_recovered_2"),
        piezo_row("zinc blende GaAs", "ieee_pymatgen"),
        piezo_row("BaTiO3", "ieee_pymatgen", size=1e4),
    ]
    data = read(tmp_path, piezoelectric=rows)
    assert data.ids == ["quartz", "wurtzite AlN", "zinc blende GaAs"]
    assert data.proven_frame.tolist() == [True, False, True]
    assert data.sign_unproven.tolist() == [False, True, True]
    assert np.allclose(tensor_of(data, Tensor.PIEZOELECTRIC), rows[0]["tensor"], atol=1e-12)


@pytest.mark.parametrize("point_group", sorted(SIGN_FREE_CLASSES))
def test_in_a_class_without_sign_some_rotation_keeps_the_class_and_flips_the_tensor(point_group: str) -> None:
    """By 90 or 60 degrees about z: a tensor that the class allows becomes its negative, e14 = e25 = e36 at least."""
    angle = np.pi / 3 if "6" in point_group else np.pi / 2
    rotation = np.array([[np.cos(angle), -np.sin(angle), 0], [np.sin(angle), np.cos(angle), 0], [0, 0, 1.0]])
    if "6" in point_group:  # e22 = -e21 = -e16 of -6m2
        voigt = np.zeros((3, 6))
        voigt[1, 1], voigt[1, 0], voigt[0, 5] = 1.0, -1.0, -1.0
        tensor = voigt_to_piezo(voigt)
    else:
        tensor = piezo_of_e14(0.7)
    assert np.allclose(rotate(Tensor.PIEZOELECTRIC, tensor, rotation), -tensor, atol=1e-14)


def test_e14_makes_the_only_tensor_that_zinc_blende_allows() -> None:
    tensor = piezo_of_e14(0.16)
    voigt = piezo_to_voigt(tensor)
    assert (voigt[0, 3], voigt[1, 4], voigt[2, 5]) == (0.16, 0.16, 0.16)
    assert np.count_nonzero(voigt) == 3
    assert np.linalg.svd(voigt, compute_uv=False).tolist() == pytest.approx([0.16] * 3)
    symmetry = find_symmetry(BOOKS.crystals.select([BOOKS.names.index("zinc blende GaAs")]))
    assert np.allclose(symmetry.project(Tensor.PIEZOELECTRIC, tensor[None])[0], tensor, atol=1e-14)


def rotated_book(name: str, seed: int) -> tuple[CrystalBatch, Floats]:
    rotation = random_orthogonal(np.random.default_rng(seed))
    return transformed(BOOKS.crystals.select([BOOKS.names.index(name)]), rotation), rotation


@pytest.mark.parametrize("seed", range(3))
def test_a_singular_value_of_zinc_blende_is_its_tensor_but_for_the_sign(seed: int, tmp_path: Path) -> None:
    """In whatever frame the crystal stands; textbook GaAs stands along the axes, so there e is that of e14."""
    crystal, rotation = rotated_book("zinc blende GaAs", seed)
    row = row_of(crystal, "rotated") | {"kind": "piezo_scalar", "e_singular_max_ieee": 0.16}
    data = read(tmp_path, piezoelectric_scalar=[row])
    expected = rotate(Tensor.PIEZOELECTRIC, piezo_of_e14(0.16), rotation)
    found = tensor_of(data, Tensor.PIEZOELECTRIC)
    assert min(np.abs(found - expected).max(), np.abs(found + expected).max()) < 1e-10
    assert np.abs(found - piezo_of_e14(0.16)).max() > 1e-2  # negative control: in the axes of the frame it is another
    assert data.sign_unproven.tolist() == [True]
    assert np.isnan(data.piezo_singular).all()
    assert not data.primary[Tensor.PIEZOELECTRIC].any()


@pytest.mark.parametrize(("name", "seed"), [("wurtzite AlN", 0), ("wurtzite AlN", 1), ("quartz", 2), ("BaTiO3", 3)])
def test_a_singular_value_is_that_of_the_tensor_in_the_ieee_frame(name: str, seed: int, tmp_path: Path) -> None:
    """IEEE axes of these settings lie along a and c: the textbook tensors stand in them before they are rotated."""
    upright = piezo_row(name, "ieee_pymatgen")["tensor"]
    expected = np.linalg.svd(piezo_to_voigt(np.array(upright)), compute_uv=False)[0]
    crystal, rotation = rotated_book(name, seed)
    row = row_of(crystal, "rotated") | {"kind": "piezo_scalar", "e_singular_max_ieee": expected}
    data = read(tmp_path, piezoelectric_scalar=[row])
    assert data.piezo_singular.tolist() == [expected]
    tensor = rotate(Tensor.PIEZOELECTRIC, np.array(upright), rotation)
    back = rotate(Tensor.PIEZOELECTRIC, tensor, data.ieee[0])
    assert np.linalg.svd(piezo_to_voigt(back), compute_uv=False)[0] == pytest.approx(expected, rel=1e-9)
    as_it_stands = np.linalg.svd(piezo_to_voigt(tensor), compute_uv=False)[0]
    assert abs(as_it_stands / expected - 1.0) > 1e-3  # negative control
    assert np.linalg.det(data.ieee[0]) == pytest.approx(1.0)


def test_rows_of_the_same_crystal_become_one_with_several_labels(tmp_path: Path) -> None:
    rows = book("diamond", kind="moduli_vrh", K_vrh=440.0, G_vrh=530.0)
    same = np.array(rows["frac_coords"])
    same[0] = [-0.0, -1e-9, 1.0]  # zeros with another sign, before and after rounding, and one cell further
    data = read(
        tmp_path,
        moduli=[rows, book("rutile", kind="moduli_vrh", K_vrh=210.0, G_vrh=110.0)],
        elastic=[book("diamond", kind="elastic_stiffness", tensor_voigt=CUBIC_C) | {"frac_coords": same.tolist()}],
    )
    assert data.crystals.n_crystals == 2
    assert known(data, Tensor.ELASTIC) == [True, False]
    assert np.isfinite(data.elastic).any(axis=1).all()


def test_another_cell_of_a_crystal_is_another_crystal(tmp_path: Path) -> None:
    """A tensor never leaves the frame of the lattice it came with."""
    crystal, _ = rotated_book("diamond", 1)
    rows = [book("diamond", kind="moduli_vrh", K_vrh=440.0, G_vrh=530.0)]
    data = read(tmp_path, moduli=[*rows, row_of(crystal, "b") | {"kind": "moduli_vrh", "K_vrh": 440.0, "G_vrh": 530.0}])
    assert data.ids == ["diamond", "b"]


def test_full_tensors_win_over_recovered_ones_whatever_the_files_are_called_first(tmp_path: Path) -> None:
    other = (2.0 * np.array(CUBIC_C)).tolist()
    data = read(
        tmp_path,
        elastic_recovered=[book("diamond", kind="elastic_stiffness", tensor_voigt=other, recovered=True)],
        elastic=[book("diamond", kind="elastic_stiffness", tensor_voigt=CUBIC_C)],
    )
    assert np.allclose(tensor_of(data, Tensor.ELASTIC), CUBIC_C)
    assert data.primary[Tensor.ELASTIC].tolist() == [True]


def test_tensors_are_symmetrized_and_those_that_contradict_their_crystal_dropped(tmp_path: Path) -> None:
    noisy = 9.8 * AXES + 0.01 * np.array([[0, 1, 0], [1, 0, 2], [0, 2, 0]])
    uniaxial = np.diag([5.0, 5.0, 12.0])
    rows = [dielectric(noisy.tolist(), None), dielectric(uniaxial.tolist(), None, "diamond")]
    rows += [dielectric(uniaxial.tolist(), None, "rutile")]  # negative control: here it may be so
    data = read(tmp_path, dielectric=rows)
    assert known(data, Tensor.DIELECTRIC_TOTAL) == [True, False, True]
    assert np.allclose(tensor_of(data, Tensor.DIELECTRIC_TOTAL), 9.8 * AXES, atol=1e-12)
    assert np.allclose(tensor_of(data, Tensor.DIELECTRIC_TOTAL, 2), uniaxial, atol=1e-12)


def test_crystals_that_are_no_crystals_are_left_out(tmp_path: Path) -> None:
    flat = dielectric((9.8 * AXES).tolist(), None) | {"lattice": np.zeros((3, 3)).tolist(), "id": "flat"}
    data = read(tmp_path, dielectric=[flat, dielectric((9.8 * AXES).tolist(), None, "diamond")])
    assert data.ids == ["diamond"]
    assert all(len(c) == 1 for c in data.components.values())
    assert {q: c.shape[1] for q, c in data.components.items()} == {q: t.n_components for q, t in TENSORS.items()}


def test_rows_of_unknown_kinds_and_keys_are_an_error_that_counts_them(tmp_path: Path) -> None:
    good = book("quartz", kind="moduli_vrh", K_vrh=37.0, G_vrh=44.0)
    unknown = [book("rutile", kind="hardness", value=3.0), book("diamond", kind="hardness", value=9.0)]
    with gzip.open(tmp_path / "moduli.jsonl.gz", "wt", encoding="utf-8") as out:
        out.writelines(json.dumps(row) + "\n" for row in [good, *unknown, book("rutile", kind="moduli_vrh", K=210.0)])
    with pytest.raises(SourceError, match=r"moduli\.jsonl\.gz: 3 of 4 rows .* 2 from line 2 on: .*'hardness'.*1 from"):
        read_labels(tmp_path)
    with gzip.open(tmp_path / "moduli.jsonl.gz", "wt", encoding="utf-8") as out:
        out.write(json.dumps(good) + "\n")
    assert read(tmp_path).ids == ["quartz"]


def test_an_optional_value_under_another_key_is_an_error(tmp_path: Path) -> None:
    tensor = (3.0 * AXES).tolist()
    row = book("rocksalt MgO", kind="dielectric_total", tensor=tensor)
    with pytest.raises(SourceError, match="unknown key 'tensor_electron'; dielectric_total has 'tensor_electronic'"):
        read(tmp_path, dielectric=[row | {"tensor_electron": tensor}])
    # negative control: what is said to be missing, and what is no value, are none
    assert read(tmp_path, dielectric=[row | {"tensor_electronic": None, "tensor_electron": tensor}]).ids
    assert read(tmp_path, dielectric=[row | {"tensor_electron": "none"}]).ids


def test_moduli_of_another_code_are_read_with_their_noise_and_judge_nothing(tmp_path: Path) -> None:
    moduli = [ELASTIC_INVARIANTS.index(name) for name in ("k_vrh", "g_vrh")]
    aflow = book("quartz", kind="moduli_aflow", K=38.0, G=45.0)
    rows = [aflow, book("quartz", kind="moduli_vrh", K_vrh=37.0, G_vrh=44.0), aflow | book("rutile")]
    data = read(tmp_path, moduli=rows)
    assert data.ids == ["quartz", "rutile"]
    # the other label of the same cell wins, wherever it stands in the file
    assert data.elastic[:, moduli].tolist() == [[37.0, 44.0], [38.0, 45.0]]
    assert not data.elastic_noise[0].any()
    assert (data.elastic_noise[1] > 0).nonzero()[0].tolist() == moduli
    known = label_properties(data, np.arange(2))
    assert known["k_vrh_gpa"].tolist() == pytest.approx([37.0, np.nan], nan_ok=True)
    assert np.isfinite(known["pugh_ratio"]).tolist() == [True, False]


def test_a_line_that_is_not_json_is_named(tmp_path: Path) -> None:
    good = json.dumps(book("quartz", kind="moduli_vrh", K_vrh=37.0, G_vrh=44.0))
    (tmp_path / "moduli.jsonl").write_text(good + "\n{broken\n", encoding="utf-8")
    with pytest.raises(SourceError, match=r"moduli\.jsonl line 2 is not JSON"):
        read_labels(tmp_path)


def test_a_folder_without_label_files_is_refused(tmp_path: Path) -> None:
    with pytest.raises(SourceError, match="No label files"):
        read_labels(tmp_path)
