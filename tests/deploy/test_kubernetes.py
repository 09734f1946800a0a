"""deploy/kubernetes/: what Kubernetes and KubeRay admit, and what the pods can reach."""

import os
import re
import shutil
import subprocess
from collections.abc import Callable
from copy import deepcopy
from pathlib import Path
from typing import Any

import jsonschema
import pytest
import yaml

from tests.architecture.source_tree import ROOT
from tests.deploy.compose_file import documents
from tests.deploy.kubernetes_files import KUBERNETES, RESOURCES, Pod, completed_by_operator, named, pods, selects
from tests.deploy.pod_security import violations

CRDS = os.environ.get("GMTSCREEN_KUBERAY_CRDS")
"""Folder with ray.io_rayclusters.yaml and ray.io_rayjobs.yaml of KubeRay's ray-operator/config/crd/bases."""
FIXTURES = os.environ.get("GMTSCREEN_POD_SECURITY_FIXTURES")
"""Folder test/testdata of kubernetes/pod-security-admission."""
VALIDATE = shutil.which("kubernetes-validate")
KUSTOMIZATIONS = sorted(path.parent.name for path in KUBERNETES.glob("*/kustomization.yaml"))
RAY = [named("RayCluster", "gmtscreen"), named("RayJob", "screen")]
COMPLETED = [pod for resource in RESOURCES for pod in completed_by_operator(resource)]


def test_every_pod_is_admitted_by_the_level_of_its_namespace() -> None:
    labels = named("Namespace", "gmtscreen")["metadata"]["labels"]
    assert labels["pod-security.kubernetes.io/enforce"] == "restricted"
    assert len(COMPLETED) == 11
    assert {pod.name: violations(pod.spec) for pod in COMPLETED} == {pod.name: [] for pod in COMPLETED}


WEAKENED: dict[str, Callable[[dict[str, Any]], object]] = {
    "container without a context": lambda spec: spec["containers"][0].pop("securityContext"),
    "added container without a context": lambda spec: spec["containers"].append({"name": "late"}),
    "no seccomp profile": lambda spec: spec["securityContext"].pop("seccompProfile"),
    "may be root": lambda spec: spec["securityContext"].pop("runAsNonRoot"),
    "capabilities": lambda spec: spec["containers"][0]["securityContext"].pop("capabilities"),
    "folder of the node": lambda spec: spec["volumes"].append({"name": "x", "hostPath": {"path": "/"}}),
    "network of the node": lambda spec: spec.update(hostNetwork=True),
}


@pytest.mark.parametrize("weaken", WEAKENED.values(), ids=list(WEAKENED))
def test_a_weaker_pod_would_be_refused(weaken: Callable[[dict[str, Any]], object]) -> None:
    for pod in COMPLETED:
        spec = deepcopy(pod.spec)
        weaken(spec)
        assert violations(spec), pod.name


@pytest.mark.skipif(FIXTURES is None, reason="GMTSCREEN_POD_SECURITY_FIXTURES names no folder of fixtures")
def test_the_checks_agree_with_those_of_kubernetes() -> None:
    newest = max((Path(str(FIXTURES)) / "restricted").iterdir(), key=lambda path: int(path.name.partition(".")[2]))
    files = [*newest.glob("*/*.yaml"), *(Path(str(FIXTURES)) / "baseline" / newest.name).glob("fail/*.yaml")]
    assert len(files) > 100
    for path in files:
        pod = yaml.safe_load(path.read_text(encoding="utf-8"))
        found = violations(pod["spec"], pod["metadata"].get("annotations"))
        assert bool(found) == (path.parent.name == "fail"), f"{path}: {found}"


@pytest.mark.skipif(shutil.which("kubectl") is None, reason="kubectl is not installed")
@pytest.mark.parametrize("name", KUSTOMIZATIONS)
def test_kustomize_builds_all_of_it_with_the_image_named_once(name: str) -> None:
    done = subprocess.run(["kubectl", "kustomize", KUBERNETES / name], capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    built = list(yaml.safe_load_all(done.stdout))
    sources = {each["kind"] for path in (KUBERNETES / name).glob("*.yaml") for each in documents(path)}
    assert {each["kind"] for each in built} - {"ConfigMap"} == sources - {"Kustomization"}
    # Also in the fields of KubeRay's resources, which kustomize has no schema for.
    images = set(re.findall(r"image: (\S+)", done.stdout))
    assert images <= {"registry.example/gmtscreen:cuda", "postgres:17.6-bookworm"}
    assert {each["metadata"].get("namespace", "gmtscreen") for each in built} == {"gmtscreen"}


@pytest.mark.skipif(VALIDATE is None, reason="kubernetes-validate is not installed: pip install it beside, it is large")
def test_resources_fit_the_schemas_of_kubernetes(tmp_path: Path) -> None:
    own = [each for each in RESOURCES if not each["apiVersion"].startswith("ray.io/")]
    broken = deepcopy(named("Deployment", "prefect-worker"))
    broken["spec"]["template"]["spec"]["containers"][0]["imagine"] = 1
    for name, resources, is_valid in (("ours", own, True), ("broken", [broken], False)):
        (tmp_path / name).write_text(yaml.safe_dump_all(resources), encoding="utf-8")
        words = [str(VALIDATE), "--strict", "--quiet", "-k", "1.32", str(tmp_path / name)]
        done = subprocess.run(words, capture_output=True, text=True, timeout=120)
        assert (done.returncode == 0) == is_valid, done.stdout + done.stderr


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
@pytest.mark.parametrize("resource", RAY, ids=lambda each: each["kind"])
def test_ray_manifests_fit_the_definitions_of_kuberay(resource: dict[str, Any]) -> None:
    path = Path(str(CRDS)) / f"ray.io_{resource['kind'].lower()}s.yaml"
    definition = yaml.safe_load(path.read_text(encoding="utf-8"))
    version = next(each for each in definition["spec"]["versions"] if each["name"] == "v1")
    schema = closed(version["schema"]["openAPIV3Schema"])
    schema["properties"]["metadata"] = {"type": "object"}
    validator = jsonschema.Draft7Validator(schema)
    assert [f"{list(each.path)}: {each.message}" for each in validator.iter_errors(resource)] == []
    broken = deepcopy(resource)
    broken["spec"]["imagine"] = 1
    assert list(validator.iter_errors(broken))


@pytest.mark.parametrize("resource", RAY, ids=lambda each: each["kind"])
def test_ray_has_a_token_and_grows_on_gpus(resource: dict[str, Any]) -> None:
    spec = resource["spec"].get("rayClusterSpec", resource["spec"])
    assert spec["authOptions"] == {"mode": "token", "secretName": "gmtscreen-ray-token"}
    assert spec["enableInTreeAutoscaling"] is True
    (group,) = spec["workerGroupSpecs"]
    assert group["template"]["spec"]["containers"][0]["resources"]["limits"]["nvidia.com/gpu"] == "1"
    assert {"key": "nvidia.com/gpu", "operator": "Exists", "effect": "NoSchedule"} in group["template"]["spec"][
        "tolerations"
    ]
    assert group["minReplicas"] < group["maxReplicas"]


def test_job_and_cluster_are_the_same_cluster_of_the_ray_that_is_pinned() -> None:
    cluster, job = (each["spec"] for each in RAY)
    assert job["rayClusterSpec"] == cluster
    pins = (ROOT / "constraints.txt").read_text(encoding="utf-8")
    assert f"\nray=={cluster['rayVersion']}\n" in pins


def test_every_container_is_bounded_and_every_service_is_probed() -> None:
    for pod in pods():
        for container in pod.containers:
            for bound in ("requests", "limits"):
                assert {"cpu", "memory"} <= set(container["resources"][bound]), container["name"]
        is_service = pod.spec.get("restartPolicy", "Always") == "Always"
        main = pod.spec["containers"][0]
        probes = {name for name in ("startupProbe", "readinessProbe", "livenessProbe") if name in main}
        assert len(probes) == (3 if is_service else 0), pod.name
        ports = {port["name"] for port in main.get("ports", [])}
        assert {main[probe]["httpGet"]["port"] for probe in probes if "httpGet" in main[probe]} <= ports


def test_what_pods_mount_and_read_is_there_or_documented() -> None:
    claims = {each["metadata"]["name"]: each["spec"] for each in RESOURCES if each["kind"] == "PersistentVolumeClaim"}
    (generated,) = documents(KUBERNETES / "base" / "kustomization.yaml")
    maps = {each["name"] for each in generated["configMapGenerator"]}
    page = (ROOT / "docs" / "deploy.md").read_text(encoding="utf-8")
    users: dict[str, int] = {}
    for pod in pods():
        volumes = {volume["name"]: volume for volume in pod.spec.get("volumes", [])}
        assert {volume["configMap"]["name"] for volume in volumes.values() if "configMap" in volume} <= maps
        for volume in volumes.values():
            name = volume.get("persistentVolumeClaim", {}).get("claimName")
            assert name is None or name in claims
            # A Job may wait until the volume is free, what stays or grows may not.
            if name is not None and pod.spec.get("restartPolicy", "Always") == "Always":
                users[name] = users.get(name, 0) + 1
        for container in pod.containers:
            mounted = {mount["name"] for mount in container.get("volumeMounts", [])} - {"data"}
            assert mounted <= set(volumes), container["name"]
            for variable in container.get("env", []):
                if "valueFrom" in variable:
                    secret = variable["valueFrom"]["secretKeyRef"]
                    assert f"generic {secret['name']} " in page and f"from-file={secret['key']}=" in page
                is_secret = re.search("TOKEN$|PASSWORD|AUTH_STRING|KEY|GMTSCREEN_DB", variable["name"])
                assert "valueFrom" in variable or not is_secret
    for name, n_users in users.items():
        assert n_users == 1 or claims[name]["accessModes"] == ["ReadWriteMany"], name


POLICIES = {each["metadata"]["name"]: each["spec"] for each in RESOURCES if each["kind"] == "NetworkPolicy"}
OUTSIDE = Pod("an address outside of the cluster", {}, {})
WAYS = {
    ("prefect-worker", "postgres", 5432),
    ("postgres-backup", "postgres", 5432),
    ("postgres-restore", "postgres", 5432),
    ("gmtscreen-head", "postgres", 5432),
    ("screen-head", "postgres", 5432),
    ("prefect-worker", "prefect-server", 4200),
    ("deployments", "prefect-server", 4200),
    ("screen-submitter", "screen-head", 8265),
    # The autoscaler's way to Kubernetes, whose address is not known here.
    ("gmtscreen-head", OUTSIDE.name, 443),
    ("screen-head", OUTSIDE.name, 443),
}
"""Who has to reach whom; between the nodes of Ray every port is needed."""


def lets_through(policies: list[dict[str, Any]], way: str, pod: Pod, other: Pod, port: int) -> bool:
    """Whether policies allow a pod a connection with another; a pod that none concerns may do everything."""
    side = {"egress": "to", "ingress": "from"}[way]
    concerned = [
        spec
        for spec in policies
        if way.capitalize() in spec["policyTypes"] and selects(spec["podSelector"], pod.labels)
    ]
    rules = [rule for spec in concerned for rule in spec.get(way, [])]
    return not concerned or any(
        (side not in rule or any(is_peer(peer, other) for peer in rule[side]))
        and ("ports" not in rule or port in {each["port"] for each in rule["ports"]})
        for rule in rules
    )


def is_peer(peer: dict[str, Any], pod: Pod) -> bool:
    """Whether a peer of a rule means a pod; with a selector of namespaces it means others (names, the operator)."""
    if pod is OUTSIDE or "ipBlock" in peer:
        return pod is OUTSIDE and "ipBlock" in peer
    return "namespaceSelector" not in peer and selects(peer["podSelector"], pod.labels)


def reachable(policies: list[dict[str, Any]]) -> set[tuple[str, str, int]]:
    """Every way that these policies leave open, between our pods and to the outside."""
    found = set()
    for source in pods():
        for target in (*pods(), OUTSIDE):
            for port in (22, 80, 443, 4200, 5432, 8265, 30000):
                is_open = lets_through(policies, "egress", source, target, port)
                if is_open and (target is OUTSIDE or lets_through(policies, "ingress", target, source, port)):
                    found.add((source.name, target.name, port))
    return found


def test_the_network_lets_through_what_is_needed_and_nothing_else() -> None:
    base = reachable([spec for name, spec in POLICIES.items() if name != "network-sources"])
    assert base >= WAYS
    nodes = {pod.name for pod in pods() if pod.labels.get("gmtscreen/ray") == "member"}
    assert len(nodes) == 6 and "prefect-worker" in nodes and "prefect-server" not in nodes
    assert {way for way in base - WAYS if not {way[0], way[1]} <= nodes} == set()
    assert reachable(list(POLICIES.values())) - base == {("prefect-worker", OUTSIDE.name, 443)}
    # Without the one that names every pod, those that no other names would be open.
    open_pods = reachable([spec for name, spec in POLICIES.items() if name not in {"closed", "names"}]) - base
    assert ("prefect-server", OUTSIDE.name, 443) in open_pods
