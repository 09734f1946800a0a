"""What docs/security.md demands of a deployment, looked up in its files."""

import re
import tomllib

import pytest

from gmt_tasks.settings import RemoteSettings, Settings
from tests.architecture.source_tree import ROOT
from tests.deploy.compose_file import DEPLOY, compose, documents, filled, service

SECRETS = {"POSTGRES_PASSWORD": "p4ss", "RAY_AUTH_TOKEN": "t0ken", "PREFECT_AUTH_STRING": "user:w0rd"}
SERVICES = compose()["services"]
DOCKERFILE = (DEPLOY / "Dockerfile").read_text(encoding="utf-8")


def test_nothing_is_published_beyond_loopback() -> None:
    ports = [port for each in SERVICES.values() for port in each.get("ports", [])]
    assert ports == ["127.0.0.1:4200:4200"]


@pytest.mark.parametrize("name", sorted(SECRETS))
def test_compose_refuses_to_start_without_its_secrets(name: str) -> None:
    text = (DEPLOY / "compose.yaml").read_text(encoding="utf-8")
    with pytest.raises(KeyError, match=name):
        filled(text, {key: value for key, value in SECRETS.items() if key != name})
    assert SECRETS[name] in filled(text, SECRETS)


def test_no_secret_is_in_a_command_line() -> None:
    for name in SERVICES:
        words = " ".join(service(name, SECRETS, {}).words)
        assert not any(secret in words for secret in SECRETS.values())


def test_every_service_that_speaks_to_ray_has_the_token() -> None:
    speaking = [name for name, each in SERVICES.items() if "ray" in str([each.get("command"), each.get("entrypoint")])]
    assert set(speaking) == {"ray-head", "ray-worker", "prefect-worker", "screen"}
    for name in speaking:
        assert service(name, SECRETS, {}).environment["RAY_AUTH_TOKEN"] == "t0ken"
        assert service(name, SECRETS, {}).environment["RAY_AUTH_MODE"] == "token"


def test_the_prefect_server_asks_for_what_its_clients_know() -> None:
    server = service("prefect-server", SECRETS, {}).environment["PREFECT_SERVER_API_AUTH_STRING"]
    for name in ("prefect-server", "prefect-worker", "deployments"):
        assert service(name, SECRETS, {}).environment["PREFECT_API_AUTH_STRING"] == server == "user:w0rd"


def test_containers_have_no_privileges_and_bounds() -> None:
    assert len(SERVICES) == 8
    for name, each in SERVICES.items():
        assert each["cap_drop"] == ["ALL"] and each["security_opt"] == ["no-new-privileges:true"], name
        assert each["read_only"] is True and "cap_add" not in each, name
        assert {"cpus", "mem_limit", "pids_limit"} <= set(each) and "healthcheck" in each, name
        # What cannot be written to has a folder for what must be written.
        targets = [path.partition(":")[0] for path in each.get("tmpfs", [])]
        volumes = [
            each["target"] if isinstance(each, dict) else each.split(":")[-1] for each in each.get("volumes", [])
        ]
        assert {"/tmp", "/backups"} & {*targets, *volumes}, name
        if "gmtscreen" in each["image"]:
            assert "/var/lib/gmtscreen" in {*targets, *volumes} or name == "deployments", name
    last_stage = DOCKERFILE.rpartition("\nFROM ")[2]
    assert "USER 10001:10001" in last_stage and last_stage.index("USER") > last_stage.index("RUN")
    assert "HEALTHCHECK" in last_stage and "--constraint constraints.txt" in DOCKERFILE


def test_only_what_reads_sources_has_a_way_out() -> None:
    networks = compose()["networks"]
    assert networks["inside"] == {"internal": True}
    # Published, and yet without a way out: nothing is translated for it.
    assert networks["page"]["driver_opts"]["com.docker.network.bridge.enable_ip_masquerade"] == "false"
    with_way_out = {name for name, each in SERVICES.items() if set(each["networks"]) - {"inside", "page"}}
    assert with_way_out == {"prefect-worker", "screen"}
    # What has one can use it: the key of a source, and a folder for what is fetched.
    for name in with_way_out:
        assert {"MP_API_KEY", "GMTSCREEN_CACHE"} <= set(SERVICES[name]["environment"])
        assert SERVICES[name]["environment"]["GMTSCREEN_CACHE"].startswith("/var/lib/gmtscreen/")
    assert {name for name, each in SERVICES.items() if "inside" not in each["networks"]} == set()


def test_every_file_that_goes_into_the_image_is_let_through() -> None:
    ignored = (ROOT / ".dockerignore").read_text(encoding="utf-8").splitlines()
    copied = re.findall(r"^COPY (?!--from)(.+) \S+$", DOCKERFILE, flags=re.MULTILINE)
    names = {name.partition("/")[0] for line in copied for name in line.split()}
    assert names <= {line[1:] for line in ignored if line.startswith("!")}
    assert all((ROOT / name).exists() for line in copied for name in line.split())
    assert "deploy/.env" in ignored and "*" in ignored


def test_prefect_is_named_in_the_version_that_is_pinned() -> None:
    pins = dict(
        re.findall(r"^([\w-]+)==(\S+)$", (ROOT / "constraints.txt").read_text(encoding="utf-8"), flags=re.MULTILINE)
    )
    (prefect,) = documents(DEPLOY / "prefect.yaml")
    assert prefect["prefect-version"] == pins["prefect"]


def test_variables_that_the_files_set_are_settings() -> None:
    known = {f"GMTSCREEN_{name.upper()}" for name in {**Settings.model_fields, **RemoteSettings.model_fields}}
    other = {"GMTSCREEN_HOME", "GMTSCREEN_IMAGE", "GMTSCREEN_DATA", "GMTSCREEN_WORKERS", "GMTSCREEN_RAY_PORT"}
    other |= {"GMTSCREEN_WORKER_CPUS", "GMTSCREEN_WORKER_MEMORY"}
    files = [path for path in DEPLOY.rglob("*") if path.is_file() and path.suffix != ".pyc"]
    texts = [path.read_text(encoding="utf-8") for path in files]
    named = {name for text in texts for name in re.findall(r"GMTSCREEN_[A-Z_]+[A-Z]", text)}
    assert named - known - other == set() and "GMTSCREEN_GPUS_PER_WORKER" in named & known


def test_deployments_name_flows_that_exist_and_hold_one_retrain_at_a_time() -> None:
    (found,) = documents(DEPLOY / "prefect.yaml")
    flows = {each["entrypoint"]: each for each in found["deployments"]}
    assert set(flows) == {f"flows/{name}.py:{name}" for name in ("ingest", "labels", "screen", "refine", "retrain")}
    for entrypoint, each in flows.items():
        path, _, name = entrypoint.partition(":")
        assert re.search(rf"^def {name}\(", (ROOT / path).read_text(encoding="utf-8"), flags=re.MULTILINE)
        assert each["work_pool"]["name"] == "gmtscreen" and each["schedules"]
        assert each["concurrency_limit"]["limit"] == 1
        assert not any("db" in name or "token" in name for name in each["parameters"])


def test_what_the_image_installs_first_is_what_the_project_depends_on() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    extras = project["optional-dependencies"]
    printed = _requirements("postgres", "cluster", "refine")
    assert set(project["dependencies"]) | {*extras["postgres"], *extras["cluster"], *extras["refine"]} < set(printed)
    # KubeRay 1.6 asks an agent that bare Ray does not start.
    assert "python requirements.py postgres cluster refine >" in DOCKERFILE and "ray[default]" in " ".join(printed)


def _requirements(*extras: str) -> list[str]:
    import subprocess
    import sys

    done = subprocess.run(
        [sys.executable, DEPLOY / "requirements.py", *extras], cwd=ROOT, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.splitlines()
