"""Ray's start: what cannot work is said within seconds, and no cluster without a token is used."""

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
import ray

from gmt_tasks.import_guard import REPOSITORY_ROOT
from gmt_tasks.workers import cluster
from gmt_tasks.workers.cluster import start_ray
from models.errors import ModelError


def test_an_unreachable_cluster_is_an_error_that_says_what_to_do() -> None:
    code = "from gmt_tasks.workers.cluster import start_ray; start_ray('127.0.0.1:1')"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=REPOSITORY_ROOT, timeout=60)
    assert done.returncode != 0
    assert "Nothing answers at the Ray address 127.0.0.1:1" in done.stderr and "--ray-address" in done.stderr


def test_a_slow_start_of_ray_is_tried_again_and_a_hopeless_one_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    calls: list[dict[str, object]] = []

    def slow_until(n_good: int) -> Callable[..., None]:
        def init(**options: object) -> None:
            calls.append(options)
            if len(calls) < n_good:
                raise Exception("The current node timed out during startup. This could happen.")

        return init

    monkeypatch.setattr(cluster, "_read_token_anew", lambda: None)
    monkeypatch.setattr(ray, "is_initialized", lambda: False)
    monkeypatch.setattr(ray, "shutdown", lambda: None)
    monkeypatch.setattr(ray, "init", slow_until(2))
    assert start_ray(n_cpus=1)
    assert len(calls) == 2
    calls.clear()
    monkeypatch.setattr(ray, "init", slow_until(99))
    with pytest.raises(ModelError, match="3 tries: The current node timed out.*fewer --workers"):
        start_ray(n_cpus=1)
    assert len(calls) == 3


class Loader:
    """Ray's own loader remembers what it found; a Ray that runs beside these tests must not lose its token by them."""

    instance = classmethod(lambda cls: cls())

    def has_token(self, *, ignore_auth_mode: bool) -> bool:
        return bool(os.environ.get("RAY_AUTH_TOKEN") or Path.home().joinpath(".ray/auth_token").exists())


@pytest.fixture
def asked_of_ray(monkeypatch: pytest.MonkeyPatch) -> list[dict[str, object]]:
    """What `ray.init` would have been called with, at addresses that answer, and what it found in the environment."""
    calls: list[dict[str, object]] = []
    tokens = ("RAY_AUTH_MODE", "RAY_AUTH_TOKEN")

    def init(**options: object) -> None:
        calls.append(options | {"environment": {name: os.environ.get(name) for name in tokens}})

    monkeypatch.setattr(ray, "is_initialized", lambda: False)
    monkeypatch.setattr(ray, "init", init)
    monkeypatch.setattr(cluster, "tcp_answers", lambda address: True)
    monkeypatch.setattr(cluster, "AuthenticationTokenLoader", Loader)
    monkeypatch.setattr(cluster, "_read_token_anew", lambda: None)
    return calls


def without_token(monkeypatch: pytest.MonkeyPatch, tmp_home: str) -> None:
    for name in ("RAY_AUTH_MODE", "RAY_AUTH_TOKEN", "RAY_AUTH_TOKEN_PATH"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HOME", tmp_home)


@pytest.mark.parametrize("address", ["192.0.2.7:6379", "cluster.example:6379", "[2001:db8::1]:6379"])
def test_a_cluster_on_other_machines_is_refused_without_a_token_and_taken_with_one(
    address: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, asked_of_ray: list[dict[str, object]]
) -> None:
    without_token(monkeypatch, str(tmp_path))
    with pytest.raises(ModelError, match=r"no Ray token is set.*ray get-auth-token --generate.*RAY_AUTH_MODE=token"):
        start_ray(address)
    assert asked_of_ray == []
    monkeypatch.setenv("RAY_AUTH_TOKEN", "a" * 64)
    monkeypatch.setenv("RAY_AUTH_MODE", "disabled")
    with pytest.raises(ModelError, match="no Ray token"):
        start_ray(address)
    monkeypatch.setenv("RAY_AUTH_MODE", "token")
    assert start_ray(address)
    assert [each["address"] for each in asked_of_ray] == [address]


@pytest.mark.parametrize("address", ["127.0.0.1:6379", "localhost:6379", "[::1]:6379"])
def test_a_cluster_on_this_machine_needs_no_token_and_gets_the_code(
    address: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, asked_of_ray: list[dict[str, object]]
) -> None:
    without_token(monkeypatch, str(tmp_path))
    assert start_ray(address)
    (options,) = asked_of_ray
    environment = options["runtime_env"]
    assert isinstance(environment, dict)
    assert environment["working_dir"] == str(REPOSITORY_ROOT)
    assert {".git", ".venv", "*.db*"} <= set(environment["excludes"])


@pytest.mark.parametrize("address", ["127.0.0.1:6379", "192.0.2.7:6379"])
def test_a_token_that_ray_would_find_is_used_at_a_given_address(
    address: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, asked_of_ray: list[dict[str, object]]
) -> None:
    without_token(monkeypatch, str(tmp_path))
    (tmp_path / ".ray").mkdir()
    (tmp_path / ".ray" / "auth_token").write_text("b" * 64)
    assert start_ray(address)
    assert asked_of_ray[0]["environment"] == {"RAY_AUTH_MODE": "token", "RAY_AUTH_TOKEN": None}
    assert "RAY_AUTH_MODE" not in os.environ


def test_the_private_ray_has_a_token_of_its_own_each_time_unless_the_user_says_otherwise(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, asked_of_ray: list[dict[str, object]]
) -> None:
    without_token(monkeypatch, str(tmp_path))
    assert start_ray() and start_ray()
    first, second = (each["environment"] for each in asked_of_ray)
    assert isinstance(first, dict) and isinstance(second, dict)
    assert first["RAY_AUTH_MODE"] == second["RAY_AUTH_MODE"] == "token"
    assert len({first["RAY_AUTH_TOKEN"], second["RAY_AUTH_TOKEN"]}) == 2 and len(first["RAY_AUTH_TOKEN"]) == 64
    assert not {"RAY_AUTH_MODE", "RAY_AUTH_TOKEN"} & set(os.environ), "nothing else inherits it"
    assert not (tmp_path / ".ray").exists(), "and it is written nowhere"
    monkeypatch.setenv("RAY_AUTH_TOKEN", "c" * 64)
    assert start_ray()
    assert asked_of_ray[2]["environment"] == {"RAY_AUTH_MODE": "token", "RAY_AUTH_TOKEN": "c" * 64}
    monkeypatch.delenv("RAY_AUTH_TOKEN")
    monkeypatch.setenv("RAY_AUTH_MODE", "disabled")
    assert start_ray()
    assert asked_of_ray[3]["environment"] == {"RAY_AUTH_MODE": "disabled", "RAY_AUTH_TOKEN": None}


def test_workers_that_a_cluster_drops_unstarted_lead_to_the_token() -> None:
    said = "The actor died. The actor never ran - it was cancelled before it started running."
    assert "RAY_AUTH_MODE=disabled" in cluster.advice_for_lost_workers(said)
    assert cluster.advice_for_lost_workers("ValueError: weights are missing") == "Run `gmtscreen doctor`."


def test_rays_client_is_asked_for_by_name_when_it_is_missing(
    monkeypatch: pytest.MonkeyPatch, asked_of_ray: list[dict[str, object]]
) -> None:
    monkeypatch.setattr(cluster, "find_spec", lambda name: None)
    with pytest.raises(ModelError, match=r"ray\[client\]"):
        start_ray("ray://127.0.0.1:10001")
    assert asked_of_ray == []
