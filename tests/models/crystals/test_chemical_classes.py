"""Kinds of compounds by their elements."""

import numpy as np
import pytest

from models.crystals.chemical_classes import chemical_classes
from models.crystals.crystal import SYMBOLS, CrystalBatch


@pytest.mark.parametrize(
    ("symbols", "expected"),
    [
        ("Fe", "intermetallic"),
        ("Ni Al", "intermetallic"),
        ("Ti O", "oxide"),
        ("Bi O Cl", "oxide"),
        ("Na Cl", "halide"),
        ("Zn S", "chalcogenide"),
        ("Ga N", "pnictide"),
        ("Si", "other"),
        ("W C", "other"),
        ("Mg B", "other"),
    ],
)
def test_the_class_follows_from_the_elements_whatever_their_order(symbols: str, expected: str) -> None:
    numbers = np.array([SYMBOLS.index(symbol) for symbol in symbols.split()])
    orders = [numbers, numbers[::-1], np.repeat(numbers, 2)]
    batch = CrystalBatch.from_arrays([np.eye(3)] * 3, [np.zeros((len(z), 3)) for z in orders], orders)
    assert chemical_classes(batch).tolist() == [expected] * 3


def test_no_crystals_have_no_classes() -> None:
    assert len(chemical_classes(CrystalBatch.from_arrays([], [], []))) == 0
