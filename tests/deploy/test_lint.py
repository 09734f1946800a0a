"""The deployment files before the tools that their readers use: linters, schemas, kustomize."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import jsonschema
import pytest
import yaml

from tests.architecture.source_tree import ROOT
from tests.deploy.compose_file import COMPOSE, DEPLOY, documents, yaml_files

SCRIPTS = sorted([*DEPLOY.rglob("*.sh"), *DEPLOY.rglob("*.sbatch")])
YAMLLINT = "{extends: default, rules: {line-length: {max: 130}, document-start: disable, braces: {max-spaces-inside: 0}, comments: {min-spaces-from-content: 1}}}"  # fmt: skip  # noqa: E501
CRDS = os.environ.get("GMTSCREEN_KUBERAY_CRDS")
"""Folder with ray.io_rayclusters.yaml and ray.io_rayjobs.yaml of KubeRay's ray-operator/config/crd/bases."""


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


@pytest.mark.skipif(shutil.which("kubectl") is None, reason="kubectl is not installed")
def test_kustomize_builds_the_kubernetes_manifests() -> None:
    done = subprocess.run(["kubectl", "kustomize", DEPLOY / "kuberay"], capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    built = list(yaml.safe_load_all(done.stdout))
    assert {each["kind"] for each in built} == {"Namespace", "NetworkPolicy", "RayCluster"}
    assert "registry.example/gmtscreen:cuda" in done.stdout or "image: gmtscreen" in done.stdout


def closed(schema: Any) -> Any:
    """A resource's schema in which an unknown field is an error, as `kubectl apply --validate=strict` sees it."""
    if isinstance(schema, list):
        return [closed(each) for each in schema]
    if not isinstance(schema, dict):
        return schema
    found = {key: closed(value) for key, value in schema.items()}
    if schema.get("x-kubernetes-int-or-string"):
        found = {key: value for key, value in found.items() if key not in {"anyOf", "type"}}
    if "properties" in schema and not {"additionalProperties", "x-kubernetes-preserve-unknown-fields"} & set(schema):
        found["additionalProperties"] = False
    return found


@pytest.mark.skipif(CRDS is None, reason="GMTSCREEN_KUBERAY_CRDS names no folder with KubeRay's resource definitions")
@pytest.mark.parametrize(("manifest", "plural"), [("ray-cluster", "rayclusters"), ("ray-job", "rayjobs")])
def test_ray_manifests_fit_the_definitions_of_kuberay(manifest: str, plural: str) -> None:
    definition = yaml.safe_load((Path(str(CRDS)) / f"ray.io_{plural}.yaml").read_text(encoding="utf-8"))
    version = next(each for each in definition["spec"]["versions"] if each["name"] == "v1")
    schema = closed(version["schema"]["openAPIV3Schema"])
    schema["properties"]["metadata"] = {"type": "object"}
    (found,) = documents(DEPLOY / "kuberay" / f"{manifest}.yaml")
    validator = jsonschema.Draft7Validator(schema)
    assert [f"{list(each.path)}: {each.message}" for each in validator.iter_errors(found)] == []
    found["spec"]["imagine"] = 1
    assert list(validator.iter_errors(found))
