"""Settings, read once at the edge (environment, then command line) and passed down as arguments.

Environment variables carry the prefix `GMTSCREEN_`, e.g. `GMTSCREEN_DB`. The database may hold a password in its URL:
it is a `SecretStr`, so that a log line, a traceback or a printed settings object shows stars.
"""

import re
from typing import Any

from pydantic import Field, SecretStr, ValidationError
from pydantic_settings import BaseSettings, SettingsConfigDict

from gmt_tasks.telemetry import redact
from models.errors import GmtError

_URL_PASSWORD = re.compile(r"(://[^:/@]*:).*@")
"""Of a text that is one URL and nothing else: here a password may hold blanks, in a sentence it could not."""


class SettingsError(GmtError):
    """A setting has a value that cannot be used."""


class Settings(BaseSettings):
    """Everything that a run can be told besides its sources.

    Attributes:
        db: SQLite path or SQLAlchemy URL.
        model: `name`, `name@version` or the folder of a checkpoint.
        device: "auto", "cpu" or "cuda".
        symprec: distance tolerance of the symmetry analysis in angstrom.
        workers: number of worker processes; None takes what the machine offers.
        ray_address: cluster to connect to; None starts one on this machine.
        shard_atoms: atoms per shard, the unit of work and of commit: seconds on a CPU core, so that little is lost.
        max_atoms: largest cell in atoms; larger inputs are rejected.
        stale_after_s: a lease without a heartbeat for this long may be taken over, in seconds.
    """

    model_config = SettingsConfigDict(env_prefix="GMTSCREEN_", extra="ignore", frozen=True)

    db: SecretStr = SecretStr("gmtscreen.db")
    model: str = "gmtnet"
    device: str = Field(default="auto", pattern=r"^(auto|cpu|cuda(:\d+)?)$")
    symprec: float = Field(default=1e-2, gt=0, le=1.0)
    workers: int | None = Field(default=None, ge=1, le=4096)
    ray_address: str | None = None
    shard_atoms: int = Field(default=2048, ge=1)
    max_atoms: int = Field(default=1000, ge=1)
    stale_after_s: int = Field(default=45, ge=5)

    @property
    def database(self) -> str:
        """The database path or URL in clear: give it to the store, never print it."""
        return self.db.get_secret_value()

    @property
    def shown_database(self) -> str:
        """The database without its password, for people."""
        return redact(_URL_PASSWORD.sub(r"\1***@", self.database))


def load_settings(**overrides: Any) -> Settings:
    """Settings from the environment, overridden by what is not None.

    Args:
        overrides: fields of `Settings`, usually command-line options; None means "not given".

    Returns:
        Validated settings.

    Raises:
        SettingsError: a value is out of range; the text names the setting and the bound, never a secret value.
    """
    given = {name: value for name, value in overrides.items() if value is not None}
    try:
        return Settings(**given)
    except ValidationError as error:
        first = error.errors(include_input=False, include_url=False)[0]
        name = ".".join(str(part) for part in first["loc"])
        option = name.removeprefix("GMTSCREEN_").lower().replace("_", "-")
        raise SettingsError(
            f"{error.error_count()} setting cannot be used: {option}: {first['msg']}. "
            f"Correct --{option} or the variable GMTSCREEN_{option.upper().replace('-', '_')}."
        ) from None
