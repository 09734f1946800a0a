"""Compiles the loops of a screening before the first one: `python -m gmt_tasks.compilation`, as `make setup` does.

Machine code is kept on disk (models/compiled.py), so this costs its half minute once per version and machine. Without
it the first command that computes pays, and on a machine that keeps no files every worker does. Stages are compiled
side by side on a few well-known crystals, in an order in which two processes compile hardly a loop twice; one whole
line at the end finds what they left.
"""

import gc
import sys
import time
from collections.abc import Callable
from multiprocessing import get_context
from os import cpu_count

import numpy as np

from models.crystals.crystal import CrystalBatch
from models.reference.crystals import crystals_of_all_classes


def compile_loops(report: Callable[[str], None]) -> None:
    """Compiles what is not compiled yet.

    Args:
        report: receives a line at the beginning and at the end.
    """
    began_s = time.monotonic()
    report("compiling loops to machine code, once ...")
    stages = (_find_symmetry, _derive, _predict, _identify)
    # spawned: a fork would inherit what this process has imported, and on macOS it may not fork at all. What the
    # compiler makes stays until the end: to look for garbage among it takes an eighth of the time
    with get_context("spawn").Pool(min(len(stages), cpu_count() or 1), initializer=gc.disable) as pool:
        compiled = [pool.apply_async(stage) for stage in stages]
        from gmt_tasks.screening.screener import Screener

        crystals, screener = _crystals(), Screener.load("gmtnet", device="cpu")
        for stage in compiled:
            stage.get()
    screener.screen([str(k) for k in range(crystals.n_crystals)], crystals)
    report(f"compiled in {time.monotonic() - began_s:.0f} s")


def _crystals() -> CrystalBatch:
    return crystals_of_all_classes().crystals


def _find_symmetry() -> None:
    from gmt_tasks.screening.symmetry_analysis import analyse_symmetry

    analyse_symmetry(_crystals(), 1e-2)


def _derive() -> None:
    from gmt_tasks.screening.derive import derived_columns
    from models.crystals.masses import densities
    from models.quantities import TENSORS, Tensor
    from models.symmetry.search import SymmetryBatch

    # without symmetry: another process compiles the search
    crystals = _crystals()
    n = crystals.n_crystals
    first, unit = np.ones(n, dtype=np.int64), np.broadcast_to(np.eye(3), (n, 3, 3)).copy()
    columns = np.ascontiguousarray(crystals.lattice.swapaxes(1, 2))
    symmetry = SymmetryBatch(first, first, columns, np.zeros((n, 3)), unit, np.arange(n), 1e-2)
    tensors = {q: np.zeros((n, *TENSORS[q].shape)) for q in Tensor}
    tensors[Tensor.DIELECTRIC_ELECTRONIC] += 3.0 * np.eye(3)
    tensors[Tensor.DIELECTRIC_TOTAL] += 5.0 * np.eye(3)
    tensors[Tensor.ELASTIC] += np.diag([90.0, 100.0, 110.0, 40.0, 30.0, 20.0])
    tensors[Tensor.PIEZOELECTRIC] += np.random.default_rng(0).normal(size=(n, 3, 3, 3))
    tensors = {q: symmetry.project(q, values) for q, values in tensors.items()}
    derived_columns(tensors, symmetry, densities(crystals))


def _predict() -> None:
    from models.gmtnet.card import find_checkpoint
    from models.gmtnet.predictor import GMTNetPredictor
    from models.symmetry.idealize import as_given

    GMTNetPredictor.load(find_checkpoint("gmtnet"))[0].predict_idealized(as_given(_crystals()))


def _identify() -> None:
    """Also what the applicability domain asks of crystals."""
    from gmt_tasks.screening.reliability import gather_evidence
    from models.applicability.descriptor import DESCRIPTOR_GRAPH, describe
    from models.applicability.distance import reference_of
    from models.crystals.graph import build_graph
    from models.fingerprint.content_id import identify

    crystals = _crystals()
    identify(crystals)
    graph = build_graph(crystals, DESCRIPTOR_GRAPH)
    gather_evidence(
        crystals, reference_of(describe(crystals, graph), crystals).calibrated(np.arange(40.0)), graph=graph
    )


def main() -> None:
    """Compiles, and says so."""

    def report(line: str) -> None:
        sys.stdout.write(f"{line}\n")
        sys.stdout.flush()

    compile_loops(report)


if __name__ == "__main__":
    main()
