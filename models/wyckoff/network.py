"""The network that fills the slots of a crystal one after the other: a causal transformer with one head per kind.

A slot is read as the sum of what it will hold (kind, space group, orbit with its position and element) and of what the
slot before it holds. Continuous values have a piecewise linear density between fixed nodes: a mixture of triangles,
whose logarithm has a gradient everywhere and which is drawn from exactly.
"""

import math
from dataclasses import dataclass

import numpy as np
import torch
from torch import nn
from torch.nn import functional

from models.wyckoff.config import WyckoffConfig
from models.wyckoff.positions import N_SPACE_GROUPS, space_group
from models.wyckoff.slots import LEAST_SHARE, N_BINS, N_CATEGORIES, SlotKind, heights, is_periodic

MOST_ORBITS = 64
"""Orbits that have a place of their own; later ones share the last."""

_N_FREQUENCIES = 16


@dataclass(frozen=True)
class SlotInputs:
    """What is read of slots before they are filled, all of one shape [n_crystals, n_slots].

    Attributes:
        kind, position, species, orbit, space_group: see Slots.
        before_kind: kind of the slot before, that of the first slot is SPACE_GROUP.
        before_category: what it holds: a category, for POSITION the id of the position.
        before_place: what it holds: a place in nodes over their number.
    """

    kind: torch.Tensor
    position: torch.Tensor
    species: torch.Tensor
    orbit: torch.Tensor
    space_group: torch.Tensor
    before_kind: torch.Tensor
    before_category: torch.Tensor
    before_place: torch.Tensor


class KeysAndValues:
    """What attention remembers of the slots that were read, per layer, with room for `n_slots`.

    Attributes:
        length: slots that each crystal has read, [n_crystals].
    """

    def __init__(self, config: WyckoffConfig, n_crystals: int, n_slots: int) -> None:
        shape = (config.n_layers, n_crystals, config.n_heads, n_slots, config.width // config.n_heads)
        self.keys, self.values = torch.zeros(shape), torch.zeros(shape)
        self.length = torch.zeros(n_crystals, dtype=torch.int64)


class _Layer(nn.Module):
    """Attention, then a perceptron, each added to what it reads."""

    def __init__(self, config: WyckoffConfig) -> None:
        super().__init__()
        self.n_heads, self.dropout = config.n_heads, config.dropout
        self.norm, self.second_norm = nn.LayerNorm(config.width), nn.LayerNorm(config.width)
        self.joint = nn.Linear(config.width, 3 * config.width)
        self.out = nn.Linear(config.width, config.width)
        self.widen = nn.Linear(config.width, config.widening * config.width)
        self.narrow = nn.Linear(config.widening * config.width, config.width)

    def _split(self, features: torch.Tensor) -> tuple[torch.Tensor, ...]:
        """Queries, keys, values, [n_crystals, n_heads, n_slots, channels]."""
        n, t, width = features.shape
        joint = self.joint(self.norm(features)).view(n, t, 3, self.n_heads, width // self.n_heads)
        return tuple(joint.permute(2, 0, 3, 1, 4).unbind(0))

    def _finish(self, features: torch.Tensor, attended: torch.Tensor) -> torch.Tensor:
        drop = self.dropout if self.training else 0.0
        joined = attended.transpose(1, 2).reshape(features.shape)
        features = features + functional.dropout(self.out(joined), drop)
        changed = self.narrow(functional.gelu(self.widen(self.second_norm(features))))
        return features + functional.dropout(changed, drop)

    def forward(self, features: torch.Tensor) -> torch.Tensor:
        """All slots at once, each from those up to itself."""
        query, key, value = self._split(features)
        return self._finish(features, functional.scaled_dot_product_attention(query, key, value, is_causal=True))

    def step(self, features: torch.Tensor, memory: KeysAndValues, layer: int, rows: torch.Tensor) -> torch.Tensor:
        """One more slot of the given crystals, [n_rows, 1, width]."""
        query, key, value = self._split(features)
        length = memory.length[rows]
        memory.keys[layer, rows, :, length] = key[:, :, 0]
        memory.values[layer, rows, :, length] = value[:, :, 0]
        longest = int(length.max()) + 1
        is_read = (torch.arange(longest) <= length[:, None])[:, None, None]
        keys, values = memory.keys[layer, rows, :, :longest], memory.values[layer, rows, :, :longest]
        attended = functional.scaled_dot_product_attention(query, keys, values, attn_mask=is_read)
        return self._finish(features, attended)


class WyckoffNetwork(nn.Module):
    """Distributions of the slots of crystals.

    Args:
        config: its size.
    """

    def __init__(self, config: WyckoffConfig) -> None:
        super().__init__()
        self.config = config
        width = config.width
        self.kinds = nn.Embedding(len(SlotKind), width)
        self.groups = nn.Embedding(N_SPACE_GROUPS + 1, width)
        self.elements = nn.Embedding(N_CATEGORIES[SlotKind.ELEMENT], width)
        self.species = nn.Embedding(N_CATEGORIES[SlotKind.SPECIES], width)
        self.orbits = nn.Embedding(MOST_ORBITS, width)
        facts = _position_facts()
        self.register_buffer("facts", facts, persistent=False)
        self.positions = nn.Embedding(len(facts), width)
        self.from_facts = nn.Linear(facts.shape[1], width)
        self.from_values = nn.ModuleList([nn.Linear(2 * _N_FREQUENCIES, width) for _ in range(len(SlotKind) - 4)])
        self.layers = nn.ModuleList([_Layer(config) for _ in range(config.n_layers)])
        self.norm = nn.LayerNorm(width)
        self.heads = nn.ModuleList([nn.Linear(width, n_choices(kind)) for kind in SlotKind])
        for embedding in (module for module in self.modules() if isinstance(module, nn.Embedding)):
            nn.init.normal_(embedding.weight, std=0.02)

    def forward(self, inputs: SlotInputs) -> torch.Tensor:
        """Features of all slots, [n_crystals, n_slots, width]; padding comes last and is not looked at."""
        features = self._read(inputs)
        for layer in self.layers:
            features = layer(features)
        return torch.as_tensor(self.norm(features))

    def step(self, inputs: SlotInputs, memory: KeysAndValues, rows: torch.Tensor) -> torch.Tensor:
        """Features of the next slot of the given crystals, [n_rows, width]; they count as read afterwards.

        Args:
            inputs: of shape [n_rows, 1].
            memory: of all crystals.
            rows: indices of the crystals.
        """
        features = self._read(inputs)
        for index, layer in enumerate(self.layers):
            features = layer.step(features, memory, index, rows)  # type: ignore[operator]
        memory.length[rows] += 1
        return torch.as_tensor(self.norm(features)[:, 0])

    def logits(self, features: torch.Tensor, kind: SlotKind) -> torch.Tensor:
        """Unnormalised logarithms for slots of one kind, [n, n_choices]."""
        return torch.as_tensor(self.heads[kind](features))

    def _read(self, inputs: SlotInputs) -> torch.Tensor:
        """The sum of embeddings, [n_crystals, n_slots, width]."""
        table = self.positions.weight + self.from_facts(self.facts)
        features = (
            self.kinds(inputs.kind)
            + self.groups(inputs.space_group)
            + self.orbits(inputs.orbit.clamp(max=MOST_ORBITS - 1))
            + table[inputs.position]
            + self.species(inputs.species)
        )
        before = torch.zeros_like(features)
        tables = {
            SlotKind.ELEMENT: self.elements.weight,
            SlotKind.POSITION: table,
            SlotKind.SPECIES: self.species.weight,
        }
        for kind, rows in tables.items():
            is_kind = inputs.before_kind == kind
            before[is_kind] = rows[inputs.before_category[is_kind]]
        for index, linear in enumerate(self.from_values):
            is_kind = inputs.before_kind == SlotKind.VOLUME + index
            if is_kind.any():
                phases = 2 * math.pi * inputs.before_place[is_kind][:, None] * torch.arange(1, _N_FREQUENCIES + 1)
                before[is_kind] = linear(torch.cat([torch.sin(phases), torch.cos(phases)], dim=1))
        return torch.as_tensor(features + before)


def n_choices(kind: SlotKind) -> int:
    """Categories or nodes of a kind of slot."""
    return N_CATEGORIES.get(kind, N_BINS)


def categorical_log_probability(logits: torch.Tensor, choices: torch.Tensor, category: torch.Tensor) -> torch.Tensor:
    """Logarithm of the probability of what slots hold, [n].

    Args:
        logits: [n, n_choices].
        choices: what each may hold, [n, n_choices].
        category: what it holds, [n].
    """
    allowed = logits.masked_fill(~choices, -torch.inf)
    return functional.log_softmax(allowed, dim=-1).gather(1, category[:, None])[:, 0]


def linear_log_density(logits: torch.Tensor, place: torch.Tensor, kind: SlotKind) -> torch.Tensor:
    """Logarithm of the piecewise linear density at places, per distance of nodes, [n].

    Args:
        logits: of the nodes, [n, N_BINS].
        place: in nodes, [n].
        kind: which values; coordinates are periodic.
    """
    left = place.floor().long().clamp(0, N_BINS - 1)
    right = (left + 1) % N_BINS if is_periodic(kind) else (left + 1).clamp(max=N_BINS - 1)
    share = (place - left).clamp(LEAST_SHARE, 1 - LEAST_SHARE)
    weights = functional.log_softmax(logits, dim=-1) + torch.as_tensor(np.log(heights(kind)), dtype=logits.dtype)
    on_left = weights.gather(1, left[:, None])[:, 0] + torch.log1p(-share)
    return torch.logaddexp(on_left, weights.gather(1, right[:, None])[:, 0] + torch.log(share))


def _position_facts() -> torch.Tensor:
    """Numbers about each Wyckoff position by its id, [n_positions + 1, n_facts]: multiplicities, freedom, shifts."""
    rows: list[list[float]] = [[0.0] * 12]
    for number in range(1, N_SPACE_GROUPS + 1):
        group = space_group(number)
        n_centrings = round(1.0 / float(np.linalg.det(group.basis)))
        for position in group.positions:
            free = [float(axis in position.free) for axis in range(3)]
            order = len(group.rotations) / position.multiplicity
            rows.append(
                [
                    math.log2(position.multiplicity / n_centrings) / 3,
                    math.log2(position.multiplicity) / 3,
                    math.log2(order) / 3,
                    *free,
                    *np.sin(2 * np.pi * position.shift),
                    *np.cos(2 * np.pi * position.shift),
                ]
            )
    return torch.tensor(rows, dtype=torch.float32)
