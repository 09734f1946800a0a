"""The gates in their order, with their settings: crystals in, a report out, whole batches at a time.

A crystal that one gate refuses does not come to the next one, so cheap gates stand first. Where crystals come from and
what becomes of refused ones is no matter of theirs: `gmt_tasks.ingest` makes rejected inputs of them.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from gmt_tasks.gates.report import Gate, GateReport, Refused
from models.crystals.crystal import CrystalBatch, Floats, Ints
from models.plausibility.charge_balance import ChargeAnswer, charge_balance
from models.plausibility.pair_distances import LEAST_RATIO, LEAST_RATIO_OF_ACTINIDES, pair_distances
from models.plausibility.space_groups import SymmetryAnswer, symmetry_round_trip
from models.plausibility.volumes import LEAST_RATIO as LEAST_VOLUME
from models.plausibility.volumes import MOST_RATIO as MOST_VOLUME
from models.plausibility.volumes import volumes_of

ALL_ANSWERS = frozenset(ChargeAnswer) - {ChargeAnswer.UNBALANCED}
ALL_RELATIONS = frozenset(SymmetryAnswer) - {SymmetryAnswer.DIFFERENT}


class KnownIds(Protocol):
    """Content ids of crystals that are known; any set of texts is one."""

    def __contains__(self, crystal_id: object, /) -> bool:
        """Whether the crystal of this id is among them."""


@dataclass(frozen=True)
class EnergyEstimate:
    """Estimated energies of crystals, NaN where none could be made.

    Attributes:
        formation_ev_per_atom: formation energy in eV per atom, shape [n_crystals].
        above_hull_ev_per_atom: over the convex hull of known crystals, negative below it, shape [n_crystals].
        half_width_ev_per_atom: of the 90 % interval of both, shape [n_crystals].
    """

    formation_ev_per_atom: Floats
    above_hull_ev_per_atom: Floats
    half_width_ev_per_atom: Floats


EstimateEnergies = Callable[[CrystalBatch], EnergyEstimate]
"""Gives energies of crystals, for instance `gmt_tasks.refinement.formation.EnergyEstimator`."""


@dataclass(frozen=True)
class Gates:
    """Which gates there are, in their order, and what passes them.

    Attributes:
        order: the gates; one that lacks what it needs (intended space groups, known ids, energies) lets all pass.
        least_distance: shortest distance of two atoms over the sum of their covalent radii.
        least_distance_of_actinides: the same for pairs with an actinide.
        volume_bounds: lowest and highest volume per atom over the expected one.
        charge_answers: what the charges may be.
        symmetry_answers: how the space group found may relate to the intended one; without `SUPERGROUP`, crystals that
            are more symmetric than intended are refused, else noted.
        known: content ids that are no discovery.
        energies: estimates energies; None asks nobody.
        most_above_hull_ev_per_atom: a crystal is refused if the lower end of its interval lies above.
    """

    order: tuple[Gate, ...] = (Gate.DISTANCES, Gate.VOLUME, Gate.CHARGES, Gate.KNOWN, Gate.SYMMETRY, Gate.ENERGY)
    least_distance: float = LEAST_RATIO
    least_distance_of_actinides: float = LEAST_RATIO_OF_ACTINIDES
    volume_bounds: tuple[float, float] = (LEAST_VOLUME, MOST_VOLUME)
    charge_answers: frozenset[ChargeAnswer] = ALL_ANSWERS
    symmetry_answers: frozenset[SymmetryAnswer] = ALL_RELATIONS
    known: KnownIds = field(default_factory=frozenset)
    energies: EstimateEnergies | None = None
    most_above_hull_ev_per_atom: float = 0.2

    def judge(
        self, batch: CrystalBatch, crystal_ids: Sequence[str] = (), spacegroups: Ints | None = None
    ) -> GateReport:
        """Sends the crystals of a batch through the gates.

        Args:
            batch: crystals that `find_invalid` lets pass.
            crystal_ids: their content ids; without them no crystal is known.
            spacegroups: numbers of the space groups that they were made in, 0 for none, shape [n_crystals].

        Returns:
            For each crystal that it passed, or the first gate that it did not.
        """
        report = GateReport(batch.n_crystals)
        for gate in self.order:
            rows = report.passed()
            report.n_judged[gate] = len(rows)
            if not rows:
                continue
            part = batch if len(rows) == batch.n_crystals else batch.select(rows)
            ids = [crystal_ids[row] for row in rows] if crystal_ids else [""] * len(rows)
            intended = np.zeros(len(rows), np.int64) if spacegroups is None else spacegroups[rows]
            look = {
                Gate.DISTANCES: self._distances,
                Gate.VOLUME: self._volume,
                Gate.CHARGES: self._charges,
                Gate.SYMMETRY: self._symmetry,
                Gate.KNOWN: self._known,
                Gate.ENERGY: self._energy,
            }[gate]
            look(_Judged(gate, report, np.array(rows), part, ids, intended))
        report.notes = {row: notes for row, notes in report.notes.items() if row not in report.refused}
        return report

    def _distances(self, judged: "_Judged") -> None:
        distances = pair_distances(judged.batch, self.least_distance, self.least_distance_of_actinides)
        judged.store("closest_pair_ratio", distances.ratio)
        judged.refuse(~distances.passed, distances.sentence)

    def _volume(self, judged: "_Judged") -> None:
        volumes, (least, most) = volumes_of(judged.batch), self.volume_bounds
        judged.store("volume_ratio", volumes.ratio)
        judged.refuse(
            ~volumes.within(least, most), lambda k: f"{volumes.sentence(k)}; bounds {least:g} and {most:g} times that"
        )

    def _charges(self, judged: "_Judged") -> None:
        balance = charge_balance(judged.batch)
        passing = [answer.value for answer in self.charge_answers]
        judged.refuse(~np.isin(balance.answers, passing), lambda k: f"{balance.answers[k]}: {balance.sentence(k)}")
        judged.note(
            balance.answers == ChargeAnswer.MIXED_VALENCE.value, lambda k: f"mixed valence: {balance.sentence(k)}"
        )

    def _symmetry(self, judged: "_Judged") -> None:
        trip = symmetry_round_trip(judged.batch, judged.spacegroups)
        judged.store("found_spacegroup", trip.tight.astype(np.float64))
        passing = [answer.value for answer in self.symmetry_answers]
        judged.refuse(~np.isin(trip.answers, passing), trip.sentence)
        remarkable = [SymmetryAnswer.NEARLY.value, SymmetryAnswer.SUPERGROUP.value]
        judged.note(np.isin(trip.answers, remarkable), lambda k: f"{trip.answers[k]}: {trip.sentence(k)}")

    def _known(self, judged: "_Judged") -> None:
        is_known = np.array([crystal_id in self.known for crystal_id in judged.ids], dtype=bool)
        judged.refuse(is_known, lambda k: f"content id {judged.ids[k]}")

    def _energy(self, judged: "_Judged") -> None:
        if self.energies is None:
            return
        estimate, most = self.energies(judged.batch), self.most_above_hull_ev_per_atom
        above, width = estimate.above_hull_ev_per_atom, estimate.half_width_ev_per_atom
        judged.store("formation_energy_ev_per_atom", estimate.formation_ev_per_atom)
        judged.store("above_hull_ev_per_atom", above)
        judged.store("formation_energy_half_width_ev_per_atom", width)
        # what has no energy, or no hull, is not refused for it
        judged.refuse(
            above - width > most,
            lambda k: (
                f"{above[k]:.3f} ± {width[k]:.3f} eV per atom above the hull of known crystals, limit {most:g}; "
                f"formation energy {estimate.formation_ev_per_atom[k]:.3f} eV per atom"
            ),
        )


@dataclass(frozen=True)
class _Judged:
    """The crystals that came to a gate, and the report that it writes into.

    Attributes:
        gate: the gate.
        report: of the whole batch.
        rows: of the crystals in the batch, shape [n_crystals].
        batch: these crystals.
        ids: their content ids.
        spacegroups: intended numbers, shape [n_crystals].
    """

    gate: Gate
    report: GateReport
    rows: Ints
    batch: CrystalBatch
    ids: list[str]
    spacegroups: Ints

    def refuse(self, is_bad: NDArray[np.bool_], detail: Callable[[int], str]) -> None:
        """Writes down which crystals do not pass, and why."""
        for crystal in np.flatnonzero(is_bad).tolist():
            self.report.refused[int(self.rows[crystal])] = Refused(self.gate, detail(crystal))

    def note(self, is_remarkable: NDArray[np.bool_], text: Callable[[int], str]) -> None:
        """Writes down what is remarkable about crystals that pass."""
        for crystal in np.flatnonzero(is_remarkable).tolist():
            notes = self.report.notes.setdefault(int(self.rows[crystal]), [])
            notes.append(f"gate_{self.gate}: {text(crystal)}")

    def store(self, name: str, values: Floats) -> None:
        """Keeps a number of every crystal."""
        self.report.numbers.setdefault(name, np.full(self.report.n_crystals, np.nan))[self.rows] = values
