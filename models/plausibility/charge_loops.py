"""Compiled search for oxidation states with zero sum: compositions, then who is a cation, then the states of each."""

import numpy as np
from numpy.typing import NDArray

from models.compiled import compiled

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
Table = tuple[Ints, Ints, Floats, NDArray[np.bool_]]


@compiled
def balance_charges(numbers: Ints, amounts: Ints, first: Ints, table: Table, states: Floats) -> Ints:
    """Whether the elements of each composition have oxidation states with zero sum.

    Cations are less electronegative than anions: with the elements in this order the first ones are cations, the
    others anions, and each place between two different electronegativities is tried, the last one first.

    Args:
        numbers: atomic numbers, shape [n_entries].
        amounts: atoms of each, shape [n_entries].
        first: entry where each composition starts and, last, the number of entries, shape [n_crystals + 1].
        table: by atomic number where its states start, [n + 1]; the states, ascending for each element, [n_states];
            electronegativities, NaN where there is none, [n]; whether it may be between two states, [n].
        states: becomes the oxidation state of each entry, NaN where there is none, shape [n_entries].

    Returns:
        For each composition 2 if every element has one state, 1 if one element is between two of its states, else 0.
    """
    answers = np.zeros(len(first) - 1, np.int64)
    for crystal in range(len(answers)):
        start, stop = first[crystal], first[crystal + 1]
        for entry in range(start, stop):
            states[entry] = np.nan
        order, is_known = _by_electronegativity(numbers, start, stop, table[2])
        if not is_known:
            continue
        n_elements = stop - start
        for n_cations in range(n_elements - 1, start - start, -1):
            if _differs(numbers, order, n_cations, table[2]) and _assign(
                order, n_cations, start - start - 1, numbers, amounts, table, states
            ):
                answers[crystal] = 2
                break
        if answers[crystal]:
            continue
        for n_cations in range(n_elements - 1, start - start, -1):
            if not _differs(numbers, order, n_cations, table[2]):
                continue
            for mixed in range(n_elements):
                if table[3][numbers[order[mixed]]] and _assign(
                    order, n_cations, mixed, numbers, amounts, table, states
                ):
                    answers[crystal] = 1
                    break
            if answers[crystal]:
                break
    return answers


@compiled
def _by_electronegativity(numbers: Ints, start: int, stop: int, electronegativity: Floats) -> tuple[Ints, bool]:
    """Entries from start to stop by ascending electronegativity, and whether every element has one."""
    order, is_known = np.empty(stop - start, np.int64), True
    for entry in range(start, stop):
        value = electronegativity[numbers[entry]]
        is_known = is_known and value == value
        place = entry - start
        while place > 0 and electronegativity[numbers[order[place - 1]]] > value:
            order[place] = order[place - 1]
            place -= 1
        order[place] = entry
    return order, is_known


@compiled
def _differs(numbers: Ints, order: Ints, n_cations: int, electronegativity: Floats) -> bool:
    """Whether the last cation is less electronegative than the first anion."""
    last, after = numbers[order[n_cations - 1]], numbers[order[n_cations]]
    return bool(electronegativity[last] < electronegativity[after])


@compiled
def _assign(
    order: Ints, n_cations: int, mixed: int, numbers: Ints, amounts: Ints, table: Table, states: Floats
) -> bool:
    """Finds states with zero sum and writes them down: a search in depth that leaves what cannot end at zero.

    Args:
        order: entries by electronegativity, shape [n_elements].
        n_cations: so many of them are positive, the others negative.
        mixed: place in `order` of an element that may be between its lowest and highest state; -1 for none.
        numbers: see `balance_charges`.
        amounts: likewise.
        table: likewise.
        states: likewise.
    """
    n_elements = len(order)
    # the element between two states comes last: its state is what is left
    entries, low, high = np.empty(n_elements, np.int64), np.empty(n_elements, np.int64), np.empty(n_elements, np.int64)
    filled = 0
    for step in range(n_elements + 1):
        place = step if step < n_elements else mixed
        if place < 0 or (place == mixed and step < n_elements):
            continue
        entry = order[place]
        low[filled], high[filled] = _range_of_sign(numbers[entry], place < n_cations, table)
        if low[filled] >= high[filled]:
            return False
        entries[filled] = entry
        filled += 1
    least, most = np.zeros(n_elements + 1, np.int64), np.zeros(n_elements + 1, np.int64)
    for place in range(n_elements - 1, -1, -1):
        amount = amounts[entries[place]]
        least[place] = least[place + 1] + table[1][low[place]] * amount
        most[place] = most[place + 1] + table[1][high[place] - 1] * amount
    index, total = low.copy(), np.zeros(n_elements + 1, np.int64)
    place = 0
    while place >= 0:
        entry = entries[place]
        if mixed >= 0 and place == n_elements - 1:
            left, amount = -total[place], amounts[entry]
            if table[1][low[place]] * amount < left < table[1][high[place] - 1] * amount:
                states[entry] = left / amount
                return True
            place -= 1
            continue
        if index[place] >= high[place]:
            index[place] = low[place]
            place -= 1
            continue
        state = table[1][index[place]]
        index[place] += 1
        states[entry] = state
        total[place + 1] = total[place] + state * amounts[entry]
        if place == n_elements - 1:
            if total[place + 1] == 0:
                return True
        elif total[place + 1] + least[place + 1] <= 0 <= total[place + 1] + most[place + 1]:
            place += 1
    for place in range(n_elements):
        states[entries[place]] = np.nan
    return False


@compiled
def _range_of_sign(number: int, is_cation: bool, table: Table) -> tuple[int, int]:
    """First state of an element with a sign, and the one after the last."""
    start, stop = table[0][number], table[0][number + 1]
    while start < stop and is_cation and table[1][start] <= 0:
        start += 1
    while start < stop and not is_cation and table[1][stop - 1] >= 0:
        stop -= 1
    return start, stop
