"""Ray, from its start to its end: a private one on loopback, or a cluster of several machines behind a token."""

import ipaddress
import os
import secrets
from collections.abc import Callable, Sequence
from contextlib import suppress
from importlib.util import find_spec
from typing import Any

import ray
from ray._private import ray_constants, services
from ray._private import worker as ray_worker
from ray._private.node import Node
from ray._raylet import AuthenticationTokenLoader, Config  # type: ignore[attr-defined]  # a compiled module
from ray.exceptions import RayError
from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

from gmt_tasks.import_guard import REPOSITORY_ROOT
from gmt_tasks.process import environment, kept_signal_handlers, tcp_answers
from gmt_tasks.telemetry import event
from gmt_tasks.workers.jobs import first_line
from gmt_tasks.workers.placement import NodeResources, Place, gpu_share
from gmt_tasks.workers.run_folder import run_folder
from models.errors import ModelError

OBJECT_STORE_BYTES = 256 * 1024**2
START_TRIES = 3
CALL_RETRIES = 5
WAIT_S = 5.0
NAMESPACE = "gmtscreen"
NOT_SHIPPED = [".git", ".venv", "build", "dist", "docs", "tests", "/runs", "*.db*", ".*cache*", ".hypothesis"]
"""What no worker needs of the repository."""

_ADDRESS_ADVICE = "Check that `ray status` answers there, or leave --ray-address out to use this machine."
_ANSWER_ADVICE = (
    "If a Ray answers there, its token is another one than RAY_AUTH_TOKEN_PATH or RAY_AUTH_TOKEN name here, or none is "
    "named."
)
_LOST_ADVICE = (
    "The cluster dropped them unstarted, as one does that was started without a token while this side has one: start "
    "its nodes with RAY_AUTH_MODE=token and the same token; or, if nobody else reaches it, set RAY_AUTH_MODE=disabled "
    "here."
)
_CLUSTER_OF_MACHINES = ray_constants.ENABLE_RAY_CLUSTER
"""What RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER says, by default true on Linux."""

_SERVERS_FOR_CLUSTERS = {
    name: getattr(Node, name) for name in ("start_monitor", "start_log_monitor", "start_api_server")
}


def _adjust_ray(*, loopback_only: bool) -> None:
    """Three things for which `ray.init` has no option.

    Ray takes the address of the network card, and then its servers listen on every interface; with clusters disabled
    it does what it does on desktop systems, and everything stays on 127.0.0.1. And it prints the death of a worker to
    standard output, into the middle of what a program prints there; here that is an event. And a private Ray needs none
    of the servers for autoscaling, printing of logs and a dashboard, each a Python process that imports Ray for a
    second.
    """

    def print_as_event(data: dict[str, Any], *_: object, **__: object) -> None:
        event("ray.said", text=first_line(" ".join(str(line) for line in data.get("lines", []))))

    for name, start in _SERVERS_FOR_CLUSTERS.items():
        setattr(Node, name, (lambda *_, **__: None) if loopback_only else start)
    ray_constants.ENABLE_RAY_CLUSTER = _CLUSTER_OF_MACHINES and not loopback_only
    ray_worker.print_to_stdstream = print_as_event


def start_ray(address: str | None = None, n_cpus: int | None = None) -> bool:
    """Starts Ray on this machine, on loopback without dashboard, or connects to a cluster.

    Code and shipped weights travel to a cluster in Ray's working directory. Objects that do not fit into its memory
    are spilled to disk.

    Args:
        address: of a cluster (`host:6379`, `ray://host:10001`, `auto`); None starts a private one.
        n_cpus: worker slots of the private one; None takes the number of CPU cores.

    Returns:
        True when this call started or connected Ray, False when the process was connected before.

    Raises:
        ModelError: the cluster cannot be reached, is not behind a token, or Ray cannot start.
    """
    if ray.is_initialized():
        return False
    # A raylet hands its environment down to every worker; the root goes first so that neither pytest nor an editable
    # install can make the import order of driver and workers differ.
    path = os.pathsep.join([str(REPOSITORY_ROOT), *filter(None, [os.environ.get("PYTHONPATH")])])
    options, variables = _private_ray(n_cpus) if address is None else _cluster_at(address)
    options |= {"namespace": NAMESPACE, "log_to_driver": False, "logging_level": "ERROR"}
    variables |= {"PYTHONPATH": path, "RAY_USAGE_STATS_ENABLED": "0"}
    _adjust_ray(loopback_only=address is None)
    with kept_signal_handlers(), environment(variables):
        _read_token_anew()
        _init(
            options,
            f"the Ray cluster at {address}. {_ANSWER_ADVICE} {_ADDRESS_ADVICE}" if address else "",
            tries=START_TRIES,
        )
    return True


def _private_ray(n_cpus: int | None) -> tuple[dict[str, Any], dict[str, str]]:
    """Options of `ray.init` and environment variables of a Ray on loopback."""
    options = {"address": "local", "num_cpus": n_cpus, "include_dashboard": False}
    # Ray opens this folder to every user of the machine; the one around it is private.
    options |= {"object_store_memory": OBJECT_STORE_BYTES, "_temp_dir": str(run_folder() / "ray")}
    variables = {"RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER": "0", "RAY_enable_metrics_collection": "0"}
    # Other users of the machine reach loopback too. Left to itself Ray would write a token for all its clusters into
    # the home folder, in a file that others may read: here it gets one of its own, unless the user set one or wants
    # none.
    if os.environ.get("RAY_AUTH_MODE", "token").lower() == "token":
        variables["RAY_AUTH_MODE"] = "token"
        if not (os.environ.get("RAY_AUTH_TOKEN") or os.environ.get("RAY_AUTH_TOKEN_PATH")):
            variables["RAY_AUTH_TOKEN"] = secrets.token_hex(32)
    return options, variables


def _cluster_at(address: str) -> tuple[dict[str, Any], dict[str, str]]:
    """Options of `ray.init` and environment variables for a cluster.

    Raises:
        ModelError: Ray would wait for minutes at this address, or anybody could command the cluster.
    """
    if address.startswith("ray://") and find_spec("grpc") is None:
        raise ModelError(
            f"The Ray address {address} needs Ray's client, which is not installed. Run this on a node of the cluster "
            "with --ray-address HOST:6379, or install ray[client] in the version of the cluster."
        )
    if not tcp_answers(address):
        raise ModelError(f"Nothing answers at the Ray address {address}. {_ADDRESS_ADVICE}")
    if not _is_loopback(address) and not _has_token():
        raise ModelError(
            f"The Ray address {address} is not on this machine and no Ray token is set: whoever reaches such a cluster "
            "can run anything on it. Make a token with `ray get-auth-token --generate`, start every node with "
            "RAY_AUTH_MODE=token and RAY_AUTH_TOKEN_PATH naming it, and set both here."
        )
    runtime_env = {"working_dir": str(REPOSITORY_ROOT), "excludes": NOT_SHIPPED}
    # Ray finds a token by itself but does not use it at an address that it was given.
    return {"address": address, "runtime_env": runtime_env}, {"RAY_AUTH_MODE": "token"} if _has_token() else {}


def _read_token_anew() -> None:
    """Makes Ray look at the environment again: it remembers mode and token of what this process used before."""
    Config.initialize("")
    AuthenticationTokenLoader.instance().reset_cache()


def _is_loopback(address: str) -> bool:
    """True when what answers at an address listens on this machine only; `auto` is the cluster that Ray would take."""
    if address == "auto":
        try:
            address = str(services.canonicalize_bootstrap_address_or_die("auto"))
        except ConnectionError:
            return True  # there is none, as `ray.init` will say
    host = address.rpartition("://")[2].rpartition(":")[0].strip("[]")
    with suppress(ValueError):
        return ipaddress.ip_address(host).is_loopback
    return host == "localhost"


def _has_token() -> bool:
    """True when Ray has a token and RAY_AUTH_MODE does not keep it from using it."""
    mode = os.environ.get("RAY_AUTH_MODE")
    has_one: bool = AuthenticationTokenLoader.instance().has_token(ignore_auth_mode=True)
    return has_one and (mode is None or mode.lower() == "token")


def advice_for_lost_workers(message: str) -> str:
    """What to do about workers that could not start.

    Args:
        message: Ray's error of the last one.
    """
    return _LOST_ADVICE if "never ran" in message else "Run `gmtscreen doctor`."


def _init(options: dict[str, Any], cluster: str, tries: int) -> None:
    """`ray.init`, retried when a busy machine was too slow for Ray's own 30 seconds.

    Args:
        options: of `ray.init`.
        cluster: what is connected to and what to do when it fails; empty for a private Ray, which alone is retried.
        tries: attempts left.

    Raises:
        ModelError: the last attempt failed.
    """
    try:
        ray.init(**options)
    except Exception as error:
        # Ray raises bare Exceptions; whatever it started goes before anything else is tried.
        with suppress(Exception):
            ray.shutdown()
        message = first_line(str(error)).rstrip(".")
        if cluster:
            raise ModelError(f"Ray said: {message}, at {cluster}") from error
        if tries <= 1:
            raise ModelError(
                f"Ray did not start on this machine in {START_TRIES} tries: {message}. The machine may be overloaded: "
                "try again later or with fewer --workers, and see `gmtscreen doctor`."
            ) from error
        event("ray.start_again", said=message)
        _init(options, cluster, tries - 1)


def ended_ray_process() -> str:
    """Which process of the Ray that this process started has ended; empty while all that it cannot do without live."""
    node = ray_worker._global_node
    started: dict[str, Any] = {} if node is None else node.all_processes
    kinds = (ray_constants.PROCESS_TYPE_RAYLET, ray_constants.PROCESS_TYPE_GCS_SERVER)
    ended = [kind for kind in kinds for info in started.get(kind, []) if info.process.poll() is not None]
    return f"Ray's {ended[0]} was stopped" if ended else ""


def stop_ray() -> None:
    """Ends the private cluster or leaves the shared one; keeps the signal handlers."""
    with kept_signal_handlers():
        ray.shutdown()


def count_devices() -> tuple[int, int]:
    """Number of CPU slots and of GPUs that the running Ray has."""
    resources = ray.cluster_resources()
    return int(resources.get("CPU", 1)), int(resources.get("GPU", 0))


def nodes_of_cluster() -> list[NodeResources]:
    """What the living nodes of the running Ray offer."""
    nodes = []
    for facts in ray.nodes():
        resources = facts["Resources"]
        if facts["Alive"]:
            cpus, gpus = (int(resources.get(kind, 0)) for kind in ("CPU", "GPU"))
            nodes.append(NodeResources(facts["NodeID"], cpus, gpus))
    return nodes


def options_at(place: Place) -> dict[str, Any]:
    """Options of a Ray actor that runs at a place."""
    options: dict[str, Any] = {"num_cpus": 1, "num_gpus": place.gpus}
    if place.node:
        # Softly: when the node is gone, another one may have room.
        options["scheduling_strategy"] = NodeAffinitySchedulingStrategy(place.node, soft=True)
    return options


def _gpus_per_call(device: str, n_at_once: int, *, on_cluster: bool) -> float:
    """Share of a GPU for each of the calls that run side by side."""
    _, gpus = count_devices()
    if device == "cpu" or (not gpus and not on_cluster):
        return 0.0
    if on_cluster:
        # The machines differ: one call takes a whole GPU. Where one is asked for, a cluster may start a node for it.
        return 1.0 if gpus or device.startswith("cuda") else 0.0
    return gpu_share(-(-n_at_once // gpus))


def run_side_by_side(
    function: Callable[..., None],
    arguments: Sequence[tuple[Any, ...]],
    *,
    address: str | None = None,
    n_at_once: int = 1,
    device: str = "auto",
    on_wait: Callable[[], None] = lambda: None,
) -> None:
    """Calls a function once per tuple of arguments, each call in a worker process of its own.

    Args:
        function: a top-level one that may be called again with the same arguments after its worker died.
        arguments: of each call.
        address: Ray cluster; None starts a private Ray, which ends with this call.
        n_at_once: calls side by side on this machine; a cluster takes as many as it has room for.
        device: "auto" gives calls a GPU where there is one, "cpu" none, "cuda" waits for one on a cluster.
        on_wait: called every few seconds.

    Raises:
        ModelError: Ray cannot start, or a call failed; the others are stopped then.
    """
    owns_ray = start_ray(address, n_at_once)
    try:
        share = _gpus_per_call(device, n_at_once, on_cluster=address is not None)
        remote = ray.remote(num_cpus=1, num_gpus=share, max_retries=CALL_RETRIES, max_calls=1)(function)
        pending = [remote.remote(*call_arguments) for call_arguments in arguments]
        while pending:
            done, pending = ray.wait(pending, timeout=WAIT_S)
            ray.get(done)
            on_wait()
    except RayError as error:
        message = first_line(str(getattr(error, "cause", None) or error))
        raise ModelError(
            f"{function.__name__} failed in a worker: {message}. Run the same command again to go on."
        ) from error
    finally:
        if owns_ray:
            stop_ray()
