"""Space group and elements drawn together, given which elements may be used.

The network chooses the space group first and does not know then that elements are few: by Bayes' rule the groups that
like these elements are likelier. Where few elements are wanted, every set of them is scored in every group, and both
are drawn from what that gives. Where many are, elements are left out one by one as they are chosen, and groups stay as
likely as they are among all crystals.
"""

from itertools import chain, combinations

import numpy as np
import torch

from models.crystals.crystal import Floats, Ints
from models.errors import ModelError
from models.wyckoff.network import SlotInputs, WyckoffNetwork
from models.wyckoff.positions import N_SPACE_GROUPS
from models.wyckoff.sampler import Wanted
from models.wyckoff.slots import CLOSED, SlotKind

MOST_SCORED_ELEMENTS = 5
"""Wanted elements up to which all their sets are scored: 31 sets in 230 groups take a second."""

_AT_A_TIME = 2048


def first_choices(network: WyckoffNetwork, wanted: Wanted, n: int, rng: np.random.Generator) -> list[list[int]]:
    """What the first slots of n crystals are to hold: nothing, or a space group and a closed set of elements.

    Raises:
        ModelError: no crystal can be as wanted.
    """
    if wanted.elements and not set(wanted.required) <= set(wanted.elements):
        raise ModelError("A required element is not among those that may be used. Allow it, or do not require it.")
    if not wanted.elements or len(wanted.elements) > MOST_SCORED_ELEMENTS:
        return [[] for _ in range(n)]
    elements = sorted(wanted.elements)
    listed = chain.from_iterable(combinations(elements, 1 + more) for more in range(len(elements)))
    sets = [[*chosen, CLOSED] for chosen in listed if set(wanted.required) <= set(chosen)]
    groups = list(wanted.space_groups or range(1, N_SPACE_GROUPS + 1))
    openings = [[group, *chosen] for chosen in sets for group in groups]
    scores = opening_log_probabilities(network, openings) / wanted.temperature
    weights = np.exp(scores - scores.max())
    return [openings[k] for k in rng.choice(len(openings), size=n, p=weights / weights.sum())]


@torch.inference_mode()
def opening_log_probabilities(network: WyckoffNetwork, openings: list[list[int]]) -> Floats:
    """How likely sequences begin with a space group and a closed set of elements.

    Args:
        network: in inference mode.
        openings: group, elements by rising atomic number, CLOSED.

    Returns:
        Natural logarithms, [n].
    """
    parts = [openings[first : first + _AT_A_TIME] for first in range(0, len(openings), _AT_A_TIME)]
    return np.concatenate([_opening_part(network, part) for part in parts])


def _opening_part(network: WyckoffNetwork, openings: list[list[int]]) -> Floats:
    longest = max(map(len, openings))
    filled: Ints = np.full((len(openings), longest), -1)
    for row, opening in zip(filled, openings, strict=True):
        row[: len(opening)] = opening
    n_elements = filled.shape[1] - 1
    kind = torch.full(filled.shape, int(SlotKind.ELEMENT))
    kind[:, 0] = SlotKind.SPACE_GROUP
    nothing = torch.zeros(filled.shape, dtype=torch.int64)
    group = torch.as_tensor(np.where(np.arange(longest) > 0, filled[:, :1], 0))
    before = np.maximum(np.pad(filled[:, :-1], ((0, 0), (1, 0))), 0)
    before[:, 1] = 0  # the space group is read from `group`
    before_kind = torch.roll(kind, 1, dims=1)
    before_kind[:, 0] = SlotKind.SPACE_GROUP
    inputs = SlotInputs(
        kind, nothing, nothing, nothing, group, before_kind, torch.as_tensor(before), torch.zeros(filled.shape)
    )
    features = network(inputs)
    logits = network.logits(features[:, 0], SlotKind.SPACE_GROUP)
    logits[:, 0] = -torch.inf
    total = torch.log_softmax(logits, dim=-1).gather(1, torch.as_tensor(filled[:, :1]))[:, 0].double().numpy()
    of_elements = network.logits(features[:, 1:].flatten(0, 1), SlotKind.ELEMENT).view(len(filled), n_elements, -1)
    last = torch.as_tensor(np.where(np.arange(n_elements) == 0, 0, filled[:, :-1]))[:, :, None]
    # elements rise, and a set is not closed before it has one
    choices = torch.arange(of_elements.shape[-1])
    is_allowed = (choices > last) | ((choices == CLOSED) & (last > 0))
    probabilities = torch.log_softmax(of_elements.masked_fill(~is_allowed, -torch.inf), dim=-1)
    chosen = (
        probabilities.gather(2, torch.as_tensor(np.maximum(filled[:, 1:], 0))[:, :, None])[:, :, 0].double().numpy()
    )
    return np.asarray(total + np.where(filled[:, 1:] >= 0, chosen, 0.0).sum(axis=1))
