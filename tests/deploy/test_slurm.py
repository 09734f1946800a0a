"""deploy/slurm/screen.sbatch under a made-up SLURM whose nodes are all this machine."""

import re
from pathlib import Path

import pytest

from db.store import ResultStore
from tests.architecture.source_tree import ROOT
from tests.db.postgres_server import free_port
from tests.deploy.compose_file import DEPLOY
from tests.deploy.processes import Processes, processes

SCRIPT = DEPLOY / "slurm" / "screen.sbatch"
SRUN = """#!/bin/bash
# Steps run here: drops the options, notes where the step should have run, becomes the command.
while [[ "$1" == --* ]]; do
  if [[ "$1" == --nodelist=* ]]; then echo "${1#--nodelist=} $2 $3" >> "$STEPS"; fi
  shift
done
exec "$@"
"""
SCONTROL = """#!/bin/bash
printf '%s\\n' node1 node2
"""
HOSTNAME = """#!/bin/bash
echo 127.0.0.1
"""


def prepared(started: Processes, folder: Path, database: str) -> dict[str, str]:
    """The programs and variables that SLURM would give the job."""
    for name, text in (("srun", SRUN), ("scontrol", SCONTROL), ("hostname", HOSTNAME)):
        started.add_program(name, text)
    home = folder / "home"
    (home / ".venv").mkdir(parents=True)
    (home / ".venv" / "bin").symlink_to(folder / "bin")
    return {
        "GMTSCREEN_DB": database,
        "GMTSCREEN_HOME": str(home),
        "GMTSCREEN_RAY_PORT": str(free_port()),
        "GMTSCREEN_WORKERS": "1",
        "SLURM_JOB_NODELIST": "node[1-2]",
        "SLURM_CPUS_PER_TASK": "1",
        "STEPS": str(folder / "steps"),
    }


def test_a_job_without_database_or_sources_ends_at_once(tmp_path: Path) -> None:
    with processes(tmp_path, {}) as started:
        variables = prepared(started, tmp_path, str(tmp_path / "a.db"))
        assert started.run("without-sources", ["bash", str(SCRIPT)], variables).returncode == 2
        del variables["GMTSCREEN_DB"]
        done = started.run("without-database", ["bash", str(SCRIPT), "reference"], variables)
        assert done.returncode != 0 and "name the database" in done.stdout
    assert not list((tmp_path / "home").glob(".gmtscreen-job-*"))


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_a_job_starts_a_cluster_with_a_token_of_its_own_and_screens(tmp_path: Path) -> None:
    database = str(tmp_path / "a.db")
    with processes(tmp_path, {}) as started:
        variables = prepared(started, tmp_path, database)
        done = started.run("job", ["bash", str(SCRIPT), "reference", "--limit", "4"], variables)
        assert done.returncode == 0, done.stdout[-3000:]
    with ResultStore(database) as store:
        (run,) = store.runs()
    assert (run["state"], run["in"], run["done"]) == ("finished", 4, 4)
    steps = (tmp_path / "steps").read_text(encoding="utf-8")
    assert re.findall(r"^node\d", steps, flags=re.MULTILINE).count("node2") == 1
    assert not list((tmp_path / "home").glob(".gmtscreen-job-*")), "the token outlives the job"
    assert str(ROOT) in started.environment["PYTHONPATH"]
