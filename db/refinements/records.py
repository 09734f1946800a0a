"""What refine runs ask the database for: chosen crystals, and energies by a potential for convex hulls."""

from dataclasses import dataclass

from models.crystals.crystal import CrystalBatch


@dataclass(frozen=True)
class ChosenCrystals:
    """Stored crystals in the order in which they were asked for, n_crystals of them.

    Attributes:
        ids: content ids.
        source_ids: what each first came as.
        formulas: reduced.
        elements: chemical systems, ",Al,N,".
        crystals: as stored.
    """

    ids: list[str]
    source_ids: list[str]
    formulas: list[str]
    elements: list[str]
    crystals: CrystalBatch

    def part(self, start: int, stop: int) -> "ChosenCrystals":
        """Those from a position on to before another."""
        rows = slice(start, min(stop, len(self.ids)))
        return ChosenCrystals(
            self.ids[rows],
            self.source_ids[rows],
            self.formulas[rows],
            self.elements[rows],
            self.crystals.select(range(rows.start, rows.stop)),
        )


@dataclass(frozen=True)
class ReferenceEnergy:
    """Energy of a crystal by a potential, for convex hulls.

    Attributes:
        crystal_id: content id.
        energy_ev_per_atom: of the relaxed cell; None where it could not be computed.
        detail: why not; "" otherwise.
    """

    crystal_id: str
    energy_ev_per_atom: float | None
    detail: str = ""


@dataclass(frozen=True)
class Competitor:
    """A stored crystal that a convex hull may be made of.

    Attributes:
        crystal_id: content id.
        formula: reduced.
        n_atoms: of the stored cell.
        energy_ev_per_atom: by the potential asked for; None where it is not computed, or could not be.
        tried: whether it was computed, with or without success.
    """

    crystal_id: str
    formula: str
    n_atoms: int
    energy_ev_per_atom: float | None
    tried: bool
