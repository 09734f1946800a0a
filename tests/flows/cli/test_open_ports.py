"""Where processes listen: sockets and their reach are found, and nothing of a run listens beyond loopback."""

import os
import socket
import subprocess
import sys
from ipaddress import ip_address

import psutil
import pytest
import ray

from flows.cli import doctor
from flows.cli.doctor import Health
from flows.cli.open_ports import Listener, listeners_of, listeners_of_machine, process_tree

# The first test with Ray and Prefect waits for both to start, which takes minutes on a busy machine.
pytestmark = pytest.mark.timeout(900)

ANYWHERE = "0.0.0.0"  # noqa: S104  looked for, not bound


@pytest.mark.parametrize(
    ("address", "loopback"),
    [
        ("127.0.0.1", True),
        ("127.16.0.3", True),
        (ANYWHERE, False),
        ("192.168.1.5", False),
        ("10.0.0.127", False),
        ("::1", True),
        ("::", False),
        ("::ffff:127.0.0.1", True),
        ("::ffff:0.0.0.0", False),
        ("fe80::5054:ff:fe1d:adb6", False),
    ],
)
def test_what_only_this_machine_reaches_is_loopback(address: str, loopback: bool) -> None:
    assert Listener(ip_address(address), 8265).loopback is loopback


def test_the_doctor_names_ports_of_ours_that_others_reach(monkeypatch: pytest.MonkeyPatch) -> None:
    near, wide = Listener(ip_address("127.0.0.1"), 8265), Listener(ip_address(ANYWHERE), 6379)
    monkeypatch.setattr(doctor, "listeners_of_machine", lambda: [near])
    assert doctor.check_ports().health is Health.GOOD
    monkeypatch.setattr(doctor, "listeners_of_machine", lambda: [near, wide])
    check = doctor.check_ports()
    assert check.health is Health.NOTE
    assert "Ray 6379 ALL INTERFACES" in check.found


@pytest.mark.skipif(sys.platform != "linux", reason="reads Linux's /proc")
def test_a_listening_child_is_found_and_so_is_its_address() -> None:
    code = (
        "import socket, sys\n"
        "with socket.create_server((sys.argv[1], 0), family=int(sys.argv[2])) as s:\n"
        "    print(s.getsockname()[1], flush=True); sys.stdin.read()"
    )
    families = {"127.0.0.1": socket.AF_INET} | ({"::1": socket.AF_INET6} if _has_ipv6() else {})
    for address, family in families.items():
        command = [sys.executable, "-c", code, address, str(int(family))]
        with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as child:
            port = int(child.stdout.readline())  # type: ignore[union-attr]
            tree = process_tree(os.getpid())
            assert child.pid in tree
            (found,) = listeners_of({child.pid})
            assert (str(found.address), found.port, found.loopback) == (address, port, True)
            assert found in listeners_of(tree)
            assert found in listeners_of_machine()
            assert found not in listeners_of(tree - {child.pid})  # control: a socket belongs to who holds it
            child.communicate("")


def _has_ipv6() -> bool:
    try:
        socket.create_server(("::1", 0), family=socket.AF_INET6).close()
    except OSError:
        return False
    return True


@pytest.mark.skipif(sys.platform != "linux", reason="reads Linux's /proc")
def test_ray_and_prefect_listen_and_only_on_loopback(prefect_server: None) -> None:
    """With the workers' processes and the server of a run alive."""
    found = listeners_of(process_tree(os.getpid()))
    assert len(found) >= 3, "Ray's control, Ray's node and Prefect's server at least"
    assert [str(each) for each in found if not each.loopback] == []


@pytest.mark.skipif(sys.platform != "linux", reason="reads Linux's /proc")
def test_the_private_ray_answers_only_who_knows_the_token_of_this_run(prefect_server: None) -> None:
    address = ray.get_runtime_context().gcs_address
    token = _token_of_a_child()
    assert _said_to_a_stranger(address, {"RAY_AUTH_MODE": "token", "RAY_AUTH_TOKEN": token}) == "let in"  # control
    assert _said_to_a_stranger(address, {"RAY_AUTH_MODE": "token", "RAY_AUTH_TOKEN": "f" * 64}) == "turned away"
    assert _said_to_a_stranger(address, {"RAY_AUTH_MODE": "disabled"}) == "turned away"


def _token_of_a_child() -> str:
    """Ray's token, as its own processes know it."""
    for pid in process_tree(os.getpid()):
        if token := psutil.Process(pid).environ().get("RAY_AUTH_TOKEN"):
            return token
    raise AssertionError("no process of Ray has a token")


def _said_to_a_stranger(address: str, variables: dict[str, str]) -> str:
    """What another process of this machine hears that asks Ray's control for its stored keys."""
    code = "import sys; from ray._raylet import GcsClient; GcsClient(address=sys.argv[1]).internal_kv_keys(b'', None)"
    others = {name: value for name, value in os.environ.items() if not name.startswith("RAY_AUTH")}
    command = [sys.executable, "-c", code, address]
    with subprocess.Popen(command, env=others | variables, stderr=subprocess.PIPE, text=True) as stranger:
        for line in stranger.stderr or ():
            if "InvalidAuthToken" in line:  # it would try again and again
                stranger.kill()
                return "turned away"
    return "let in" if stranger.returncode == 0 else f"failed with {stranger.returncode}"


def test_a_listener_prints_what_to_look_for() -> None:
    assert str(Listener(ip_address(ANYWHERE), 6379)) == f"{ANYWHERE} port 6379"
