"""Frameworks with pores are distinguished from dense ones, whatever they are made of."""

import numpy as np
import pytest

from models.applicability.descriptor import DESCRIPTOR_GRAPH, describe
from models.applicability.dimensionality import network_dimension
from models.applicability.structure_kind import is_open_framework
from models.crystals.crystal import CrystalBatch
from models.crystals.graph import build_graph
from models.reference.crystals import in_cell, random_orthogonal, textbook_crystals, transformed
from tests.models.applicability.known_frameworks import known_frameworks

KNOWN = known_frameworks()


def is_open(crystals: CrystalBatch) -> list[bool]:
    graph = build_graph(crystals, DESCRIPTOR_GRAPH)
    return is_open_framework(describe(crystals, graph), network_dimension(crystals, graph)).tolist()


def test_the_frameworks_have_the_atoms_of_their_formulas() -> None:
    counts = {
        name: dict(zip(*np.unique(batch.numbers, return_counts=True), strict=True)) for name, batch in KNOWN.items()
    }
    assert counts["sodalite"] == {14: 12, 8: 24}
    assert counts["zeolite A"] == {14: 24, 8: 48}
    assert counts["MOF-5"] == {30: 32, 8: 8 * 13, 6: 8 * 24, 1: 8 * 12}


@pytest.mark.parametrize("name", KNOWN)
def test_zeolites_and_metal_organic_frameworks_are_open(name: str) -> None:
    assert is_open(KNOWN[name]) == [True]


def test_dense_crystals_are_not_open() -> None:
    """Negative control: quartz, rutile and the other textbook structures."""
    assert not any(is_open(textbook_crystals().crystals))


def test_a_framework_is_open_in_every_representation() -> None:
    sodalite = transformed(KNOWN["sodalite"], random_orthogonal(np.random.default_rng(0)))
    assert is_open(in_cell(sodalite, np.array([[1, 1, 0], [0, 1, 0], [0, 0, 2]]))) == [True]


def test_a_framework_that_is_filled_is_not_open() -> None:
    """Negative control: atoms in the cages of sodalite take its room away, as in helvine."""
    empty = KNOWN["sodalite"]
    places = np.array([[0, 0, 0], [0.5, 0.5, 0.5], *(0.5 * np.eye(3)), *(0.5 - 0.5 * np.eye(3))])
    filled = CrystalBatch.from_arrays(
        empty.lattice, [np.concatenate([empty.frac_coords, places])], [np.append(empty.numbers, [55] * len(places))]
    )
    assert is_open(filled) == [False]
