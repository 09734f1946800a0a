"""Which formulas a model was trained, calibrated and tested on: NAME.split.safetensors beside the weights.

A label of a formula that a model, or any model it was fine-tuned from, was trained on says nothing about how good that
model is. Databases come and go, so the split travels with the weights: a table of hashed formulas with their parts, and
of hashed crystals with the tensors that training saw of them. A fine-tuned model's table holds its ancestors'.

The first 8 bytes of a sha256 stand for a text: among 10^5 formulas two share one with a probability of 3e-10.
"""

import hashlib
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from safetensors import SafetensorError
from safetensors.numpy import load_file, save_file

from models.errors import ModelError
from models.gmtnet.card import ModelCard, read_card
from models.quantities import Tensor

PARTS = ("train", "val", "test")
"""Parts of the data in the order of their codes; of two parts that a formula was given, the first one counts: what was
trained on once stays trained on, and what calibrated intervals is no independent test of them."""

_BITS = {tensor: 1 << place for place, tensor in enumerate(Tensor)}


def source_name(source_id: str, formula: str) -> str:
    """The name that a crystal has in a table by the id of its source; the formula tells ids like "1" apart."""
    return f"{source_id} {formula}"


Hashes = NDArray[np.uint64]


@dataclass(frozen=True)
class SplitTable:
    """Formulas with their parts, crystals with the tensors that were learned of them.

    Attributes:
        formulas: hashed reduced formulas, ascending, [n_formulas].
        parts: code of each (place in PARTS), [n_formulas].
        crystals: hashed names of training crystals, ascending, [n_names]: content ids, and source ids as `source_name`
            has them, because the same entry of a database may have been relaxed again since.
        tensors: bit per tensor of which training saw a label of the crystal, [n_names].
    """

    formulas: Hashes
    parts: NDArray[np.uint8]
    crystals: Hashes
    tensors: NDArray[np.uint8]

    @staticmethod
    def of(parts: Mapping[str, str], learned: Mapping[str, Collection[Tensor]]) -> "SplitTable":
        """The table of formulas with their parts, and of names of training crystals with their tensors."""
        codes = np.array([PARTS.index(part) for part in parts.values()], dtype=np.uint8)
        bits = np.zeros(len(learned), dtype=np.uint8)
        for row, tensors in enumerate(learned.values()):
            for tensor in tensors:
                bits[row] |= _BITS[tensor]
        formulas, crystals = _hashes(list(parts)), _hashes(list(learned))
        by_formula, by_crystal = np.argsort(formulas), np.argsort(crystals)
        return SplitTable(formulas[by_formula], codes[by_formula], crystals[by_crystal], bits[by_crystal])

    def joined(self, other: "SplitTable") -> "SplitTable":
        """Both tables: a formula has its earlier part in the order of PARTS, a crystal the tensors of both."""
        formulas, places = np.unique(np.concatenate([self.formulas, other.formulas]), return_inverse=True)
        parts = np.full(len(formulas), len(PARTS), dtype=np.uint8)
        np.minimum.at(parts, places, np.concatenate([self.parts, other.parts]))
        crystals, places = np.unique(np.concatenate([self.crystals, other.crystals]), return_inverse=True)
        tensors = np.zeros(len(crystals), dtype=np.uint8)
        np.bitwise_or.at(tensors, places, np.concatenate([self.tensors, other.tensors]))
        return SplitTable(formulas, parts, crystals, tensors)

    def parts_of(self, formulas: Sequence[str]) -> dict[str, str]:
        """The parts of those of the reduced formulas that the table knows."""
        known, places = _looked_up(self.formulas, _hashes(formulas))
        return {formulas[row]: PARTS[self.parts[place]] for row, place in zip(known, places, strict=True)}

    def learned(self, names: Sequence[str]) -> dict[str, frozenset[Tensor]]:
        """The tensors that training saw of those of the crystals that it saw, by content id or `source_name`."""
        known, places = _looked_up(self.crystals, _hashes(names))
        seen = {}
        for row, own in zip(known, self.tensors[places].tolist(), strict=True):
            seen[names[row]] = frozenset(tensor for tensor, bit in _BITS.items() if bit & own)
        return seen


def _hashes(texts: Sequence[str]) -> Hashes:
    digests = b"".join(hashlib.sha256(text.encode()).digest()[:8] for text in texts)
    return np.frombuffer(digests, dtype=">u8").astype(np.uint64)


def _looked_up(table: Hashes, wanted: Hashes) -> tuple[list[int], NDArray[np.int64]]:
    """Rows of the wanted hashes that the ascending table holds, and their places in it."""
    places = np.searchsorted(table, wanted)
    inside = places < len(table)
    inside[inside] = table[places[inside]] == wanted[inside]
    return np.flatnonzero(inside).tolist(), places[inside]


def split_table_path(card_path: Path) -> Path:
    """Where the table of a model lies: NAME.split.safetensors beside NAME.json."""
    return card_path.with_suffix(".split.safetensors")


def save_split_table(table: SplitTable, card_path: Path, card: ModelCard) -> ModelCard:
    """Writes a table beside a card's weights; returns the card with its sha256, to be written with `write_card`."""
    path = split_table_path(card_path)
    save_file({name: np.ascontiguousarray(getattr(table, name)) for name in _ARRAYS}, path)
    path.chmod(0o644)  # safetensors writes for the owner only
    return replace(card, split_sha256=hashlib.sha256(path.read_bytes()).hexdigest())


_ARRAYS = ("formulas", "parts", "crystals", "tensors")


def load_split_table(card_path: Path) -> SplitTable | None:
    """The table that a card pins; None for a model of before there were tables.

    Raises:
        ModelError: the file is missing or is not the one that the card describes.
    """
    card = read_card(card_path)
    if not card.split_sha256:
        return None
    path = split_table_path(card_path)
    if not path.is_file():
        raise ModelError(f"{path.name} is missing beside {card_path}. Restore it; its sha256 is {card.split_sha256}.")
    sha256 = hashlib.sha256(path.read_bytes()).hexdigest()
    if sha256 != card.split_sha256:
        raise ModelError(
            f"{path} is not the file that its card describes: sha256 {sha256[:12]}, not {card.split_sha256[:12]}. "
            "Restore it."
        )
    try:
        arrays = load_file(path)
        return SplitTable(*(arrays[name] for name in _ARRAYS))
    except (KeyError, SafetensorError) as error:
        raise ModelError(f"{path} holds no split table: {error}. Restore it from where the model came from.") from error
