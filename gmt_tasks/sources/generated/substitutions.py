"""Ionic substitutions as a source: crystals near a known one, the most probable first.

Of every parent one to three elements are replaced by others, each by its conditional probability (ions.py); what is not
replaced counts with the probability that it stays. Cations replace cations and anions anions; candidates are
charge-balanced where the parent has oxidation states, keep its positions, and have its cell scaled by the new bond
lengths (bond_lengths.py). Left out are those whose bonds would be stretched too differently, and those with atoms too
close to each other. Nothing is relaxed.
"""

import json
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import combinations
from pathlib import Path

import numpy as np

from db.records import Lineage, LineageOperation
from gmt_tasks.sources.generated.bond_lengths import MIN_CONTACT, Bonds, Stretch, find_bonds, stretch
from gmt_tasks.sources.generated.decoration import MAX_MISFIT
from gmt_tasks.sources.generated.from_parents import SourceFromParents, open_from_parents
from gmt_tasks.sources.generated.ions import Ion, Replacement, oxidation_states, replacements, table_digest
from gmt_tasks.sources.generated.parameters import fraction, read_parameters, symbols, text_value, whole_number
from gmt_tasks.sources.generated.parents import Parent
from gmt_tasks.sources.parsed import ParsedCrystal
from models.crystals.crystal import SYMBOLS
from models.errors import SourceError

NAME = "substitutions"
DATA_VERSION = 1
"""Raised whenever the rules change what a parent gives."""

MAX_CHANGES = 3

_READERS = {
    "near": text_value,
    "n": whole_number(1),
    "threshold": fraction(0, 1),
    "max_changes": whole_number(1),
    "elements": symbols,
}


@dataclass(frozen=True)
class _Host:
    """A parent with its ions by symbol and its bonds."""

    parent: Parent
    ions: dict[str, Ion]
    counts: dict[str, int]
    bonds: Bonds


@dataclass(frozen=True)
class Candidate:
    """What replaces the elements of a parent.

    Attributes:
        host: index of the parent.
        replaced: the ion in the place of each element of the parent, by its symbol.
        log_probability: natural logarithm of the product of the conditional probabilities of all of them.
    """

    host: int
    replaced: dict[str, Ion]
    log_probability: float


class SubstitutionsSource(SourceFromParents):
    """Ionic substitutions of parents as a source.

    Args:
        name: the source as the user wrote it.
        parents: in order.
        n: largest number of crystals.
        threshold: least probability of a candidate.
        max_changes: most elements that are replaced in one crystal.
        elements: those that may be put in; None for all that the probabilities know.
    """

    def __init__(
        self,
        name: str,
        parents: Sequence[Parent],
        *,
        n: int = 1000,
        threshold: float = 1e-6,
        max_changes: int = 2,
        elements: tuple[str, ...] | None = None,
    ) -> None:
        super().__init__(name, parents)
        self.n = n
        self.threshold = threshold
        self.max_changes = max_changes
        self.elements = elements

    @classmethod
    def from_text(cls, text: str, database: str | Path | None = None) -> "SubstitutionsSource":
        """Reads `substitutions:near=ID|FORMULA[,n=500][,threshold=1e-4][,max_changes=1][,elements=Sr+Zr+O]`.

        Raises:
            SourceError: an unknown parameter, a value out of range, or no such crystal.
        """
        parameters = read_parameters(text, _READERS)
        near = parameters.pop("near", None)
        if near is None:
            raise SourceError(f"{NAME} needs a crystal: {NAME}:near=ID or {NAME}:near=FORMULA, e.g. near=BaTiO3.")
        if parameters.get("max_changes", 1) > MAX_CHANGES:
            raise SourceError(f"{NAME} replaces at most {MAX_CHANGES} elements at once. Lower max_changes.")
        return open_from_parents(
            text, near, database, lambda parents: cls(text, parents, **parameters), with_prototypes=True
        )

    def parameters(self) -> str:
        """See `SourceFromParents`."""
        elements = "" if self.elements is None else "+".join(self.elements)
        return f"{NAME} {DATA_VERSION} {table_digest()} {self.n} {self.threshold} {self.max_changes} {elements}"

    def n_inputs(self) -> int:
        """See `SourceFromParents`.

        Raises:
            SourceError: nothing passes.
        """
        if not self._chosen:
            raise SourceError(
                f"No substitution of {len(self.parents)} parents is as probable as {self.threshold:g}, balanced and "
                "fitting. Lower threshold, raise max_changes, or allow more elements."
            )
        return len(self._chosen)

    def crystal(self, position: int) -> ParsedCrystal:
        """See `SourceFromParents`."""
        candidate, fit = self._chosen[position]
        host = self._hosts[candidate.host]
        parent, replaced = host.parent, candidate.replaced
        changed = {old: new.symbol for old, new in replaced.items() if new.symbol != old}
        number_of = {SYMBOLS.index(old): SYMBOLS.index(new.symbol) for old, new in replaced.items()}
        # what is absent in an intermetallic compound is no oxidation state of 0
        states = {ion.symbol: ion.charge for ion in replaced.values() if ion.charge is not None}
        change = ",".join(f"{old}>{new}" for old, new in changed.items())
        return ParsedCrystal(
            parent.lattice * fit.scale,
            parent.frac_coords,
            np.array([number_of[number] for number in parent.numbers.tolist()], dtype=np.int64),
            ("unrelaxed: cell scaled by the bond lengths of its parent",),
            source_id=f"{NAME}:{parent.id}:{change}",
            extra={"parent": parent.id, "oxidation_states": states, "misfit": round(fit.misfit, 4)},
            lineage=Lineage(
                parent.id,
                LineageOperation.SUBSTITUTION,
                json.dumps(changed),
                log_probability=candidate.log_probability,
            ),
        )

    @cached_property
    def _hosts(self) -> list[_Host]:
        hosts = []
        for parent in self.parents:
            charges = oxidation_states(parent.numbers)
            names = [SYMBOLS[number] for number in parent.numbers]
            counts = {name: names.count(name) for name in sorted(set(names))}
            ions = {name: Ion(name, charges[name] if charges else None) for name in counts}
            hosts.append(_Host(parent, ions, counts, find_bonds(parent, charges)))
        return hosts

    @cached_property
    def _chosen(self) -> list[tuple[Candidate, Stretch]]:
        """The first n candidates that fit, in their order."""
        listed: list[Candidate] = []
        for index, host in enumerate(self._hosts):
            listed += self._candidates(index, host)
        listed.sort(key=lambda each: (-each.log_probability, each.host, [*each.replaced.values()]))
        chosen: list[tuple[Candidate, Stretch]] = []
        seen: set[tuple[int, tuple[str, ...]]] = set()
        for candidate in listed:
            # other oxidation states of the same elements are the same crystal
            key = candidate.host, tuple(ion.symbol for ion in candidate.replaced.values())
            if key in seen:
                continue
            host = self._hosts[candidate.host]
            fit = stretch(host.bonds, host.ions, candidate.replaced)
            if fit is not None and fit.misfit <= MAX_MISFIT and fit.contact >= MIN_CONTACT:
                seen.add(key)
                chosen.append((candidate, fit))
                if len(chosen) == self.n:
                    break
        return chosen

    def _candidates(self, index: int, host: _Host) -> Iterator[Candidate]:
        """The balanced candidates of one parent that are probable enough, in no order."""
        options = {name: self._options(ion) for name, ion in host.ions.items()}
        stays = {name: dict(replacements(ion))[ion] for name, ion in host.ions.items()}
        for n_changes in range(1, self.max_changes + 1):
            for changed in combinations(host.ions, n_changes):
                kept = [name for name in host.ions if name not in changed]
                charge = sum(host.counts[name] * (host.ions[name].charge or 0) for name in kept)
                stay = sum(stays[name] for name in kept)
                sites = [(options[name], host.counts[name]) for name in changed]
                for placed, log_probability in _balanced(sites, charge, stay, math.log(self.threshold)):
                    replaced = host.ions | dict(zip(changed, placed, strict=True))
                    # an element on the sites of two would be another structure type
                    if len({ion.symbol for ion in replaced.values()}) == len(replaced):
                        yield Candidate(index, replaced, round(log_probability, 9))

    def _options(self, ion: Ion) -> list[Replacement]:
        """What may stand in the place of an ion but itself: cations for cations, anions for anions."""
        allowed = self.elements
        return [
            each
            for each in replacements(ion)
            if each.ion.symbol != ion.symbol
            and (each.ion.charge or 0) * (ion.charge or 0) >= 0
            and (allowed is None or each.ion.symbol in allowed)
        ]


def _balanced(
    sites: Sequence[tuple[list[Replacement], int]], charge: int, kept: float, least: float
) -> Iterator[tuple[list[Ion], float]]:
    """Combinations of replacements without charge, with the logarithm of their probability.

    Args:
        sites: what may be put in the place of each element, and how many sites it has.
        charge: of everything else.
        kept: logarithm of the probability that everything else stays.
        least: least logarithm.
    """
    # one axis per element: sums over all combinations are outer sums
    charges, logs = np.array(charge), np.array(kept)
    for options, count in sites:
        charges = np.add.outer(charges, np.array([count * (each.ion.charge or 0) for each in options], np.int64))
        logs = np.add.outer(logs, np.array([each.log_probability for each in options], np.float64))
    for combination in np.argwhere((charges == 0) & (logs >= least)).tolist():
        placed = [options[place].ion for (options, _), place in zip(sites, combination, strict=True)]
        yield placed, float(logs[tuple(combination)])
