"""Pod Security Standards, level restricted, as a function from a pod to what it breaks: one check per control.

Source: https://kubernetes.io/docs/concepts/security/pod-security-standards/, Kubernetes 1.37. That the checks agree
with Kubernetes is shown by its own fixtures, where they are at hand (test_kubernetes.py).
"""

from collections.abc import Iterator
from typing import Any

Spec = dict[str, Any]

_VOLUMES = {"configMap", "csi", "downwardAPI", "emptyDir", "ephemeral", "persistentVolumeClaim", "projected", "secret"}
_SYSCTLS = {
    "kernel.shm_rmid_forced", "net.ipv4.ip_local_port_range", "net.ipv4.ip_unprivileged_port_start",
    "net.ipv4.tcp_syncookies", "net.ipv4.ping_group_range", "net.ipv4.ip_local_reserved_ports",
    "net.ipv4.tcp_keepalive_time", "net.ipv4.tcp_fin_timeout", "net.ipv4.tcp_keepalive_intvl",
    "net.ipv4.tcp_keepalive_probes", "net.ipv4.tcp_rmem", "net.ipv4.tcp_wmem",
    "net.ipv4.tcp_slow_start_after_idle", "net.ipv4.tcp_notsent_lowat",
}  # fmt: skip
_SELINUX_TYPES = {"", "container_t", "container_init_t", "container_kvm_t", "container_engine_t"}
_APPARMOR = "container.apparmor.security.beta.kubernetes.io/"
_CONFINED = {"RuntimeDefault", "Localhost"}
_HANDLERS = (("livenessProbe",), ("readinessProbe",), ("startupProbe",), ("lifecycle", "postStart"), ("lifecycle", "preStop"))  # fmt: skip  # noqa: E501


def violations(spec: Spec, annotations: dict[str, str] | None = None) -> list[str]:
    """What a pod breaks of the level restricted; empty when it is admitted.

    Args:
        spec: of the pod.
        annotations: of the pod.
    """
    pod = spec.get("securityContext") or {}
    is_windows = (spec.get("os") or {}).get("name") == "windows"
    found = [name for name in ("hostNetwork", "hostPID", "hostIPC") if spec.get(name)]
    found += [f"sysctl {each['name']}" for each in pod.get("sysctls") or () if each["name"] not in _SYSCTLS]
    for volume in spec.get("volumes") or ():
        found += [f"volume of type {kind}" for kind in set(volume) - {"name"} - _VOLUMES]
    for name, value in (annotations or {}).items():
        if name.startswith(_APPARMOR) and value != "runtime/default" and not value.startswith("localhost/"):
            found.append(f"AppArmor {value}")
    found += _of_any_context(pod)
    if pod.get("runAsUser") == 0:
        found.append("runAsUser 0")
    if (pod.get("seccompProfile") or {}).get("type", "RuntimeDefault") not in _CONFINED:
        found.append("seccomp of the pod")
    for container in _containers(spec):
        found += [f"{container['name']}: {problem}" for problem in _of_container(container, pod, is_windows)]
    return found


def _containers(spec: Spec) -> Iterator[Spec]:
    for kind in ("initContainers", "containers", "ephemeralContainers"):
        yield from spec.get(kind) or ()


def _of_any_context(context: Spec) -> Iterator[str]:
    """The controls that a pod's and a container's security context share."""
    selinux = context.get("seLinuxOptions") or {}
    if selinux.get("type", "") not in _SELINUX_TYPES or selinux.get("user") or selinux.get("role"):
        yield "SELinux options"
    if (context.get("windowsOptions") or {}).get("hostProcess"):
        yield "hostProcess"
    if (context.get("appArmorProfile") or {}).get("type", "RuntimeDefault") not in _CONFINED:
        yield "AppArmor profile"


def _of_container(container: Spec, pod: Spec, is_windows: bool) -> Iterator[str]:
    """The controls of a container; what it leaves unset means what the pod says."""
    context = container.get("securityContext") or {}
    yield from _of_any_context(context)
    yield from _of_the_node(container, context)
    if context.get("runAsNonRoot", pod.get("runAsNonRoot")) is not True:
        yield "runAsNonRoot"
    if context.get("runAsUser") == 0:
        yield "runAsUser 0"
    seccomp = (context.get("seccompProfile") or pod.get("seccompProfile") or {}).get("type")
    if seccomp not in _CONFINED and not (is_windows and seccomp is None):
        yield "seccompProfile"
    capabilities = context.get("capabilities") or {}
    if set(capabilities.get("add") or ()) - {"NET_BIND_SERVICE"}:
        yield "capabilities added"
    if not is_windows and context.get("allowPrivilegeEscalation") is not False:
        yield "allowPrivilegeEscalation"
    if not is_windows and "ALL" not in (capabilities.get("drop") or ()):
        yield "capabilities not dropped"


def _of_the_node(container: Spec, context: Spec) -> Iterator[str]:
    """What reaches out of a container to its node."""
    if context.get("privileged"):
        yield "privileged"
    if context.get("procMount", "Default") != "Default":
        yield "procMount"
    if any(port.get("hostPort") for port in container.get("ports") or ()):
        yield "hostPort"
    for path in _HANDLERS:
        handler: Spec = container
        for key in path:
            handler = handler.get(key) or {}
        if any((handler.get(kind) or {}).get("host") for kind in ("httpGet", "tcpSocket")):
            yield f"host in {path[-1]}"
