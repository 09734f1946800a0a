"""A Ray worker: environment set, imported packages checked, one model loaded, crystals isolated from each other."""

import os
import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Protocol

from db.records import ResultBlock
from gmt_tasks.import_guard import put_root_first, refuse_foreign_packages
from gmt_tasks.process import compute_in_one_thread
from gmt_tasks.workers.fork_server import ForkServer, ForkServerError
from gmt_tasks.workers.isolation import Isolation, Timeouts
from gmt_tasks.workers.jobs import Job
from models.crystals.crystal import CrystalBatch

BATCH_ATOMS = 2048
"""A second of computing: smaller batches cost more per crystal, and this much is lost when one kills its process.

Behind one network a crystal costs 0.96 ms in batches of 20 and 0.31 in batches of 170."""

NETWORK_MODULES = ("gmt_tasks.screening.screener", "models.gmtnet.predictor")
"""What takes seconds to import."""


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
    compute_in_one_thread()
    from gmt_tasks.screening.screener import Screener
    from models.reference.crystals import crystals_of_all_classes

    screener = Screener.load(model, device=device, symprec=symprec)
    # machine code is loaded (or compiled) here, before processes are forked: a fork that did it in its first batch
    # would take longer than anything usual, and be stopped
    crystals = crystals_of_all_classes().crystals
    screener.screen([str(k) for k in range(crystals.n_crystals)], crystals)
    return screener


def load_on_share(factory: Callable[[], Worker], share: float) -> Worker:
    """Loads a worker that leaves the rest of its GPU's memory to the others on it.

    Args:
        factory: makes the worker.
        share: of a GPU.
    """
    from models.gmtnet.device import limit_gpu_share

    limit_gpu_share(share)
    return factory()


class WorkerProcess:
    """One worker: it loads the model once and computes in forked processes, so that no crystal can end it.

    Args:
        factory: makes the worker.
        root: repository root to import from; empty when the import path is right already.
        gpus: share of a GPU that this process has; 0 hides the GPUs from it.
        timeouts: deadlines.
        batch_atoms: that are computed at once on a CPU.

    Raises:
        ForeignPackageError: `models` or another of our names would come from elsewhere.
    """

    def __init__(
        self,
        factory: Callable[[], Worker],
        root: str,
        gpus: float,
        timeouts: Timeouts,
        batch_atoms: int = BATCH_ATOMS,
    ) -> None:
        compute_in_one_thread()
        if not gpus:
            os.environ["CUDA_VISIBLE_DEVICES"] = ""
        if root:
            put_root_first(Path(root))
        refuse_foreign_packages()
        load = partial(load_on_share, factory, gpus) if gpus else factory
        server = ForkServer(load, NETWORK_MODULES if gpus else (), timeouts.start_s)
        # On a GPU small batches are slow, so a job stays whole there until memory runs out.
        self._isolation = Isolation(server, timeouts, None if gpus else batch_atoms)

    def ready(self) -> int:
        """Process id; answers once the worker is loaded."""
        self._isolation.warm_up()
        return os.getpid()

    def heartbeat(self) -> None:
        """Answers while this process lives, whatever its crystals do."""

    def screen(self, job: Job) -> ResultBlock:
        """One job; may be called from several threads."""
        try:
            return self._isolation.screen(job)
        except ForkServerError as error:
            # Nothing can be computed here any more: this process goes, and its owner starts another one.
            sys.stderr.write(f"{error}\n")
            os._exit(1)
