"""A crystal while it is written: which slot comes next, what it may hold, and what that makes of the crystal.

The same object is walked through a known crystal in training and filled by a network in sampling, so that both follow
one set of rules: letters never go back; a position without free parameters is taken once; an element is one of the set;
elements on one position come by rising atomic number, and none without an orbit is passed over on the last position;
the orbits are not closed before every element of the set has one. Every draft can so be completed, if there is room,
and every complete one is a crystal of its space group.
"""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from models.crystals.crystal import Floats, Ints
from models.wyckoff.cell import FREE_VALUES, cell_of_values
from models.wyckoff.occupation import WyckoffCrystals, n_sites
from models.wyckoff.positions import N_SPACE_GROUPS, first_position_id, space_group
from models.wyckoff.slots import CLOSED, N_CATEGORIES, SlotKind, from_nodes

Mask = NDArray[np.bool_]


class Slot(NamedTuple):
    """What is known of a slot before it is filled.

    Attributes:
        kind: what it will hold.
        position: id of the Wyckoff position that it speaks of, 0 where it speaks of none.
        species: atomic number of the orbit that it speaks of, 0 where that is not known yet.
        orbit: place of that orbit among those of the crystal.
        space_group: number, 0 before it is chosen.
    """

    kind: SlotKind
    position: int
    species: int
    orbit: int
    space_group: int


class Draft:
    """A crystal that is being written.

    Attributes:
        number: of the space group, 0 before it is chosen.
        elements: atomic numbers of the set, rising.
        positions: index of the Wyckoff position of each orbit in the group.
        species: atomic number of each orbit; one fewer than positions while its element is to be chosen.
        values: free values of the cell so far.
        parameters: of the orbits, [n_orbits, 3]; empty before the orbits are closed.
        orbit: whose parameters come next.
        free: free parameters of that orbit that are filled already.
    """

    def __init__(self) -> None:
        self.number = 0
        self.elements: list[int] = []
        self.positions: list[int] = []
        self.species: list[int] = []
        self.values: list[float] = []
        self.parameters = np.zeros((0, 3))
        self.orbit = self.free = 0
        self._set_is_closed = self._orbits_are_closed = False

    @property
    def is_complete(self) -> bool:
        """Whether no slot is left."""
        return self.has_cell and self.orbit == len(self.positions)

    def slot(self) -> Slot:
        """The next slot; there is one until the draft is complete."""
        number, n_orbits = self.number, len(self.positions)
        if not number:
            return Slot(SlotKind.SPACE_GROUP, 0, 0, 0, 0)
        if not self._set_is_closed:
            return Slot(SlotKind.ELEMENT, 0, 0, 0, number)
        if len(self.species) < n_orbits:
            return Slot(SlotKind.SPECIES, first_position_id(number) + self.positions[-1], 0, n_orbits - 1, number)
        if not self._orbits_are_closed:
            return Slot(SlotKind.POSITION, 0, 0, n_orbits, number)
        if len(self.values) < len(FREE_VALUES[number]):
            return Slot(SlotKind(SlotKind.VOLUME + FREE_VALUES[number][len(self.values)]), 0, 0, 0, number)
        position = self.positions[self.orbit]
        axis = space_group(number).positions[position].free[self.free]
        identity = first_position_id(number) + position
        return Slot(SlotKind(SlotKind.X + axis), identity, self.species[self.orbit], self.orbit, number)

    def choices(self, most_sites: int | None = None) -> Mask:
        """What the next slot may hold, [n_categories]; asked of slots with categories alone.

        Args:
            most_sites: of the primitive cell, if it must not hold more. Nothing may follow where an element has no
                orbit yet and none has room.
        """
        kind = self.slot().kind
        mask = np.zeros(N_CATEGORIES[kind], dtype=np.bool_)
        if kind == SlotKind.SPACE_GROUP:
            mask[1 : N_SPACE_GROUPS + 1] = True
        elif kind == SlotKind.ELEMENT:
            mask[self.elements[-1] + 1 if self.elements else 1 :] = True
            mask[CLOSED] = bool(self.elements)
        elif kind == SlotKind.SPECIES:
            self._mark_species(mask)
        else:
            self._mark_positions(mask, most_sites)
        return mask

    def _mark_species(self, mask: Mask) -> None:
        """Elements that may occupy the last position chosen."""
        is_repeated = len(self.positions) > 1 and self.positions[-1] == self.positions[-2]
        lightest = self.species[-1] if is_repeated else 1
        is_general = self.positions[-1] == len(space_group(self.number).positions) - 1
        without_orbit = set(self.elements).difference(self.species)
        # nothing follows the general position: an element that is passed over there would never have an orbit
        heaviest = min(without_orbit) if is_general and without_orbit else self.elements[-1]
        mask[[z for z in self.elements if lightest <= z <= heaviest]] = True

    def _mark_positions(self, mask: Mask, most_sites: int | None) -> None:
        """Letters that may follow, counted from 1, and the end."""
        group = space_group(self.number)
        last = self.positions[-1] if self.positions else 0
        is_taken = bool(self.positions) and group.positions[last].is_fixed
        allowed = list(range(last + is_taken, len(group.positions)))
        may_close = set(self.species) == set(self.elements)
        if most_sites is not None:
            room = most_sites - sum(n_sites(group, position) for position in self.positions)
            allowed = [position for position in allowed if n_sites(group, position) <= room]
        mask[[position + 1 for position in allowed]] = True
        mask[CLOSED] = may_close

    def choose(self, category: int) -> None:
        """Fills the next slot, one with categories."""
        kind = self.slot().kind
        if kind == SlotKind.SPACE_GROUP:
            self.number = category
        elif kind == SlotKind.SPECIES:
            self.species.append(category)
        elif kind == SlotKind.ELEMENT:
            self._set_is_closed = category == CLOSED
            self.elements += [category] if category != CLOSED else []
        elif category == CLOSED:
            self._orbits_are_closed = True
            self.parameters = np.zeros((len(self.positions), 3))
        else:
            self.positions.append(category - 1)

    def place(self, nodes: float) -> None:
        """Fills the next slot, a continuous one, with a place in nodes."""
        slot = self.slot()
        if slot.kind < SlotKind.X:
            self.values.append(from_nodes(slot.kind, nodes))
        else:
            self.parameters[self.orbit, slot.kind - SlotKind.X] = from_nodes(slot.kind, nodes)
            self.free += 1
        self.pass_filled_orbits()

    @property
    def is_at_last_parameter(self) -> bool:
        """Whether the next slot holds the last free parameter of an orbit."""
        if not self.has_cell:
            return False
        return self.free + 1 == len(space_group(self.number).positions[self.positions[self.orbit]].free)

    def take_back_orbit(self) -> int:
        """Empties the slots of the orbit that is being placed; returns their number."""
        n_emptied, self.free = self.free, 0
        self.parameters[self.orbit] = 0.0
        return n_emptied

    def take_back_cell(self) -> int:
        """Empties the slots of the cell and of all parameters; returns their number."""
        positions = space_group(self.number).positions
        n_emptied = len(self.values) + sum(len(positions[k].free) for k in self.positions[: self.orbit]) + self.free
        self.values, self.orbit, self.free = [], 0, 0
        self.parameters[:] = 0.0
        return n_emptied

    def take_back_orbits(self) -> int:
        """Empties all slots behind the set of elements; returns their number."""
        n_emptied = self.take_back_cell() + len(self.positions) + len(self.species) + self._orbits_are_closed
        self.positions, self.species, self._orbits_are_closed = [], [], False
        self.parameters = np.zeros((0, 3))
        return n_emptied

    def pass_filled_orbits(self) -> None:
        """Goes on to the next orbit with a parameter to fill."""
        if not self.has_cell:
            return
        positions = space_group(self.number).positions
        while self.orbit < len(self.positions) and self.free == len(positions[self.positions[self.orbit]].free):
            self.orbit, self.free = self.orbit + 1, 0

    @property
    def has_cell(self) -> bool:
        """Whether all values of the cell are filled."""
        return self._orbits_are_closed and len(self.values) == len(FREE_VALUES[self.number])

    def placed_orbits(self) -> list[int]:
        """Orbits whose sites are known once there is a cell: those that are filled, and those without parameters."""
        positions = space_group(self.number).positions
        return [k for k, position in enumerate(self.positions) if k < self.orbit or positions[position].is_fixed]

    def cell(self) -> Floats:
        """The conventional cell once its values are filled: a, b, c in angstrom, angles in degrees, [6]."""
        group = space_group(self.number)
        n_atoms = sum(group.positions[position].multiplicity for position in self.positions)
        values = np.zeros(6)
        values[list(FREE_VALUES[self.number])] = self.values
        return cell_of_values(self.number, values, n_atoms)


def crystals_of(drafts: list[Draft]) -> WyckoffCrystals:
    """Complete drafts as crystals."""
    counts: Ints = np.array([len(draft.positions) for draft in drafts], dtype=np.int64)
    return WyckoffCrystals(
        np.array([draft.number for draft in drafts], dtype=np.int64),
        np.array([draft.cell() for draft in drafts]).reshape(-1, 6),
        np.array([position for draft in drafts for position in draft.positions], dtype=np.int64),
        np.array([z for draft in drafts for z in draft.species], dtype=np.int64),
        np.concatenate([*(draft.parameters for draft in drafts), np.zeros((0, 3))]),
        np.repeat(np.arange(len(drafts)), counts),
    )
