"""The service's settings: the one place that reads the environment.

What is given in code wins over `SLOWWAVE_*` environment variables, which win over the
`[service]` table of `<home>/slowwave.toml`, which wins over the defaults below.
"""

import ipaddress
from pathlib import Path
from typing import Any, Final, Literal, Self

from pydantic import Field, ValidationError, model_validator
from pydantic_settings import (
    BaseSettings,
    InitSettingsSource,
    PydanticBaseSettingsSource,
    SettingsConfigDict,
)

from model.errors import BadInputError
from model.workspace import Workspace, read_tables

DEFAULT_HOME: Final = Path("slowwave-data")


class Settings(BaseSettings):
    """Everything that can be set about the service; checked when it is built."""

    model_config = SettingsConfigDict(env_prefix="SLOWWAVE_", extra="forbid", frozen=True)

    home: Path = Field(
        DEFAULT_HOME, description="Workspace folder with the event log and the models."
    )
    host: str = Field("127.0.0.1", description="Address to listen on.")
    port: int = Field(8000, ge=0, le=65_535, description="Port to listen on; 0 takes a free one.")
    workers: int = Field(1, ge=1, le=64, description="Number of serving processes.")
    auth: Literal["on", "off"] = Field(
        "on", description="`off` answers everybody; refused on an address others can reach."
    )
    allow_open: Literal["yes", "no"] = Field(
        "no", description="`yes` allows auth `off` on an address that others can reach."
    )
    max_body_bytes: int = Field(
        1_048_576, ge=1_024, le=104_857_600, description="A larger request body is refused (413)."
    )
    event_queue_entries: int = Field(
        20_000,
        ge=1_000,
        le=1_000_000,
        description="Events that may wait for the disk; more are refused (503) until some are "
        "written.",
    )
    max_connections: int = Field(
        1_000, ge=1, le=100_000, description="Open connections of a process; more get 503."
    )
    max_wait_ms: int = Field(
        250,
        ge=1,
        le=60_000,
        description="A request that waited longer for its turn gets 503: there are too many.",
    )
    rate_per_s: float = Field(
        0,
        ge=0,
        le=1_000_000,
        description="Requests a second of one API key (or address, without keys) to one process; "
        "more get 429. 0 for no limit.",
    )
    request_timeout_s: float = Field(
        10, gt=0, le=3_600, description="Seconds in which a whole request must arrive (408)."
    )
    keep_alive_s: int = Field(
        30, ge=1, le=3_600, description="Seconds that an idle connection is kept."
    )
    model_poll_s: float = Field(
        1.0, gt=0, le=60, description="Seconds between looks for a newly published model."
    )
    exact_items: int = Field(
        500_000,
        ge=0,
        le=1_000_000_000,
        description="Where a model knows more items, a request without filters is scored on "
        "those alone that come into question.",
    )
    drain_s: int = Field(
        10, ge=1, le=300, description="Seconds that running requests get to finish on SIGTERM."
    )
    log_level: Literal["debug", "info", "warning", "error"] = Field(
        "info", description="Least severe level logged; `info` logs every request."
    )

    @property
    def workspace(self) -> Workspace:
        """The workspace that is served."""
        return Workspace(self.home)

    @model_validator(mode="after")
    def _closed_to_others(self) -> Self:
        if self.auth == "off" and self.allow_open == "no" and not _is_loopback(self.host):
            raise ValueError(
                f"auth is off and host {self.host} can be reached by others: use host 127.0.0.1, "
                "or set auth to on, or accept it with SLOWWAVE_ALLOW_OPEN=yes"
            )
        return self

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,  # noqa: ARG003 (no .env files)
        file_secret_settings: PydanticBaseSettingsSource,  # noqa: ARG003 (no secret files)
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """Given in code, then the environment, then the workspace's file."""
        home = (env_settings() | init_settings()).get("home", DEFAULT_HOME)
        table = _service_table(Workspace(Path(home)).config_path)
        return init_settings, env_settings, InitSettingsSource(settings_cls, init_kwargs=table)


def load_settings(**given: Any) -> Settings:
    """Settings with what is given here on top.

    Raises:
      BadInputError: If a value is unknown, of the wrong type or out of range.
    """
    try:
        return Settings(**given)
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        name = ".".join(str(part) for part in first["loc"])
        message = first["msg"].removeprefix("Value error, ")
        raise BadInputError(f"setting {name}: {message}" if name else message) from error


def _service_table(path: Path) -> dict[str, Any]:
    table = read_tables(path).get("service", {})
    if not isinstance(table, dict):
        raise BadInputError(f"{path.name}: service must be a table, got {table!r}")
    return table


def _is_loopback(host: str) -> bool:
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
