"""Settings, read once at the edge (environment, then command line) and passed down as arguments.

Environment variables carry the prefix `GMTSCREEN_`, e.g. `GMTSCREEN_DB`. The database may hold a password in its URL:
it is a `SecretStr`, so that a log line, a traceback or a printed settings object shows stars.
"""

import os
import re
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from pydantic import AliasChoices, Field, SecretStr, ValidationError, field_validator
from pydantic_settings import BaseSettings, SettingsConfigDict

from gmt_tasks.telemetry import redact
from models.errors import GmtError

_URL_PASSWORD = re.compile(r"(://[^:/@]*:).*@")
"""Of a text that is one URL and nothing else: here a password may hold blanks, in a sentence it could not."""


class SettingsError(GmtError):
    """A setting has a value that cannot be used."""


class Settings(BaseSettings):
    """The settings of a run besides its sources.

    Attributes:
        db: SQLite path or SQLAlchemy URL.
        model: `name`, `name@version` or the folder of a checkpoint.
        device: "auto", "cpu" or "cuda".
        symprec: distance tolerance of the symmetry analysis in angstrom.
        workers: number of worker processes; None takes what the machine offers.
        gpus_per_worker: share of a GPU for each; None divides the GPUs that are there among the workers. A cluster
            that grows on demand needs it: it starts with no GPU to divide.
        start_timeout_s: how long the first worker may take until it has loaded its model, in seconds; a node that
            starts cold pulls an image first.
        ray_address: cluster to connect to; None starts one on this machine.
        shard_atoms: most atoms of a shard, the unit of work and of commit; None takes seconds of a CPU core's work, so
            that little is lost, and more for a GPU, whose memory a shard should fill.
        max_atoms: largest cell in atoms; larger inputs are rejected.
        stale_after_s: a lease without a heartbeat for this long may be taken over, in seconds.
        models: folder of the models that were trained for the database, or its address in object storage; None takes
            one beside an SQLite file.
        datasets: folder of dataset snapshots; None takes one beside the models, which must then be a folder.
        user: who decides about models, in the database's history; empty takes the login and the machine's name.
        notify: block of Prefect that tells people how runs of deployments ended, `TYPE/NAME`; None tells nobody.
    """

    model_config = SettingsConfigDict(env_prefix="GMTSCREEN_", extra="ignore", frozen=True)

    db: SecretStr = SecretStr("gmtscreen.db")
    model: str = "gmtnet"
    device: str = Field(default="auto", pattern=r"^(auto|cpu|cuda(:\d+)?)$")
    symprec: float = Field(default=1e-2, gt=0, le=1.0)
    workers: int | None = Field(default=None, ge=1, le=4096)
    gpus_per_worker: float | None = Field(default=None, ge=0, le=1)
    start_timeout_s: float = Field(default=600.0, ge=1, le=86_400)
    ray_address: str | None = None
    shard_atoms: int | None = Field(default=None, ge=1)
    max_atoms: int = Field(default=1000, ge=1)
    stale_after_s: int = Field(default=45, ge=5)
    models: Path | str | None = None
    datasets: Path | None = None
    user: str = ""
    notify: str | None = Field(default=None, pattern=r"^[a-z0-9-]+/[a-z0-9-]+$")

    @field_validator("models", mode="before")
    @classmethod
    def _folder_or_address(cls, value: Any) -> Any:
        """A path, unless it is an address: a path would lose one of its slashes."""
        return value if value is None or "://" in str(value) else Path(value)

    @property
    def database(self) -> str:
        """The database path or URL in clear: give it to the store, never print it."""
        return self.db.get_secret_value()

    @property
    def shown_database(self) -> str:
        """The database without its password, for people."""
        return redact(_URL_PASSWORD.sub(r"\1***@", self.database))


class RemoteSettings(BaseSettings):
    """How sources from the network are fetched.

    Attributes:
        cache: folder of the mirrors; None takes the user's cache folder.
        offline: read the mirrors as they are, without asking whether something changed.
        mp_endpoint: address of the Materials Project's API.
        jarvis_endpoint: address that replaces the host of JARVIS-DFT's published files, e.g. a copy within a company.
        requests_per_s: requests to one host per second, at most.
        retry_wait_s: first wait before a repeated request, in seconds; it doubles each time.
        contact: mail address or URL of whoever runs this, sent to the servers; they ask for one.
        mp_api_key: key of the Materials Project, from MP_API_KEY.
        object_cache_gib: how much of the cache copies of objects (`s3://`, `gs://`) may take, in GiB.
        s3_endpoint: server of `s3://` where it is not Amazon's, from AWS_ENDPOINT_URL_S3 or AWS_ENDPOINT_URL.
    """

    model_config = SettingsConfigDict(env_prefix="GMTSCREEN_", extra="ignore", frozen=True, populate_by_name=True)

    cache: Path | None = None
    offline: bool = False
    mp_endpoint: str = Field(default="https://api.materialsproject.org/", pattern=r"^https?://[^/\s]+.*$")
    jarvis_endpoint: str | None = Field(default=None, pattern=r"^https?://[^/\s]+$")
    requests_per_s: float = Field(default=5.0, gt=0, le=1000)
    retry_wait_s: float = Field(default=1.0, ge=0, le=60)
    contact: str | None = Field(default=None, pattern=r"^[\x21-\x7e]{3,200}$")
    mp_api_key: SecretStr | None = Field(default=None, validation_alias="MP_API_KEY")
    object_cache_gib: float = Field(default=64.0, gt=0, le=1e6)
    s3_endpoint: str | None = Field(
        default=None,
        pattern=r"^https?://[^/\s@]+/?$",
        validation_alias=AliasChoices("AWS_ENDPOINT_URL_S3", "AWS_ENDPOINT_URL"),
    )

    @property
    def cache_folder(self) -> Path:
        """Where the mirrors lie: GMTSCREEN_CACHE, else the folder `gmtscreen` in the user's cache folder."""
        if self.cache is not None:
            return self.cache.expanduser()
        return Path(os.environ.get("XDG_CACHE_HOME") or "~/.cache").expanduser() / "gmtscreen"


def load_remote_settings() -> RemoteSettings:
    """Settings of the network sources, from the environment.

    Raises:
        SettingsError: a value is out of range; the text names the setting and the bound, never a secret value.
    """
    try:
        return RemoteSettings()
    except ValidationError as error:
        raise _settings_error(error, RemoteSettings) from None  # the original error repeats the value


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
        raise _settings_error(error, Settings, given) from None  # the original error repeats the value


def _settings_error(error: ValidationError, kind: type[BaseSettings], given: Iterable[str] = ()) -> SettingsError:
    """What is wrong with the first setting that cannot be used, without its value, and where it can be corrected."""
    first = error.errors(include_input=False, include_url=False)[0]
    name = str(first["loc"][0])
    # Only what was given as an option is one: most settings have a variable and no option.
    if name in given:
        option = name.lower().replace("_", "-")
        where = f"{option}: {first['msg']}. Correct --{option} or the variable GMTSCREEN_{name.upper()}."
    else:
        variables = " or ".join(_variables(kind, name))
        where = f"{variables}: {first['msg']}. Correct this variable."
    return SettingsError(f"{error.error_count()} setting cannot be used: {where}")


def _variables(kind: type[BaseSettings], name: str) -> list[str]:
    """The environment variables of a setting, named by its field or by the first of its aliases."""
    for field in kind.model_fields.values():
        alias = field.validation_alias
        aliases = [str(choice) for choice in alias.choices] if isinstance(alias, AliasChoices) else [str(alias)]
        if name in aliases:
            return aliases
    return [f"GMTSCREEN_{name.upper()}"]
