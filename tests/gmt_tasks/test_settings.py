"""Settings, secrets, rates, import origins, signals."""

import os
import signal
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from gmt_tasks.import_guard import REPOSITORY_ROOT, find_foreign_packages, put_root_first
from gmt_tasks.process import is_dead, new_holder, stop_on_signals
from gmt_tasks.settings import Settings, SettingsError, load_remote_settings, load_settings
from gmt_tasks.telemetry import RateMeter, redact

URL = "postgresql+psycopg://ana:s3cret@db.example:5432/gmt"


def test_options_win_over_the_environment_and_the_environment_over_defaults(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("GMTSCREEN_DB", raising=False)
    assert load_settings().database == "gmtscreen.db"
    monkeypatch.setenv("GMTSCREEN_DB", "env.db")
    assert load_settings(db=None).database == "env.db"
    assert load_settings(db="option.db").database == "option.db"


def test_a_bad_value_names_the_option_and_the_bound(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(SettingsError, match="--symprec.*GMTSCREEN_SYMPREC"):
        load_settings(symprec=-1.0)
    monkeypatch.setenv("GMTSCREEN_WORKERS", "none")
    with pytest.raises(SettingsError, match="GMTSCREEN_WORKERS"):
        load_settings()


@pytest.mark.parametrize(
    "variable", ["AWS_ENDPOINT_URL", "AWS_ENDPOINT_URL_S3", "GMTSCREEN_OBJECT_CACHE_GIB", "GMTSCREEN_SHARD_ATOMS"]
)
def test_a_bad_variable_is_named_as_it_is_and_no_option_is_made_up(
    variable: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(variable, "-1")
    load = load_settings if variable == "GMTSCREEN_SHARD_ATOMS" else load_remote_settings
    with pytest.raises(SettingsError) as caught:
        load()
    assert variable in str(caught.value).replace(":", " ").split()
    assert "--" not in str(caught.value) and "GMTSCREEN_AWS" not in str(caught.value)


def test_a_database_password_is_in_no_text_of_the_settings() -> None:
    settings = load_settings(db=URL)
    assert settings.database == URL
    for text in (repr(settings), str(settings), settings.shown_database, settings.model_dump_json()):
        assert "s3cret" not in text


def test_network_sources_are_set_by_the_environment_and_hide_the_key(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("GMTSCREEN_CACHE", raising=False)
    monkeypatch.setenv("XDG_CACHE_HOME", "/x/cache")
    monkeypatch.setenv("MP_API_KEY", "s3cret" * 5)
    settings = load_remote_settings()
    assert settings.cache_folder == Path("/x/cache/gmtscreen")
    assert "s3cret" not in repr(settings) + str(settings) + settings.model_dump_json()
    monkeypatch.setenv("GMTSCREEN_CACHE", "/y")
    monkeypatch.setenv("GMTSCREEN_OFFLINE", "1")
    assert load_remote_settings().cache_folder == Path("/y") and load_remote_settings().offline
    for name, value in {"REQUESTS_PER_S": "0", "MP_ENDPOINT": "file:///x", "CONTACT": "a\r\nX-Header: b"}.items():
        with monkeypatch.context() as patch:
            patch.setenv(f"GMTSCREEN_{name}", value)
            with pytest.raises(SettingsError, match=f"GMTSCREEN_{name}"):
                load_remote_settings()


@pytest.mark.parametrize(
    "text",
    [URL, f"at {URL}?x=1", "mysql://u:s3cret@h/d", "https://h/p?api_key=s3cret&x=1", "host=h password=s3cret"],
)
def test_secrets_are_redacted_and_the_rest_stays(text: str) -> None:
    assert "s3cret" not in redact(text)
    assert "***" in redact(text)
    plain = "results.db at C:/data, http://127.0.0.1:4200/api"
    assert redact(plain) == plain


def test_the_rate_is_that_of_the_window_and_gives_the_remaining_time() -> None:
    now = [0.0]
    meter = RateMeter(window_s=10.0, clock=lambda: now[0])
    assert meter.progress(0, 100).eta_s is None
    for second in range(1, 31):
        now[0] = float(second)
        meter.add(1 if second <= 15 else 4)
    progress = meter.progress(75, 95)
    assert progress.crystals_per_s == pytest.approx(4.0)
    assert progress.eta_s == pytest.approx(5.0)


def test_our_packages_come_from_the_repository_and_a_foreign_one_is_found(tmp_path: Path) -> None:
    assert find_foreign_packages() == {}
    (tmp_path / "models").mkdir()
    (tmp_path / "models" / "__init__.py").touch()
    code = (
        "import sys; sys.path[:0] = [sys.argv[1], sys.argv[2]]\n"
        "from gmt_tasks.import_guard import refuse_foreign_packages, put_root_first\n"
        "if len(sys.argv) > 3: put_root_first()\n"
        "refuse_foreign_packages()"
    )
    command = [sys.executable, "-c", code, str(tmp_path), str(REPOSITORY_ROOT)]
    shadowed = subprocess.run(command, capture_output=True, text=True, cwd=tmp_path)
    assert shadowed.returncode == 1
    assert f"models from {tmp_path / 'models'}" in shadowed.stderr
    cured = subprocess.run([*command, "root first"], capture_output=True, text=True, cwd=tmp_path)
    assert cured.returncode == 0, cured.stderr


def test_put_root_first_is_idempotent(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "path", ["/elsewhere", str(REPOSITORY_ROOT), "/more"])
    put_root_first()
    put_root_first()
    assert sys.path == [str(REPOSITORY_ROOT), "/elsewhere", "/more"]


def test_only_a_gone_process_of_this_host_is_dead() -> None:
    gone = subprocess.Popen([sys.executable, "-c", ""])
    gone.wait()
    host = socket.gethostname()
    assert not is_dead(new_holder())
    assert is_dead(f"{host}:{gone.pid}:ab")
    assert not is_dead(f"not-{host}:{gone.pid}:ab")
    assert not is_dead("nonsense")


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGHUP])
def test_a_signal_asks_for_a_stop_and_the_handlers_come_back(number: signal.Signals) -> None:
    before = signal.getsignal(number)
    with stop_on_signals() as stop:
        before_signal = stop.asked
        os.kill(os.getpid(), number)
        assert (before_signal, stop.asked) == (False, True)
    assert signal.getsignal(number) is before


def test_a_second_interrupt_does_not_wait() -> None:
    with stop_on_signals() as stop:
        os.kill(os.getpid(), signal.SIGINT)
        with pytest.raises(KeyboardInterrupt):
            os.kill(os.getpid(), signal.SIGINT)
    assert stop.asked


def test_settings_are_frozen() -> None:
    with pytest.raises(ValueError, match="frozen"):
        Settings().model = "other"  # type: ignore[misc]
