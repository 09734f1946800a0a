"""Known crystals as filled sequences of slots, for training and for the likelihood of a crystal."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from models.crystals.crystal import Floats, Ints, rows_between
from models.wyckoff.cell import FREE_VALUES, values_of_cell
from models.wyckoff.draft import Draft
from models.wyckoff.network import (
    SlotInputs,
    WyckoffNetwork,
    categorical_log_probability,
    linear_log_density,
    n_choices,
)
from models.wyckoff.occupation import Orbits, WyckoffCrystals
from models.wyckoff.positions import first_position_id, space_group
from models.wyckoff.slots import CLOSED, N_BINS, N_CATEGORIES, SlotKind, to_nodes

N_CHOICES = max(N_CATEGORIES.values())


@dataclass(frozen=True)
class Sequences:
    """Filled sequences of crystals, one after the other, with the choices that their slots had.

    Attributes:
        kind, position, species, orbit, space_group: of each slot, see `Slot`, [n_slots].
        category: what a slot of a category holds, 0 in continuous ones, [n_slots].
        place: what a continuous slot holds, in nodes, 0 in categories, [n_slots].
        read_category: the category as the slot after it reads it: for a position its id, [n_slots].
        first_slot: of each crystal and, last, the number of slots, [n_crystals + 1].
        choice_row: row of `choices`, -1 for a continuous slot, [n_slots].
        choices: what each slot of a category might have held, [n_categorical, N_CHOICES].
    """

    kind: Ints
    position: Ints
    species: Ints
    orbit: Ints
    space_group: Ints
    category: Ints
    place: Floats
    read_category: Ints
    first_slot: Ints
    choice_row: Ints
    choices: NDArray[np.bool_]

    @property
    def lengths(self) -> Ints:
        """Slots of each crystal, [n_crystals]."""
        return np.diff(self.first_slot)


def sequences_of(crystals: WyckoffCrystals) -> Sequences:
    """The sequences of crystals, each written anew as a draft."""
    rows: list[tuple[float, ...]] = []
    masks: list[NDArray[np.bool_]] = []
    first_slot = [0]
    for group, cell, orbits in zip(crystals.space_group, crystals.cell, crystals.orbits(), strict=True):
        draft = Draft()
        for filling in _fillings(int(group), cell, orbits):
            slot = draft.slot()
            if slot.kind <= SlotKind.SPECIES:
                masks.append(draft.choices())
                chosen, nodes = int(filling), 0.0
                draft.choose(chosen)
            else:
                chosen, nodes = 0, to_nodes(slot.kind, filling)
                draft.place(nodes)
            is_position = slot.kind == SlotKind.POSITION and chosen != CLOSED
            rows.append((*slot, chosen, nodes, first_position_id(draft.number) + chosen - 1 if is_position else chosen))
        first_slot.append(len(rows))
    columns = np.array(rows, dtype=np.float64).reshape(-1, 8).T
    kind, position, species, orbit, number, category, _, read = columns.astype(np.int64)
    is_categorical = kind <= SlotKind.SPECIES
    choice_row = np.where(is_categorical, np.cumsum(is_categorical) - 1, -1)
    choices = np.zeros((len(masks), N_CHOICES), dtype=np.bool_)
    for row, mask in zip(choices, masks, strict=True):
        row[: len(mask)] = mask
    return Sequences(
        kind,
        position,
        species,
        orbit,
        number,
        category,
        columns[6],
        read,
        np.array(first_slot),
        choice_row,
        choices,
    )


def _fillings(number: int, cell: Floats, orbits: Orbits) -> Iterator[float]:
    """What the slots of a crystal hold, in their order: categories, then values of the cell and coordinates."""
    positions, numbers = orbits.position.tolist(), orbits.numbers.tolist()
    yield number
    yield from sorted(set(numbers))
    yield CLOSED
    for position, z in zip(positions, numbers, strict=True):
        yield position + 1
        yield z
    yield CLOSED
    of_group = space_group(number).positions
    values = values_of_cell(cell, sum(of_group[position].multiplicity for position in positions))
    yield from values[list(FREE_VALUES[number])].tolist()
    for position, parameters in zip(positions, orbits.parameters, strict=True):
        yield from parameters[list(of_group[position].free)].tolist()


@dataclass(frozen=True)
class SequenceBatch:
    """Some sequences, padded at their ends.

    Attributes:
        inputs: [n_crystals, n_slots].
        slots: their rows in `Sequences`, [n].
        places: flat place of each in the padded arrays, [n].
        crystal: place of its crystal in the batch, [n].
    """

    inputs: SlotInputs
    slots: Ints
    places: torch.Tensor
    crystal: torch.Tensor


def sequence_batch(data: Sequences, rows: Ints) -> SequenceBatch:
    """The sequences of the given crystals."""
    slots, owner = rows_between(data.first_slot, rows)
    within = slots - data.first_slot[rows][owner]
    longest = int(within.max()) + 1

    def padded(values: Floats | Ints, kind: torch.dtype) -> torch.Tensor:
        array = np.zeros((len(rows), longest), dtype=values.dtype)
        array[owner, within] = values
        return torch.as_tensor(array, dtype=kind)

    def before(values: Floats | Ints) -> Floats | Ints:
        return np.where(within > 0, values[slots - 1], 0)

    whole = torch.int64
    inputs = SlotInputs(
        padded(data.kind[slots], whole),
        padded(data.position[slots], whole),
        padded(data.species[slots], whole),
        padded(data.orbit[slots], whole),
        padded(data.space_group[slots], whole),
        padded(before(data.kind), whole),
        padded(before(data.read_category), whole),
        padded(before(data.place) / N_BINS, torch.float32),
    )
    return SequenceBatch(inputs, slots, torch.as_tensor(owner * longest + within), torch.as_tensor(owner))


def log_probabilities(network: WyckoffNetwork, data: Sequences, batch: SequenceBatch) -> torch.Tensor:
    """Logarithm of the probability (density per node distance where continuous) of each slot, in the batch's order."""
    features = network(batch.inputs).flatten(0, 1)[batch.places]
    kinds = data.kind[batch.slots]
    result = torch.zeros(len(batch.slots))
    for kind in SlotKind:
        where = np.flatnonzero(kinds == kind)
        if not len(where):
            continue
        index, chosen = torch.as_tensor(where), batch.slots[where]
        logits = network.logits(features[index], kind)
        if kind <= SlotKind.SPECIES:
            choices = torch.as_tensor(data.choices[data.choice_row[chosen], : n_choices(kind)])
            values = categorical_log_probability(logits, choices, torch.as_tensor(data.category[chosen]))
        else:
            place = torch.as_tensor(data.place[chosen], dtype=torch.float32)
            values = linear_log_density(logits, place, kind)
        result = result.index_put((index,), values)
    return result


def batches(lengths: Ints, rows: Ints, most_slots: int, rng: np.random.Generator) -> Iterator[Ints]:
    """Rows of sequences of about one length, in mixed order, each batch up to a number of padded slots.

    Args:
        lengths: of all sequences.
        rows: which of them.
        most_slots: of a batch, padding included.
        rng: mixes sequences of like length, and batches.
    """
    order = rng.permutation(rows)
    order = order[np.argsort(lengths[order] + rng.uniform(-2, 2, len(order)), kind="stable")]
    parts, first = [], 0
    while first < len(order):
        size = 1
        while first + size < len(order) and (size + 1) * lengths[order[first : first + size + 1]].max() <= most_slots:
            size += 1
        parts.append(order[first : first + size])
        first += size
    for index in rng.permutation(len(parts)):
        yield parts[index]
