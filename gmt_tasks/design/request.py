"""What `design` is asked for. Nothing heavy is imported here: the command line needs these names for its help."""

from dataclasses import dataclass
from typing import Any

DEFAULT_SORT = "-d_max_pc_per_n"
DEFAULT_ROUNDS, DEFAULT_PER_ROUND, DEFAULT_PROPOSE = 5, 1000, 20
DEFAULT_BOUND = 6.0
DEFAULT_ABOVE_HULL = 0.2


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
    sort: str = DEFAULT_SORT
    rounds: int = DEFAULT_ROUNDS
    per_round: int = DEFAULT_PER_ROUND
    propose: int = DEFAULT_PROPOSE
    generate: str = ""
    bound: float = DEFAULT_BOUND
    above_hull: float = DEFAULT_ABOVE_HULL
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
