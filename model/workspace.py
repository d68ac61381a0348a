"""The workspace folder: where things lie in it, and its configuration file."""

import dataclasses
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar, get_type_hints

from model.consolidation.config import NightConfig
from model.errors import BadInputError
from model.fast.config import MemoryConfig
from model.interactions import DEFAULT_RULES, EventRules, Outcome, Rule
from model.slow.config import SlowConfig


@dataclass(frozen=True)
class Workspace:
    """One installation's folder.

    Attributes:
      home: The folder; everything Slowwave writes lies in it.
    """

    home: Path

    @property
    def log_path(self) -> Path:
        """The event log and catalogue."""
        return self.home / "events.db"

    @property
    def models(self) -> Path:
        """The model registry."""
        return self.home / "models"

    @property
    def reports(self) -> Path:
        """Reports of imports, nights and benchmarks."""
        return self.home / "reports"

    @property
    def memory(self) -> Path:
        """What can be made again, kept because that takes time."""
        return self.home / "memory"

    @property
    def snapshot_path(self) -> Path:
        """What a worker remembers of everyone (`model.snapshot`)."""
        return self.memory / "snapshot"

    @property
    def jobs(self) -> Path:
        """What became of jobs that were started over HTTP."""
        return self.home / "jobs"

    @property
    def config_path(self) -> Path:
        """Configuration; every key has a default and the file may be absent."""
        return self.home / "slowwave.toml"

    @property
    def schema_path(self) -> Path:
        """Attribute types, inferred at the first import and then the user's to edit."""
        return self.home / "schema.toml"

    @property
    def keys_path(self) -> Path:
        """Hashed API keys."""
        return self.home / "keys.json"


@dataclass(frozen=True)
class Config:
    """What `slowwave.toml` sets, apart from the service's own table.

    Attributes:
      events: What each event type means.
      slow: The slow model.
      memory: The fast memory.
      night: The nightly consolidation.
    """

    events: EventRules = field(default_factory=EventRules)
    slow: SlowConfig = field(default_factory=SlowConfig)
    memory: MemoryConfig = field(default_factory=MemoryConfig)
    night: NightConfig = field(default_factory=NightConfig)


def read_tables(path: Path) -> dict[str, Any]:
    """What a TOML file holds; nothing when there is none.

    Raises:
      BadInputError: If the file cannot be read or is not TOML.
    """
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return {}
    except OSError as error:
        raise BadInputError(f"{path} cannot be read: {error.strerror}") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise BadInputError(f"{path.name} is not valid TOML: {error}") from error


def load_config(path: Path) -> Config:
    """Configuration from a TOML file; a missing file gives the defaults.

    The `[service]` table belongs to the service's settings and is passed over here.

    Raises:
      BadInputError: If the file is not TOML, names an unknown key, or holds a
        value of the wrong type or out of range.
    """
    tables = read_tables(path)
    tables.pop("service", None)
    known = {"events", "slow", "memory", "night"}
    if extra := sorted(set(tables) - known):
        raise BadInputError(
            f"{path.name}: expected the tables {', '.join(sorted(known | {'service'}))}; "
            f"got {', '.join(extra)}"
        )
    for name, table in tables.items():
        if not isinstance(table, dict):
            raise BadInputError(f"{path.name}: {name} must be a table, got {table!r}")
    return Config(
        events=_event_rules(tables.get("events", {})),
        slow=_from_table(SlowConfig, tables.get("slow", {}), "slow"),
        memory=_from_table(MemoryConfig, tables.get("memory", {}), "memory"),
        night=_from_table(NightConfig, tables.get("night", {}), "night"),
    )


_T = TypeVar("_T")


def _from_table(cls: type[_T], table: Mapping[str, Any], name: str) -> _T:
    """A frozen dataclass from a TOML table, with unknown keys and wrong types refused."""
    types = get_type_hints(cls)
    if extra := sorted(set(table) - set(types)):
        raise BadInputError(f"[{name}] has no key {', '.join(extra)}; it has {', '.join(types)}")
    values: dict[str, Any] = {}
    for key, value in table.items():
        expected = types[key]
        if expected is float and type(value) is int:
            value = float(value)
        if type(value) is not expected:
            raise BadInputError(f"{name}.{key} must be of type {expected.__name__}, got {value!r}")
        values[key] = value
    return cls(**values)


def _event_rules(table: Mapping[str, Any]) -> EventRules:
    """The event table: the shipped types, with types added or changed."""
    thresholds = {"success_value", "failure_value"}
    rules = dict(DEFAULT_RULES)
    for event_type, row in table.items():
        if event_type in thresholds:
            continue
        if not isinstance(row, dict):
            raise BadInputError(f"events.{event_type} must be a table, got {row!r}")
        rules[event_type] = _rule(event_type, row)
    numbers = {key: table[key] for key in thresholds & set(table)}
    for key, value in numbers.items():
        if isinstance(value, bool) or not isinstance(value, (int, float)):
            raise BadInputError(f"events.{key} must be a number, got {value!r}")
    return EventRules(rules, **{key: float(value) for key, value in numbers.items()})


def _rule(event_type: str, row: Mapping[str, Any]) -> Rule:
    if extra := sorted(set(row) - {"outcome", "weight"}):
        raise BadInputError(
            f"events.{event_type} has no key {', '.join(extra)}; it has outcome and weight"
        )
    outcome = row.get("outcome", "neutral")
    names = {"success": Outcome.SUCCESS, "failure": Outcome.FAILURE, "neutral": Outcome.NEUTRAL}
    if outcome != "by_value" and outcome not in names:
        raise BadInputError(
            f"events.{event_type}.outcome must be success, failure, neutral or by_value, "
            f"got {outcome!r}"
        )
    weight = row.get("weight", 1.0)
    if isinstance(weight, bool) or not isinstance(weight, (int, float)):
        raise BadInputError(f"events.{event_type}.weight must be a number, got {weight!r}")
    return Rule(names.get(outcome, Outcome.NEUTRAL), float(weight), by_value=outcome == "by_value")


def config_as_json(config: object) -> dict[str, Any]:
    """A configuration dataclass as plain JSON values, for manifests and reports."""
    return dataclasses.asdict(config)  # type: ignore[call-overload, no-any-return]
