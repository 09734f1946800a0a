"""Where processes listen: the kernel's tables are read right, and nothing of a run listens beyond loopback."""

import os
import socket
import subprocess
import sys
from ipaddress import ip_address
from pathlib import Path

import pytest
import ray

from flows.cli.doctor import Health, check_ports
from flows.cli.open_ports import PROC, Listener, listeners_of, process_tree, read_listeners

# The first test with Ray and Prefect waits for both to start, which takes minutes on a busy machine.
pytestmark = pytest.mark.timeout(900)

HEAD = "  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode\n"
ROW = "   0: {}:{:04X} 00000000:0000 {} 00000000:00000000 00:00000000 00000000     0        0 {} 1 0\n"
LISTENS, CONNECTED = "0A", "01"


def table(path: Path, *rows: tuple[str, int, str]) -> Path:
    """A socket table as a little-endian kernel prints it, from address, port and state."""
    path.write_text(HEAD + "".join(ROW.format(*row, 100 + n) for n, row in enumerate(rows)))
    return path


@pytest.mark.parametrize(
    ("printed", "address", "loopback"),
    [
        ("0100007F", "127.0.0.1", True),
        ("0300107F", "127.16.0.3", True),
        ("00000000", "0.0.0.0", False),  # noqa: S104  read, not bound
        ("0501A8C0", "192.168.1.5", False),
        ("7F00000A", "10.0.0.127", False),
        ("0" * 24 + "01000000", "::1", True),
        ("0" * 32, "::", False),
        ("0000000000000000FFFF00000100007F", "::ffff:127.0.0.1", True),
        ("0000000000000000FFFF000000000000", "::ffff:0.0.0.0", False),
        ("000080FE00000000FF005450B6AD1DFE", "fe80::5054:ff:fe1d:adb6", False),
    ],
)
@pytest.mark.skipif(sys.byteorder != "little", reason="the rows are printed by a little-endian kernel")
def test_addresses_are_read_as_the_kernel_prints_them(
    printed: str, address: str, loopback: bool, tmp_path: Path
) -> None:
    (found,) = read_listeners(table(tmp_path / "tcp", (printed, 8265, LISTENS), (printed, 8266, CONNECTED)))
    assert (found.address, found.port) == (ip_address(address), 8265)
    assert found.loopback is loopback


def test_the_doctor_names_ports_of_ours_that_others_reach(tmp_path: Path) -> None:
    near, wide, busy = ("0100007F", 8265, LISTENS), ("00000000", 6379, LISTENS), ("00000000", 4200, CONNECTED)
    assert check_ports((table(tmp_path / "near", near, busy), tmp_path / "missing")).health is Health.GOOD
    check = check_ports((table(tmp_path / "wide", near, wide),))
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
        variables = (PROC / str(pid) / "environ").read_bytes().split(b"\0")
        found = [each.partition(b"=")[2].decode() for each in variables if each.startswith(b"RAY_AUTH_TOKEN=")]
        if found:
            return found[0]
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
    assert str(Listener(ip_address("0.0.0.0"), 6379, "1")) == "0.0.0.0 port 6379"  # noqa: S104  printed, not bound
