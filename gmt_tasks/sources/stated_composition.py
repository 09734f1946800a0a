"""What a record says of its own composition, compared with the atoms that it lists.

A formula, a list of elements or a composition that names other elements or ratios is a contradiction: one of the two
is another crystal. A number of sites that differs is a doubt only, since it may be that of another cell. Text that is
no formula (an anonymous one, a name, a charge) states nothing.
"""

from collections import Counter
from collections.abc import Mapping
from typing import Any

import numpy as np

from gmt_tasks.sources.parsed import Ints, RefusedInputError, atomic_number
from models.crystals.crystal import reduced_formula
from models.crystals.formula import parse_formula
from models.errors import Doubt, Reason

FORMULA_KEYS = (
    "chemical_formula_reduced", "chemical_formula_descriptive", "chemical_formula_hill", "formula", "formula_pretty",
    "formula_reduced", "full_formula", "pretty_formula", "reduced_formula", "composition", "composition_reduced",
    "unit_cell_formula",
)  # fmt: skip
"""Keys and columns that hold a formula as text, or as amounts by element."""
COUNT_KEYS = ("nsites", "num_sites", "n_sites", "natoms", "num_atoms", "n_atoms")
"""Keys and columns that hold a number of atoms."""

_STATEMENTS = frozenset((*FORMULA_KEYS, *COUNT_KEYS, "elements"))
_AMOUNT_TOLERANCE = 0.02
"""Of amounts that are no whole numbers, relative to the larger one: formulas are rounded."""


def composition_notes(record: Mapping[str, Any], numbers: Ints) -> tuple[str, ...]:
    """Compares what a record states with its atoms.

    Args:
        record: everything that came with a crystal.
        numbers: atomic numbers of the crystal, shape [n_atoms].

    Returns:
        A doubt for each number of atoms that differs.

    Raises:
        RefusedInputError: a formula, composition or list of elements contradicts the atoms (`composition_mismatch`).
    """
    stated = _STATEMENTS & record.keys()
    if not stated or not len(numbers):
        return ()
    for key in FORMULA_KEYS:
        amounts = _amounts(record[key]) if key in stated else None
        if amounts is not None and not is_same_composition(amounts, numbers):
            detail = f"{key} says {str(record[key])[:80]!r}, the atoms listed are {reduced_formula(numbers)}"
            raise RefusedInputError(Reason.COMPOSITION_MISMATCH, detail)
    labels = record["elements"] if "elements" in stated else None
    if isinstance(labels, list) and labels and all(isinstance(label, str) for label in labels):
        elements = {atomic_number(label) for label in labels}
        if None not in elements and elements != set(numbers.tolist()):
            detail = f"elements says {', '.join(labels)[:80]}, the atoms listed are {reduced_formula(numbers)}"
            raise RefusedInputError(Reason.COMPOSITION_MISMATCH, detail)
    counts = [(key, record[key]) for key in COUNT_KEYS if key in stated and type(record[key]) in (int, float)]
    return tuple(count_doubt(key, count, len(numbers)) for key, count in counts if count != len(numbers))


def count_doubt(key: str, count: float, n_atoms: int) -> str:
    """The note about a number of atoms that differs from that of the atoms listed."""
    return f"{Doubt.COMPOSITION}: {key} says {count:g}, {n_atoms} atoms are listed"


def _amounts(value: Any) -> dict[int, float] | None:
    """The amounts that a formula or a composition states; None if it states none."""
    if isinstance(value, str):
        return parse_formula(value)
    if not isinstance(value, Mapping) or not value:
        return None
    amounts: Counter[int] = Counter()
    for label, amount in value.items():
        atomic = atomic_number(label)  # oxidation states of one element add up
        if not atomic or isinstance(amount, bool) or not isinstance(amount, (int, float)) or not 0 < amount < 1e6:
            return None
        amounts[atomic] += amount  # type: ignore[assignment]
    return {z: float(amount) for z, amount in amounts.items()}


def is_same_composition(amounts: Mapping[int, float], numbers: Ints) -> bool:
    """True if the amounts have the elements and the ratios of the atoms; whole numbers must agree exactly."""
    elements, counts = np.unique(numbers, return_counts=True)
    stated = np.array([amounts.get(z, 0.0) for z in elements.tolist()])
    if len(amounts) != len(elements) or not stated.all():
        return False
    expected = counts * (stated.sum() / counts.sum())
    tolerance = 1e-6 if (stated == np.rint(stated)).all() else _AMOUNT_TOLERANCE
    return bool((np.abs(stated - expected) <= tolerance * np.maximum(stated, expected)).all())
