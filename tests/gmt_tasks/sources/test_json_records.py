"""JSON from outside: five shapes give one crystal, hostile JSON gives a reason and runs nothing."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pymatgen.core import Lattice, Structure

from gmt_tasks.sources.json_records import load_json, parse_record
from gmt_tasks.sources.parsed import RefusedInputError
from models.errors import Reason

LATTICE = np.array([[4.0, 0.2, 0.0], [0.0, 5.0, 0.1], [0.3, 0.0, 6.0]])
FRAC = np.array([[0.0, 0.0, 0.0], [0.5, 0.5, 0.5], [0.5, 0.5, 0.0]])
SYMBOLS = ["Ba", "Ti", "O"]
NUMBERS = [56, 22, 8]


def shapes() -> dict[str, dict[str, Any]]:
    """One crystal in every shape; the pymatgen one is written by pymatgen itself."""
    cartesian = (FRAC @ LATTICE).tolist()
    structure = Structure(Lattice(LATTICE), ["Ba2+", "Ti4+", "O2-"], FRAC)
    return {
        "columns": {"lattice": LATTICE.ravel().tolist(), "species": NUMBERS, "frac_coords": FRAC.ravel().tolist()},
        "columns by symbol": {"lattice": LATTICE.tolist(), "species": SYMBOLS, "frac_coords": FRAC.tolist()},
        "pymatgen": json.loads(json.dumps(structure.as_dict())),
        "wrapped": {"structure": structure.as_dict(), "band_gap": 3.2},
        "optimade": {
            "type": "structures",
            "attributes": {
                "lattice_vectors": LATTICE.tolist(),
                "cartesian_site_positions": cartesian,
                "species_at_sites": ["Ba", "Ti1", "O"],
                "species": [{"name": "Ti1", "chemical_symbols": ["Ti"], "concentration": [1.0]}],
            },
        },
        "jarvis": {
            "atoms": {"lattice_mat": LATTICE.tolist(), "coords": cartesian, "elements": SYMBOLS, "cartesian": True}
        },
        "jarvis fractional": {"lattice_mat": LATTICE.tolist(), "coords": FRAC.tolist(), "elements": SYMBOLS},
        "moyo": {"lattice": {"basis": LATTICE.ravel().tolist()}, "positions": FRAC.tolist(), "numbers": NUMBERS},
    }


@pytest.mark.parametrize("shape", shapes())
def test_every_shape_gives_the_same_crystal(shape: str) -> None:
    crystal = parse_record(shapes()[shape])
    assert np.allclose(crystal.lattice, LATTICE, atol=1e-12)
    assert np.allclose(crystal.frac_coords, FRAC, atol=1e-12)
    assert crystal.numbers.tolist() == NUMBERS


@pytest.mark.parametrize("shape", shapes())
def test_the_id_is_taken_and_other_keys_travel_along(shape: str) -> None:
    crystal = parse_record({**shapes()[shape], "id": "mp-1", "label": 7})
    assert crystal.source_id == "mp-1"
    assert crystal.extra["label"] == 7
    assert not {"lattice", "sites", "structure", "@module", "id"} & set(crystal.extra)


def test_a_module_key_is_data_and_is_never_called(tmp_path: Path) -> None:
    victim = tmp_path / "ran"
    attack = {
        "@module": "subprocess",
        "@class": "check_output",
        "@callable": "check_output",
        "args": f"touch {victim}",
        "shell": True,
    }
    record = {**shapes()["pymatgen"], **attack, "properties": attack}
    assert parse_record(load_json(json.dumps(record))).numbers.tolist() == NUMBERS
    with pytest.raises(RefusedInputError):
        parse_record(load_json(json.dumps(attack)))
    assert not victim.exists()


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"lattice": [1, 2, 3]}, Reason.PARSE),
        ({"lattice": "abc"}, Reason.PARSE),
        ({"lattice": None}, Reason.PARSE),
        ({"lattice": [[1, 2], [3, 4], [5]]}, Reason.PARSE),
        ({"frac_coords": FRAC[:2].tolist()}, Reason.PARSE),
        ({"frac_coords": None}, Reason.PARSE),
        ({"species": ["Ba", "Qq", "O"]}, Reason.UNKNOWN_SPECIES),
        ({"species": ["Ba", "X", "O"]}, Reason.UNKNOWN_SPECIES),
        ({"species": [56, 22, 6_300_000_000_000_000_000]}, Reason.UNKNOWN_SPECIES),
        ({"lattice": [float("nan")] * 9}, Reason.NONFINITE),
        ({"frac_coords": [[0, 0, 0], [0.5, 0.5, float("inf")], [0.5, 0.5, 0]]}, Reason.NONFINITE),
    ],
)
def test_broken_columns_get_their_reason(change: dict[str, Any], reason: Reason) -> None:
    with pytest.raises(RefusedInputError) as refused:
        parse_record({**shapes()["columns"], **change})
    assert refused.value.reason is reason


@pytest.mark.parametrize(
    ("species", "reason"),
    [
        ([{"element": "Fe", "occu": 0.5}, {"element": "Co", "occu": 0.5}], Reason.DISORDERED),
        ([{"element": "Fe", "occu": 0.5}], Reason.DISORDERED),
        ([{"element": "Fe", "occu": 1.3}], Reason.OCCUPANCY),
        ([{"element": "X0+", "occu": 1}], Reason.UNKNOWN_SPECIES),
        ([], Reason.DISORDERED),
        ([{"occu": 1}], Reason.PARSE),
    ],
)
def test_broken_pymatgen_sites_get_their_reason(species: list[Any], reason: Reason) -> None:
    record = shapes()["pymatgen"]
    record["sites"][0]["species"] = species
    with pytest.raises(RefusedInputError) as refused:
        parse_record(record)
    assert refused.value.reason is reason


def test_optimade_vacancies_are_disorder() -> None:
    record = shapes()["optimade"]
    record["attributes"]["species"][0] |= {"chemical_symbols": ["Ti", "vacancy"], "concentration": [0.8, 0.2]}
    with pytest.raises(RefusedInputError) as refused:
        parse_record(record)
    assert refused.value.reason is Reason.DISORDERED


def test_a_flat_cell_cannot_turn_cartesian_positions_into_fractional_ones() -> None:
    record = shapes()["optimade"]
    record["attributes"]["lattice_vectors"] = [[1, 0, 0], [2, 0, 0], [0, 0, 1]]
    with pytest.raises(RefusedInputError) as refused:
        parse_record(record)
    assert refused.value.reason is Reason.DEGENERATE_CELL


def test_a_key_twice_and_a_nesting_without_end_are_refused() -> None:
    with pytest.raises(RefusedInputError, match="'species' occurs twice"):
        load_json('{"species": [1], "lattice": [], "species": [2]}')
    record: Any = shapes()["columns"]
    for _ in range(5000):
        record = {"structure": record}
    with pytest.raises(RefusedInputError) as refused:
        parse_record(record)
    assert refused.value.reason is Reason.PARSE


def test_a_label_without_end_costs_nothing() -> None:
    with pytest.raises(RefusedInputError) as refused:  # matching it would take minutes
        parse_record({**shapes()["columns"], "species": ["Ba", "Ti" + "1" * 1_000_000, "O"]})
    assert refused.value.reason is Reason.UNKNOWN_SPECIES and len(refused.value.detail) < 200


@pytest.mark.parametrize("text", ["", "{", '{"a": 1,}', "[" * 100_000, b"\xff\xfe\xfa", "9" * 10_000])
def test_what_is_no_json_is_refused(text: str | bytes) -> None:
    with pytest.raises(RefusedInputError) as refused:
        load_json(text)
    assert refused.value.reason is Reason.PARSE


def test_the_line_of_a_syntax_error_is_named() -> None:
    with pytest.raises(RefusedInputError, match="line 3 column"):
        load_json('{\n"a": 1,\n]')


_JSON = st.recursive(
    st.none() | st.booleans() | st.floats() | st.integers() | st.text("aFe3+ ", max_size=5),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text("aFe3+ ", max_size=5), inner, max_size=4),
    max_leaves=6,
)
_KEYS = ["lattice", "species", "frac_coords", "sites", "structure", "atoms", "attributes", "lattice_mat", "coords",
         "elements", "positions", "numbers", "id", "lattice_vectors", "species_at_sites"]  # fmt: skip


@settings(max_examples=50)
@given(st.dictionaries(st.sampled_from(_KEYS), _JSON, max_size=5))
def test_no_json_value_escapes_the_closed_list_of_reasons(record: dict[str, Any]) -> None:
    try:
        crystal = parse_record(record)
    except RefusedInputError as refused:
        assert refused.reason in Reason
    else:
        assert crystal.frac_coords.shape == (len(crystal.numbers), 3)
