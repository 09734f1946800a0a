"""Settings of the network sources that every test of them has."""

from pathlib import Path

import pytest

KEY = "k" * 32


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Mirrors in a folder of the test's own; impatient, with a made-up key."""
    for name, value in {
        "GMTSCREEN_CACHE": str(tmp_path / "cache"),
        "GMTSCREEN_REQUESTS_PER_S": "1000",
        "GMTSCREEN_RETRY_WAIT_S": "0",
        "MP_API_KEY": KEY,
    }.items():
        monkeypatch.setenv(name, value)
    monkeypatch.delenv("GMTSCREEN_OFFLINE", raising=False)
    return tmp_path / "cache"
