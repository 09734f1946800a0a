"""What a figure belongs to: the machine, versions of libraries, and the revision that was measured."""

import os
import platform
from importlib.metadata import version
from pathlib import Path
from typing import Any

from benchmarks.speed.versions import NoVersionError, git


def machine() -> dict[str, Any]:
    """Processor, cores and versions: what a figure belongs to."""
    names = Path("/proc/cpuinfo")
    lines = names.read_text(encoding="utf-8").splitlines() if names.exists() else []
    model = next((line.partition(":")[2].strip() for line in lines if line.startswith("model name")), "unknown")
    return {
        "processor": model if model != "unknown" else platform.processor() or platform.machine(),
        "cores": os.cpu_count(),
        "system": f"{platform.system()} {platform.machine()}",
        "python": platform.python_version(),
        **{name: version(name) for name in ("numpy", "torch", "SQLAlchemy", "e3nn", "pymatgen", "ase")},
        "load": os.getloadavg()[0],
    }


def described() -> str:
    """This version in git's words."""
    try:
        return git("describe", "--always", "--tags", "--dirty")
    except NoVersionError:
        return "unknown"
