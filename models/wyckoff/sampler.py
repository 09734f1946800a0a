"""Crystals written by the network, many at a time, each slot drawn from what the ones before it allow."""

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
import torch
from numpy.typing import NDArray

from models.crystals.crystal import Floats, Ints
from models.wyckoff.draft import Draft, Slot
from models.wyckoff.network import KeysAndValues, SlotInputs, WyckoffNetwork
from models.wyckoff.placement import fixed_sites_are_separate, separate_nodes
from models.wyckoff.positions import first_position_id
from models.wyckoff.slots import CLOSED, N_BINS, SlotKind, density, is_periodic

MOST_SLOTS = 192
_ORBIT_TRIALS, _CELL_TRIALS, _TRIALS = 8, 4, 4

_LEAST_SHARE = 1e-3
"""Of a density that falls on places where atoms keep apart; below it what came before is drawn anew."""


@dataclass(frozen=True)
class Wanted:
    """What crystals are to be written.

    Attributes:
        space_groups: numbers to choose from; empty for all.
        elements: atomic numbers that may be used; empty for all.
        required: atomic numbers that must be used, all of them among `elements`.
        most_sites: of the primitive cell.
        temperature: 1 draws as the network has it, less draws likelier ones.
        keep_apart: whether places are left out where atoms would come too close.
    """

    space_groups: tuple[int, ...] = ()
    elements: tuple[int, ...] = ()
    required: tuple[int, ...] = ()
    most_sites: int = 40
    temperature: float = 1.0
    keep_apart: bool = True


@dataclass
class _Writing:
    """One crystal in a batch: its draft and what was read of it.

    Attributes:
        opening: what its first slots are to hold; shortened as they are filled.
        draft: so far.
        before: kind, category and place of the slots filled, in order, as the network reads them.
        log_probabilities: of what they hold, see `Written`.
        orbit_trials: how often parameters were drawn anew since the cell was drawn.
        cell_trials: how often the cell was since the orbits were.
        trials: how often the orbits were.
        has_failed: whether it was given up: too many slots, or no place that keeps atoms apart.
    """

    opening: list[int]
    draft: Draft = field(default_factory=Draft)
    before: list[tuple[int, int, float]] = field(default_factory=lambda: [(SlotKind.SPACE_GROUP, 0, 0.0)])
    log_probabilities: list[float] = field(default_factory=list)
    orbit_trials: int = 0
    cell_trials: int = 0
    trials: int = 0
    has_failed: bool = False

    @property
    def is_done(self) -> bool:
        """Whether it is complete or was given up."""
        return self.has_failed or self.draft.is_complete

    def forget(self, n_slots: int) -> None:
        """Leaves out the slots filled last."""
        if n_slots:
            del self.before[-n_slots:], self.log_probabilities[-n_slots:]


@dataclass(frozen=True)
class Written:
    """Crystals that a network wrote.

    Attributes:
        drafts: complete ones, in the order in which they were begun.
        rows: place of each among all that were begun; those that are missing were given up, [n].
        log_probability: of each among what it might have held, densities of continuous values per distance of nodes,
            [n]; what was taken back does not count.
    """

    drafts: list[Draft]
    rows: Ints
    log_probability: Floats


@torch.inference_mode()
def write(
    network: WyckoffNetwork, wanted: Wanted, openings: Sequence[Sequence[int]], rng: np.random.Generator
) -> Written:
    """Begins crystals and fills them.

    Args:
        network: in inference mode.
        wanted: what they are to be.
        openings: what the first slots of each hold, see `conditions`; empty ones are drawn.
        rng: of all draws.
    """
    n = len(openings)
    writings = [_Writing(opening=list(opening)) for opening in openings]
    memory = KeysAndValues(network.config, n, MOST_SLOTS)
    drawer = _Drawer(network, wanted, rng)
    active = np.arange(n)
    while len(active):
        slots = [writings[row].draft.slot() for row in active]
        inputs = next_inputs(slots, [writings[row].before[-1] for row in active])
        features = network.step(inputs, memory, torch.as_tensor(active))
        drawer.fill([writings[row] for row in active], slots, features)
        for row in active:
            # what was taken back is forgotten
            memory.length[row] = len(writings[row].before) - 1
            writings[row].has_failed |= len(writings[row].before) >= MOST_SLOTS and not writings[row].draft.is_complete
        active = np.array([row for row in active if not writings[row].is_done], dtype=np.int64)
    rows = [row for row, one in enumerate(writings) if not one.has_failed]
    sums = [sum(writings[row].log_probabilities) for row in rows]
    return Written([writings[row].draft for row in rows], np.array(rows, dtype=np.int64), np.array(sums))


def next_inputs(slots: list[Slot], before: list[tuple[int, int, float]]) -> SlotInputs:
    """What the network reads of the next slots, [n, 1]."""
    columns = torch.tensor([tuple(slot) for slot in slots])[:, :, None].unbind(1)
    kind, position, species, orbit, group = columns
    earlier = torch.tensor([(a, b) for a, b, _ in before])
    places = torch.tensor([place for _, _, place in before], dtype=torch.float32)
    return SlotInputs(kind, position, species, orbit, group, earlier[:, :1], earlier[:, 1:], places[:, None])


class _Drawer:
    """Draws what slots hold."""

    def __init__(self, network: WyckoffNetwork, wanted: Wanted, rng: np.random.Generator) -> None:
        self._network, self._wanted, self._rng = network, wanted, rng

    def fill(self, writings: list[_Writing], slots: list[Slot], features: torch.Tensor) -> None:
        """Fills the next slot of each draft, or takes back what left no room for it."""
        kinds = np.array([slot.kind for slot in slots])
        for kind in np.unique(kinds):
            rows = np.flatnonzero(kinds == kind)
            logits = self._network.logits(features[torch.as_tensor(rows)], SlotKind(kind))
            scaled = torch.log_softmax(logits / self._wanted.temperature, dim=-1).double().numpy()
            for row, values in zip(rows.tolist(), scaled, strict=True):
                if kind <= SlotKind.SPECIES:
                    self._choose(writings[row], slots[row], values)
                else:
                    self._place(writings[row], slots[row], values)

    def _choose(self, writing: _Writing, slot: Slot, logits: Floats) -> None:
        draft = writing.draft
        choices = draft.choices(self._wanted.most_sites)
        if writing.opening:
            choices &= np.arange(len(choices)) == writing.opening.pop(0)
        if slot.kind == SlotKind.SPACE_GROUP and self._wanted.space_groups:
            choices &= np.isin(np.arange(len(choices)), self._wanted.space_groups)
        if slot.kind == SlotKind.ELEMENT and self._wanted.elements:
            choices &= np.isin(np.arange(len(choices)), (CLOSED, *self._wanted.elements))
        missing = set(self._wanted.required).difference(draft.elements)
        if slot.kind == SlotKind.ELEMENT and missing:  # elements rise: the lightest of them must not be passed over
            choices[[CLOSED, *range(min(missing) + 1, len(choices))]] = False
        if not choices.any():
            # an element without an orbit and no room for one, or the last of the wanted elements is in the set
            if slot.kind == SlotKind.POSITION:
                self._take_back_orbits(writing)
            else:
                writing.has_failed = True
            return
        category, log_probability = self._drawn(logits, choices)
        draft.choose(category)
        is_position = slot.kind == SlotKind.POSITION and category != CLOSED
        read = first_position_id(draft.number) + category - 1 if is_position else category
        writing.before.append((slot.kind, read, 0.0))
        writing.log_probabilities.append(log_probability)

    def _place(self, writing: _Writing, slot: Slot, logits: Floats) -> None:
        draft, keep_apart = writing.draft, self._wanted.keep_apart
        nodes = np.ones(N_BINS, dtype=np.bool_)
        if keep_apart and draft.is_at_last_parameter:
            nodes = separate_nodes(draft)
            if np.exp(logits[nodes]).sum() < _LEAST_SHARE:
                # the parameters of the orbit are drawn anew, after some trials the cell too
                writing.orbit_trials += 1
                if writing.orbit_trials > _ORBIT_TRIALS:
                    self._take_back_cell(writing)
                else:
                    writing.forget(draft.take_back_orbit())
                return
        node, _ = self._drawn(logits, nodes)
        place = float(node + self._rng.triangular(-1.0, 0.0, 1.0))
        # beyond an end a triangle is folded back
        place = place % N_BINS if is_periodic(slot.kind) else N_BINS - 1.0 - abs(N_BINS - 1.0 - abs(place))
        weights = np.where(nodes, np.exp(logits), 0.0)
        was_without_cell = not draft.has_cell
        draft.place(place)
        writing.before.append((slot.kind, 0, place / N_BINS))
        writing.log_probabilities.append(float(np.log(density(slot.kind, weights / weights.sum(), place))))
        if was_without_cell and draft.has_cell:
            is_possible = np.isfinite(draft.cell()).all()
            if not is_possible or (keep_apart and not fixed_sites_are_separate(draft)):
                self._take_back_cell(writing)

    def _take_back_cell(self, writing: _Writing) -> None:
        """Has the cell drawn anew, after some trials the orbits too."""
        writing.orbit_trials = 0
        writing.cell_trials += 1
        if writing.cell_trials > _CELL_TRIALS:
            self._take_back_orbits(writing)
        else:
            writing.forget(writing.draft.take_back_cell())

    def _take_back_orbits(self, writing: _Writing) -> None:
        """Has all behind the elements drawn anew; after some trials the crystal is given up."""
        writing.orbit_trials = writing.cell_trials = 0
        writing.trials += 1
        writing.has_failed = writing.trials > _TRIALS
        writing.forget(writing.draft.take_back_orbits())

    def _drawn(self, logits: Floats, choices: NDArray[np.bool_]) -> tuple[int, float]:
        """A choice and the logarithm of its probability among those allowed."""
        allowed = np.flatnonzero(choices)
        weights = np.exp(logits[allowed] - logits[allowed].max())
        sums = np.cumsum(weights)
        index = int(np.searchsorted(sums, self._rng.random() * sums[-1], side="right"))
        index = min(index, len(allowed) - 1)
        return int(allowed[index]), float(np.log(weights[index] / sums[-1]))
