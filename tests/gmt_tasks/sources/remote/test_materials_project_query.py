"""Criteria of mp:, read once: what they become for mp-api, and what is refused before anything is asked."""

import pytest

from gmt_tasks.sources.remote.materials_project_query import LABELLED, MaterialsQuery, Route
from models.errors import SourceError


@pytest.mark.parametrize(
    ("text", "criteria"),
    [
        ("mp:chemsys=Al-N", {"chemsys": ["Al-N"]}),
        ("mp:ids=mp-66,mp-149", {"material_ids": ["mp-66", "mp-149"]}),
        ("mp:band_gap=0.5..3", {"band_gap": (0.5, 3.0)}),
        ("mp:band_gap=0.5..,energy_above_hull=..0.05", {"band_gap": (0.5, None), "energy_above_hull": (None, 0.05)}),
        ("mp:nsites=..20, elements=Al,N", {"num_sites": (None, 20), "elements": ["Al", "N"]}),
        ("mp:num_elements=2", {"num_elements": (2, 2)}),
        ("mp:is_stable=true,crystal_system=cubic", {"is_stable": True, "crystal_system": "Cubic"}),
        ("mp:crystal_system=cubic,hexagonal", {"crystal_system": ["Cubic", "Hexagonal"]}),
        (
            "mp:spacegroup_number=186,spacegroup_symbol=P6_3mc",
            {"spacegroup_number": 186, "spacegroup_symbol": "P6_3mc"},
        ),
    ],
)
def test_criteria_become_arguments_of_mp_api(text: str, criteria: dict[str, object]) -> None:
    assert MaterialsQuery.from_text(text).criteria == criteria


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("mp:", "has no criterion"),
        ("mp:,", "has no criterion"),
        ("mp:mp-149", "is no criterion"),
        ("mp:frob=3", "'frob' is no criterion.*band_gap.*chemsys"),
        ("mp:band_gap=3..0.5", "no range"),
        ("mp:band_gap=a..b", "no range"),
        ("mp:band_gap=nan..3", "no range"),
        ("mp:band_gap=..", "no range"),
        ("mp:nsites=2.5", "no range"),
        ("mp:is_stable=yes", "neither true nor false"),
        ("mp:chemsys=Al-N,band_gap=1..2,chemsys=Ga-N", "names chemsys twice"),
        ("mp:crystal_system=cubist", "no crystal system"),
        ("mp:spacegroup_number=231", "from 1 to 230"),
    ],
)
def test_what_is_no_criterion_is_refused(text: str, said: str) -> None:
    with pytest.raises(SourceError, match=said):
        MaterialsQuery.from_text(text)


def test_has_props_names_the_collections_of_labels() -> None:
    assert MaterialsQuery.from_text("mp:chemsys=Si").routes == LABELLED
    assert MaterialsQuery.from_text("mp:has_props=elasticity").routes == (Route.ELASTICITY,)


def test_ranges_are_checked_on_what_arrives() -> None:
    query = MaterialsQuery.from_text("mp:k_vrh=100..200,nsites=..4")
    assert query.range_fields == ["bulk_modulus", "nsites"]
    assert query.is_meant({"bulk_modulus": {"vrh": 150.0}, "nsites": 4})
    assert not query.is_meant({"bulk_modulus": {"vrh": 250.0}, "nsites": 4})
    assert not query.is_meant({"bulk_modulus": {"vrh": 150.0}, "nsites": 5})
    assert not query.is_meant({"bulk_modulus": None, "nsites": 4})
    assert not query.is_meant({"bulk_modulus": {"vrh": True}, "nsites": 4})
