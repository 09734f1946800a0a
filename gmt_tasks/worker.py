"""What runs inside a worker process: environment set, origin of our packages checked, one screener loaded."""

import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from db.records import ResultBlock
from gmt_tasks.origin import put_root_first, refuse_foreign_packages
from gmt_tasks.splitting import Job
from models.crystal import CrystalBatch


class Worker(Protocol):
    """What a worker process holds: the whole line predict, symmetrize, derive for a block of crystals."""

    def screen(self, crystal_ids: list[str], crystals: CrystalBatch) -> ResultBlock:
        """Results of these crystals; rows that cannot be done are in `.quarantined`."""
        ...


def load_worker(model: str, device: str, symprec: float) -> Worker:
    """Loads the screener; torch is imported here, in the worker process, and not in the driver.

    Args:
        model: name, `name@version` or checkpoint folder.
        device: "auto", "cpu" or "cuda".
        symprec: distance tolerance of the symmetry analysis in angstrom.

    Returns:
        The loaded screener.

    Raises:
        ModelError: there is no such model.
    """
    from gmt_tasks.screening import Screener

    return Screener.load(model, device=device, symprec=symprec)


@dataclass(frozen=True)
class Patience:
    """How long the pool waits before it takes a worker for hung.

    Attributes:
        start_s: for the first worker to load its model, in seconds.
        job_s: for a job, in seconds, plus
        job_s_per_atom: for each atom of it, in seconds.
    """

    start_s: float = 600.0
    job_s: float = 120.0
    job_s_per_atom: float = 0.05

    def deadline_s(self, job: Job) -> float:
        """Longest time that a job may take, in seconds."""
        return self.job_s + self.job_s_per_atom * job.n_atoms


class WorkerProcess:
    """One worker, loaded once.

    Args:
        factory: makes the worker.
        root: repository root to import from; empty when the import path is right already.
        gpus: share of a GPU that this process has; 0 hides the GPUs from it.

    Raises:
        ForeignPackageError: `models` or another of our names would come from elsewhere.
    """

    def __init__(self, factory: Callable[[], Worker], root: str, gpus: float) -> None:
        # Before the factory imports torch or numpy kernels: they read these once.
        for name in ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS"):
            os.environ[name] = "1"
        if not gpus:
            os.environ["CUDA_VISIBLE_DEVICES"] = ""
        if root:
            put_root_first(Path(root))
        refuse_foreign_packages()
        self._worker = factory()

    def ready(self) -> int:
        """Process id; answers once the worker is loaded."""
        return os.getpid()

    def screen(self, crystal_ids: list[str], crystals: CrystalBatch) -> ResultBlock:
        """One job. The arrays are copied because Ray's are read-only views of shared memory."""
        own = CrystalBatch(
            crystals.lattice.copy(),
            crystals.frac_coords.copy(),
            crystals.numbers.copy(),
            crystals.crystal_of_atom.copy(),
        )
        return self._worker.screen(list(crystal_ids), own)
