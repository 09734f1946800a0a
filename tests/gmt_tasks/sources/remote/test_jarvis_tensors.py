"""The JARVIS tensor files: what is written in their order and units comes out in ours, in every form of the file."""

import gzip
import json
import pickle
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest
from pymatgen.core import Lattice, Structure

from gmt_tasks.sources.remote.jarvis_tensors import has_jarvis_tensors, read_jarvis_tensors
from models.errors import SourceError
from models.quantities import Tensor
from models.testing.contract import textbook_crystals
from tests.gmt_tasks.sources.remote.jarvis_files import JARVIS_ORDER, jarvis_atoms, made_up_tensors, write_jarvis_files

CRYSTALS = textbook_crystals().crystals
NUMBERED = [[100.0 * row + column for column in range(1, 7)] for row in range(1, 7)]


def write(folder: Path, records: Any, stem: str = "jarvis_elastic") -> Path:
    path = folder / f"{stem}.pkl"
    path.write_bytes(pickle.dumps(records))
    return folder


def record(**tensors: Any) -> dict[str, Any]:
    return {"JARVIS_ID": "JVASP-1", "atoms": jarvis_atoms(CRYSTALS, 0), **tensors}


def test_every_entry_lands_at_the_place_that_its_indices_name(tmp_path: Path) -> None:
    """Entry by entry against the definition of the order xx, yy, zz, xy, yz, zx, not through our own permutation."""
    write(tmp_path, [record(elastic_total_kbar=NUMBERED)])
    write(tmp_path, [record(dielectric=None, piezoelectric_C_m2=NUMBERED[:3])], "jarvis_diele_piezo")
    found = read_jarvis_tensors(tmp_path)
    piezo, elastic = found[Tensor.PIEZOELECTRIC].tensors[0], found[Tensor.ELASTIC].tensors[0]
    ours = {(0, 0): 0, (1, 1): 1, (2, 2): 2, (1, 2): 3, (2, 0): 4, (0, 1): 5}
    for a, (i, j) in enumerate(JARVIS_ORDER):
        for b, pair in enumerate(JARVIS_ORDER):
            assert elastic[ours[i, j], ours[pair]] == pytest.approx(NUMBERED[a][b] / 10.0), "kbar to GPa"
        for k in range(3):
            assert piezo[k, i, j] == piezo[k, j, i] == NUMBERED[k][a]
    assert elastic[3, 4] != elastic[5, 3], "the numbers tell the places apart"


@pytest.mark.parametrize("suffix", [".pkl", ".json"])
def test_a_file_gives_back_what_was_written(tmp_path: Path, suffix: str) -> None:
    assert not has_jarvis_tensors(tmp_path)
    write_jarvis_files(tmp_path, suffix=suffix, crystals=CRYSTALS)
    assert has_jarvis_tensors(tmp_path)
    found = read_jarvis_tensors(tmp_path)
    for seed, quantity in enumerate((Tensor.DIELECTRIC_ELECTRONIC, Tensor.PIEZOELECTRIC, Tensor.ELASTIC)):
        rows = np.arange(1, CRYSTALS.n_crystals, 2) if quantity is Tensor.PIEZOELECTRIC else np.arange(10)
        scale = 20.0 if quantity is Tensor.ELASTIC else 1.0
        expected = scale * made_up_tensors(CRYSTALS, quantity, seed)[rows]
        np.testing.assert_allclose(found[quantity].tensors, expected, rtol=1e-12)
        assert found[quantity].ids == [f"JVASP-{1000 + k}" for k in rows]
        np.testing.assert_array_equal(found[quantity].crystals.numbers, CRYSTALS.select(rows).numbers)
        np.testing.assert_array_equal(found[quantity].crystals.lattice, CRYSTALS.lattice[rows])


def test_pickle_and_compressed_json_say_the_same(tmp_path: Path) -> None:
    write(tmp_path, [record(elastic_total_kbar=np.array(NUMBERED))])
    pickled = read_jarvis_tensors(tmp_path)[Tensor.ELASTIC]
    (tmp_path / "jarvis_elastic.pkl").unlink()
    text = json.dumps([record(elastic_total_kbar=NUMBERED)])
    (tmp_path / "jarvis_elastic.json.gz").write_bytes(gzip.compress(text.encode()))
    unpacked = read_jarvis_tensors(tmp_path)[Tensor.ELASTIC]
    np.testing.assert_array_equal(pickled.tensors, unpacked.tensors)
    np.testing.assert_array_equal(pickled.crystals.frac_coords, unpacked.crystals.frac_coords)


@pytest.mark.parametrize("unknown", [None, [], ()])
def test_a_tensor_that_is_missing_null_or_empty_is_not_known(tmp_path: Path, unknown: Any) -> None:
    records = [record(elastic_total_kbar=unknown), record(elastic_total_kbar=NUMBERED), record()]
    assert len(read_jarvis_tensors(write(tmp_path, records))[Tensor.ELASTIC].ids) == 1


def test_a_tensor_of_zeros_is_known(tmp_path: Path) -> None:
    records = [record(dielectric=None, piezoelectric_C_m2=np.zeros((3, 6)).tolist())]
    assert len(read_jarvis_tensors(write(tmp_path, records, "jarvis_diele_piezo"))[Tensor.PIEZOELECTRIC].ids) == 1


def test_pickled_structures_and_jarvis_objects_are_read_as_crystals(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # JARVIS is not installed: a class of the same name with the same attributes stands for its own
    atoms_class = type("Atoms", (), {"__module__": "jarvis.core.atoms"})
    module = ModuleType("jarvis.core.atoms")
    module.Atoms = atoms_class  # type: ignore[attr-defined]
    for name in ("jarvis", "jarvis.core"):
        monkeypatch.setitem(sys.modules, name, ModuleType(name))
    monkeypatch.setitem(sys.modules, "jarvis.core.atoms", module)
    frac = np.array([[0, 0, 0], [0.5, 0.5, 0.5]])
    atoms = atoms_class()
    atoms.__dict__.update(lattice_mat=4.2 * np.eye(3), frac_coords=frac, elements=["Mg", "O"], cartesian=False)
    structure = Structure(Lattice.cubic(4.2), ["Mg", "O"], frac)
    write(tmp_path, [{"atoms": each, "elastic_total_kbar": NUMBERED} for each in (atoms, structure)])
    crystals = read_jarvis_tensors(tmp_path)[Tensor.ELASTIC].crystals
    assert crystals.numbers.tolist() == [12, 8, 12, 8]
    np.testing.assert_array_equal(crystals.lattice, [4.2 * np.eye(3)] * 2)
    np.testing.assert_array_equal(crystals.frac_coords, np.concatenate([frac, frac]))


@pytest.mark.parametrize(
    ("records", "why"),
    [
        ({"a": 1}, "holds a dict, not a list of records"),
        ([1, 2], "not a list of records"),
        ([{"elastic_total_kbar": NUMBERED}], r"record 0 \(0-based\) has no readable crystal"),
        ([{"atoms": {"lattice_mat": [1]}, "elastic_total_kbar": NUMBERED}], "has no readable crystal"),
        ([record(elastic_total_kbar=NUMBERED[:5])], r"no \(6, 6\) array"),
        ([record(elastic_total_kbar="na")], r"no \(6, 6\) array"),
        ([record(elastic_total_kbar=np.full((6, 6), np.nan).tolist())], "finite"),
    ],
)
def test_a_file_that_is_something_else_is_refused_with_a_reason(tmp_path: Path, records: Any, why: str) -> None:
    with pytest.raises(SourceError, match=why):
        read_jarvis_tensors(write(tmp_path, records))


def test_a_folder_without_the_files_says_which_are_wanted(tmp_path: Path) -> None:
    with pytest.raises(SourceError, match=r"No jarvis_diele_piezo\.pkl or jarvis_elastic\.pkl"):
        read_jarvis_tensors(tmp_path)
