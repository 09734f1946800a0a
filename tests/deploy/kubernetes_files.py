"""deploy/kubernetes/ as a test needs it: resources, the pods that come of them, and who lets whom through.

The operator adds containers of its own to what a RayCluster says; `pods_of` adds them as KubeRay 1.6 does
(ray-operator/controllers/ray/common/pod.go), since the namespace's level is applied to them too.
"""

from collections.abc import Iterator
from copy import deepcopy
from dataclasses import dataclass
from typing import Any

from tests.deploy.compose_file import DEPLOY, documents

KUBERNETES = DEPLOY / "kubernetes"
RESOURCES = [
    resource
    for path in sorted(KUBERNETES.rglob("*.yaml"))
    if path.name != "kustomization.yaml"
    for resource in documents(path)
]


@dataclass(frozen=True)
class Pod:
    """A pod that a resource makes.

    Attributes:
        name: of the resource and, in a Ray cluster, of the group.
        labels: by which services and network policies know it.
        spec: of the pod.
    """

    name: str
    labels: dict[str, str]
    spec: dict[str, Any]

    @property
    def containers(self) -> list[dict[str, Any]]:
        """Those that we describe, not those that the operator adds."""
        return [*self.spec.get("initContainers", []), *self.spec["containers"]]


def named(kind: str, name: str) -> dict[str, Any]:
    """The resource of a kind and name."""
    (found,) = (each for each in RESOURCES if (each["kind"], each["metadata"]["name"]) == (kind, name))
    return found


def pods() -> list[Pod]:
    """Every pod that we describe."""
    return [pod for resource in RESOURCES for pod in pods_of(resource)]


def pods_of(resource: dict[str, Any]) -> Iterator[Pod]:
    """The pods that a resource makes, those of the operator included."""
    name, spec = resource["metadata"]["name"], resource.get("spec", {})
    if resource["kind"] == "CronJob":
        spec = spec["jobTemplate"]["spec"]
    if resource["kind"] in {"Deployment", "StatefulSet", "Job", "CronJob"}:
        yield _pod(name, spec["template"])
    if resource["kind"] == "RayJob":
        yield _pod(f"{name}-submitter", spec["submitterPodTemplate"])
    if resource["kind"] in {"RayJob", "RayCluster"}:
        cluster = spec.get("rayClusterSpec", spec)
        head = _pod(f"{name}-head", cluster["headGroupSpec"]["template"])
        yield Pod(head.name, head.labels | {"ray.io/node-type": "head"}, head.spec)
        for group in cluster["workerGroupSpecs"]:
            worker = _pod(f"{name}-{group['groupName']}", group["template"])
            yield Pod(worker.name, worker.labels | {"ray.io/node-type": "worker"}, worker.spec)


def completed_by_operator(resource: dict[str, Any]) -> Iterator[Pod]:
    """The pods of a resource with the containers that KubeRay adds to them."""
    cluster = resource.get("spec", {}).get("rayClusterSpec", resource.get("spec", {}))
    for pod in pods_of(resource):
        spec = deepcopy(pod.spec)
        ours = spec["containers"][0]
        if pod.labels.get("ray.io/node-type") == "head":
            context = cluster["autoscalerOptions"].get("securityContext", {})
            spec["containers"].append({"name": "autoscaler", "securityContext": context})
        elif pod.labels.get("ray.io/node-type") == "worker":
            waiting = {"name": "wait-gcs-ready", "securityContext": ours.get("securityContext", {})}
            spec.setdefault("initContainers", []).append(waiting)
        yield Pod(pod.name, pod.labels, spec)


def _pod(name: str, template: dict[str, Any]) -> Pod:
    return Pod(name, dict(template.get("metadata", {}).get("labels", {})), template["spec"])


def selects(selector: dict[str, Any], labels: dict[str, str]) -> bool:
    """Whether a selector of labels, of which only `matchLabels` is known here, takes these."""
    if set(selector) - {"matchLabels"}:
        raise NotImplementedError(selector)
    return selector.get("matchLabels", {}).items() <= labels.items()


def ray_start(resource: dict[str, Any], group: str) -> list[str]:
    """The command line that KubeRay 1.6 makes for a node: `ray start` with what the manifest says and its own defaults.

    Args:
        resource: RayCluster or RayJob.
        group: `head`, or the name of a group of workers.
    """
    cluster = resource["spec"].get("rayClusterSpec", resource["spec"])
    is_head = group == "head"
    if is_head:
        found = cluster["headGroupSpec"]
    else:
        found = next(each for each in cluster["workerGroupSpecs"] if each["groupName"] == group)
    limits = found["template"]["spec"]["containers"][0]["resources"]["limits"]
    parameters = {"num-cpus": limits["cpu"], **found["rayStartParams"]}
    parameters |= {"dashboard-agent-listen-port": "52365", "metrics-export-port": "8080", "block": "true"}
    if is_head:
        parameters |= {"dashboard-host": "0.0.0.0", "no-monitor": "true"}  # noqa: S104  the operator's default
    else:
        parameters["address"] = f"{resource['metadata']['name']}-head-svc:6379"
        parameters["num-gpus"] = limits.get("nvidia.com/gpu", "0")
    flags = [f"--{name}" if value == "true" else f"--{name}={value}" for name, value in sorted(parameters.items())]
    return ["ray", "start", *(["--head"] if is_head else []), *flags]
