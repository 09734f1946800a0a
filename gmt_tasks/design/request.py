"""What `design` is asked for. Nothing heavy is imported here: the command line needs these names for its help."""

from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class DesignRequest:
    """A goal and how it is searched for.

    Attributes:
        filter: which crystals are wanted, an OPTIMADE filter.
        sort: the number to make large (`-NAME`) or small (`NAME`).
        rounds: how many there are to be.
        per_round: crystals that are begun in each.
        propose: crystals to propose at the end.
        generate: further parameters of the source `generated`, e.g. "elements=Ba+Ti+O,max_atoms=20".
        bound: divergence of the generator from its start at most, nats per crystal; 0 leaves it as it is.
        above_hull: what is farther above the hull of known crystals is not proposed, in eV per atom, by the lower end
            of the interval; 0 asks nobody.
        seed: of all random numbers.
    """

    filter: str = ""
    sort: str = "-d_max_pc_per_n"
    rounds: int = 5
    per_round: int = 1000
    propose: int = 20
    generate: str = ""
    bound: float = 6.0
    above_hull: float = 0.2
    seed: int = 0

    @property
    def goal(self) -> str:
        """Name of the number that is looked for."""
        return self.sort.removeprefix("-")

    @property
    def wants_large(self) -> bool:
        """Whether it is to be large."""
        return self.sort.startswith("-")

    def source(self, number: int, model: str) -> str:
        """The source of a round, 1 for the first.

        Args:
            number: of the round.
            model: card of its generator; "" for the one that comes with the program.

        Raises:
            GmtError: the parameters set what a design sets itself.
        """
        # not at the top: the command line reads the defaults before it has looked for packages of the same names
        from models.errors import GmtError

        given = [part for part in self.generate.split(",") if part]
        own = {"n", "seed", "model"} & {part.partition("=")[0] for part in given}
        if own:
            raise GmtError(f"A design sets {', '.join(sorted(own))} of its source itself. Leave it out of --generate.")
        parts = [*given, f"n={self.per_round}", f"seed={1000 * self.seed + number}"]
        return f"generated:{','.join([*parts, f'model={model}'] if model else parts)}"

    def settings(self) -> dict[str, Any]:
        """What makes two designs of one goal the same; more rounds or proposals only go on with it."""
        names = ("per_round", "generate", "bound", "above_hull", "seed")
        return {name: getattr(self, name) for name in names}
