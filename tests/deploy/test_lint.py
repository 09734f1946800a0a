"""The deployment files before the tools that their readers use: linters, schemas."""

import json
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from tests.architecture.source_tree import ROOT
from tests.deploy.compose_file import COMPOSE, DEPLOY, yaml_files

SCRIPTS = sorted([*DEPLOY.rglob("*.sh"), *DEPLOY.rglob("*.sbatch")])
YAMLLINT = "{extends: default, rules: {line-length: {max: 130}, document-start: disable, braces: {max-spaces-inside: 0}, comments: {min-spaces-from-content: 1}}}"  # fmt: skip  # noqa: E501


def tool(name: str, *words: str | Path) -> subprocess.CompletedProcess[str]:
    """Runs a linter that is installed beside this Python."""
    program = Path(sys.executable).with_name(name)
    if not program.exists():
        pytest.skip(f"{name} is not installed; the extra `test` brings it")
    return subprocess.run([program, *words], capture_output=True, text=True, cwd=ROOT, timeout=120)


@pytest.mark.parametrize("path", yaml_files(), ids=lambda path: path.name)
def test_yaml_is_clean(path: Path) -> None:
    done = tool("yamllint", "--strict", "-d", YAMLLINT, path)
    assert done.returncode == 0, done.stdout


@pytest.mark.parametrize("path", SCRIPTS, ids=lambda path: path.name)
def test_shell_scripts_are_clean(path: Path) -> None:
    done = tool("shellcheck", path)
    assert done.returncode == 0, done.stdout


def test_the_dockerfile_is_clean() -> None:
    done = tool("hadolint", DEPLOY / "Dockerfile")
    assert done.returncode == 0, done.stdout


def test_the_linters_would_complain(tmp_path: Path) -> None:
    (tmp_path / "Dockerfile").write_text("FROM debian\nRUN sudo apt-get install x\n", encoding="utf-8")
    (tmp_path / "a.sh").write_text("#!/bin/sh\nrm -rf $1/*\n", encoding="utf-8")
    (tmp_path / "a.yaml").write_text("a: 1\na: 2\n", encoding="utf-8")
    assert tool("hadolint", tmp_path / "Dockerfile").returncode != 0
    assert tool("shellcheck", tmp_path / "a.sh").returncode != 0
    assert tool("yamllint", "-d", YAMLLINT, tmp_path / "a.yaml").returncode != 0


def test_compose_fits_the_compose_specification(tmp_path: Path) -> None:
    done = tool("check-jsonschema", "--builtin-schema", "vendor.compose-spec", COMPOSE)
    assert done.returncode == 0, done.stdout + done.stderr
    broken = yaml.safe_load(COMPOSE.read_text(encoding="utf-8"))
    broken["services"]["postgres"]["imagine"] = "postgres"
    (tmp_path / "compose.yaml").write_text(json.dumps(broken), encoding="utf-8")
    assert (
        tool("check-jsonschema", "--builtin-schema", "vendor.compose-spec", tmp_path / "compose.yaml").returncode != 0
    )
