"""Calculations that ask a potential step by step, many of them answered at once.

A calculation on one crystal is a generator: it yields the crystals it wants evaluated and is sent their evaluation,
until it returns its result. One calculation asks for a few small cells at a time, too few to keep a processor busy;
`run_together` collects the questions of many calculations into one batch. Each calculation reads as if it were alone.
"""

import time
from collections.abc import Callable, Generator, Mapping
from dataclasses import dataclass
from typing import TypeVar

import numpy as np

from models.crystals.crystal import CrystalBatch
from models.potential.interface import Evaluation, Potential

Result = TypeVar("Result")
Steps = Generator[CrystalBatch, Evaluation, Result]
"""A calculation: yields crystals, is sent their evaluation, returns its result."""


class CalculationFailedError(Exception):
    """A calculation cannot go on; the message is the reason that is stored with the crystal."""


@dataclass(frozen=True)
class Cost:
    """What a calculation took: cells evaluated, and its share of the processor time in seconds."""

    n_evaluations: int
    seconds: float


def run_together(
    potential: Potential,
    calculations: Mapping[int, Callable[[], Steps[Result]]],
) -> tuple[dict[int, tuple[Result, Cost]], dict[int, str]]:
    """Runs calculations side by side; each evaluation of the potential serves all that wait for one.

    Args:
        potential: that is asked.
        calculations: by the row that their result is wanted under.

    Returns:
        Result and cost by row, and for each calculation that failed the reason by row.
    """
    results: dict[int, tuple[Result, Cost]] = {}
    failures: dict[int, str] = {}
    running = {row: start() for row, start in calculations.items()}
    answers: dict[int, Evaluation | None] = dict.fromkeys(running)
    spent = {row: Cost(0, 0.0) for row in running}
    while running:
        questions: dict[int, CrystalBatch] = {}
        for row, steps in list(running.items()):
            start = time.process_time()
            try:
                # a generator starts with next, that is send(None)
                questions[row] = steps.send(answers[row])  # type: ignore[arg-type]
            except StopIteration as stop:
                results[row] = (stop.value, spent[row])
                del running[row]
            except CalculationFailedError as error:
                failures[row] = str(error)
                del running[row]
            spent[row] = Cost(spent[row].n_evaluations, spent[row].seconds + time.process_time() - start)
        if questions:
            answers = dict(_answers(potential, questions, spent))
    return results, failures


def _answers(
    potential: Potential, questions: dict[int, CrystalBatch], spent: dict[int, Cost]
) -> Generator[tuple[int, Evaluation], None, None]:
    """One evaluation of all questions, cut into the answer of each; its time is shared by the number of atoms."""
    start = time.process_time()
    joined = CrystalBatch.join(questions.values())
    evaluation = potential.evaluate(joined)
    seconds = (time.process_time() - start) / len(joined.numbers)
    crystal, atom = 0, 0
    for row, batch in questions.items():
        n_crystals, n_atoms = batch.n_crystals, len(batch.numbers)
        cost = spent[row]
        spent[row] = Cost(cost.n_evaluations + n_crystals, cost.seconds + seconds * n_atoms)
        yield row, evaluation.part(slice(crystal, crystal + n_crystals), slice(atom, atom + n_atoms))
        crystal, atom = crystal + n_crystals, atom + n_atoms


def require_finite(evaluation: Evaluation) -> Evaluation:
    """The evaluation, if all its numbers are finite.

    Raises:
        CalculationFailedError: some are not: the potential was asked about a crystal far from anything it knows.
    """
    arrays = (evaluation.energy_ev, evaluation.forces_ev_per_angstrom, evaluation.stress_gpa)
    if not all(np.isfinite(values).all() for values in arrays):
        raise CalculationFailedError("the potential gives no finite energy, force or stress for this crystal")
    return evaluation
