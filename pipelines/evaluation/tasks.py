"""The steps of a run, each in a process of its own; what is done already is not done again.

A step's result lies under a key that is a digest of all it depends on: the stream, the
settings, the seed and the code. So a run that was cut short goes on, and one after a
change of code starts anew.
"""

import dataclasses
import hashlib
import json
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any, Final, Literal, TypeAlias

import numpy as np

import model
from model.files import write_atomically
from model.workspace import Config, config_as_json
from pipelines.baselines.registry import BASELINES
from pipelines.console import Console
from pipelines.evaluation.arm import Arm, Setting
from pipelines.evaluation.arms import ENSEMBLES, PRODUCT, ProductArm
from pipelines.evaluation.audit import random_future
from pipelines.evaluation.chain import Chain, ChainPlan, Nights, make_chain
from pipelines.evaluation.error_arm import WithErrorMemory
from pipelines.evaluation.product import AnotherUser, Ensemble, Product
from pipelines.evaluation.protocols.registry import open_streams
from pipelines.evaluation.record import Record, read_record, write_record
from pipelines.evaluation.replay import OnRow, replay
from pipelines.evaluation.sealed_log import write_log
from pipelines.evaluation.stream import Stream
from pipelines.evaluation.tuning import tuning_stream

_CLASSES: Final[Mapping[str, type[Product]]] = {
    "product": Product,
    "error memory": WithErrorMemory,
    "another user": AnotherUser,
}

# What decides how versions are made, and how questions are answered.
# A version says how much each part of the memory says beside it, so the memory decides too.
_LEARNING: Final = ("model", "pipelines/learning.py", "pipelines/train.py")
_ANSWERING: Final = ("model", "pipelines/baselines", "pipelines/evaluation/replay.py")


Part: TypeAlias = Literal["replay", "tuning", "audit"]


@dataclass(frozen=True)
class Source:
    """Which stream: enough to open it again in another process.

    Attributes:
      protocol: As on the command line.
      data: Where the data sets lie; None for where the protocol looks by itself.
      quick: The small form.
      part: The protocol's own replay, its history alone for trying settings, or a random
        future for the audit.
      stream: Which of the protocol's streams; empty before it is chosen.
    """

    protocol: str
    data: Path | None
    quick: bool
    part: Part = "replay"
    stream: str = ""

    def open_all(self) -> list[Stream]:
        """Reads the data: all of the protocol's streams."""
        found = open_streams(self.protocol, self.data, quick=self.quick, seed=0)
        if self.part == "tuning":
            return [tuning_stream(stream) for stream in found]
        if self.part == "audit":
            return [random_future(stream, np.random.default_rng(0)) for stream in found]
        return found

    def open(self) -> Stream:
        """Reads the data: the chosen stream."""
        return next(each for each in self.open_all() if each.name == self.stream)


@dataclass(frozen=True)
class Place:
    """Where a run keeps one stream's results.

    Attributes:
      out: The run's folder.
      stream: Name of the stream.
      digest: Of the stream's content.
      learning: Of the code that makes versions.
      answering: Of the code that answers questions.
    """

    out: Path
    stream: str
    digest: str
    learning: str
    answering: str

    @classmethod
    def of(cls, out: Path, stream: Stream) -> "Place":
        """The place for a stream under the code as it is now."""
        return cls(out, stream.name, stream_digest(stream), _code(_LEARNING), _code(_ANSWERING))

    @property
    def log(self) -> Path:
        """The stream as an event log."""
        return self.out / "streams" / f"{self.stream}-{self.digest}.db"

    def chain(self, plan: ChainPlan) -> Path:
        """The folder of a chain."""
        config = plan.config
        made_of: list[Any] = [config_as_json(config.slow), config_as_json(config.memory)]
        made_of += [self.digest, plan.nights, plan.seed]
        if plan.nights != "none":
            made_of += [config_as_json(config.night), plan.every]
        key = digest_of([*made_of, self.learning])
        return self.out / "chains" / f"{self.stream}-{plan.nights}-{plan.seed}-{key}"

    def record(self, arm: str, seed: int) -> Path:
        """The file of an arm's replay."""
        return self.out / "records" / self.stream / f"{arm}-{seed}.npz"


def digest_of(values: Any) -> str:
    """Twelve characters that stand for these JSON values."""
    text = json.dumps(values, sort_keys=True, default=str)
    return hashlib.sha256(text.encode()).hexdigest()[:12]


def stream_digest(stream: Stream) -> str:
    """Twelve characters that stand for everything a stream says."""
    content = hashlib.sha256()
    events = stream.events
    columns = [events.actor, events.item, events.kind, events.timestamp_ms, events.outcome]
    marks = [stream.group, stream.nights, stream.asked, stream.judged, stream.block]
    for array in [*columns, np.nan_to_num(events.value), *events.context.values(), *marks]:
        content.update(np.ascontiguousarray(array).tobytes())
    plain = [stream.actors, stream.items, stream.candidates, stream.metrics, stream.bootstrap]
    return digest_of([content.hexdigest(), plain])


@cache
def _code(parts: tuple[str, ...]) -> str:
    """Twelve characters that stand for these source files."""
    root = Path(model.__file__).parent.parent
    content = hashlib.sha256()
    for part in parts:
        path = root / part
        for file in [path] if path.is_file() else sorted(path.rglob("*.py")):
            content.update(file.read_bytes())
    return content.hexdigest()[:12]


def make_log(source: Source, place: Place, console: Console) -> None:
    """Writes the stream as an event log."""
    console.message(f"Writing the log of {place.stream}")
    place.log.parent.mkdir(parents=True, exist_ok=True)
    write_log(source.open(), place.log)


def chain_plan(name: str, stream_config: Config, seed: int) -> ChainPlan:
    """The chain that a product's arm runs on."""
    arm = PRODUCT[name]
    return ChainPlan(arm.nights, arm.config(stream_config), seed, arm.every)


def make_versions(
    source: Source, place: Place, arm: str, seed: int, nights: Nights, console: Console
) -> None:
    """Makes the versions of the chain that an arm runs on, or of the one it starts from."""
    stream = source.open()
    plan = chain_plan(arm, stream.config, seed)
    start = None
    if nights == "none":
        plan = plan.first()
    else:
        start = place.chain(plan.first())
    make_chain(stream, place.log, place.chain(plan), plan, start=start, console=console)


def make_arm(stream: Stream, place: Place, name: str, seed: int) -> Arm:
    """An arm with nothing learned; its chains must be there."""
    if name in PRODUCT:
        return _product(stream, place, name, seed)
    if name in ENSEMBLES:
        return Ensemble([_product(stream, place, part, seed) for part in ENSEMBLES[name]])
    return BASELINES[name](setting_of(stream, seed))


def setting_of(stream: Stream, seed: int) -> Setting:
    """What a baseline is told before it starts."""
    return Setting(
        n_actors=len(stream.actors),
        n_items=len(stream.items),
        items=stream.items,
        item_attributes=stream.item_attributes,
        repeats=stream.candidates != "unseen",
        seed=seed,
    )


def _product(stream: Stream, place: Place, name: str, seed: int) -> Product:
    arm: ProductArm = PRODUCT[name]
    chain = Chain(place.chain(chain_plan(name, stream.config, seed)))
    return _CLASSES[arm.kind](stream, place.log, chain, arm.memory_config(stream.config.memory))


def answer_key(place: Place, name: str, seed: int, config: Config) -> str:
    """What an arm's answers depend on."""
    made_of: list[Any] = [place.digest, name, seed, place.answering]
    for part in ENSEMBLES.get(name, (name,) if name in PRODUCT else ()):
        arm = PRODUCT[part]
        made_of += [dataclasses.asdict(arm), config_as_json(arm.config(config).slow)]
        made_of += [config_as_json(arm.memory_config(config.memory))]
    return digest_of(made_of)


def answer(source: Source, place: Place, name: str, seed: int, console: Console) -> None:
    """Replays the stream against an arm and writes the record, and beside it what was set."""
    stream = source.open()
    arm = make_arm(stream, place, name, seed)
    with console.progress(name, len(stream) - stream.bootstrap) as bar:
        record = replay(stream, arm, name=name, seed=seed, on_row=_on_bar(bar.advance))
    path = place.record(name, seed)
    path.parent.mkdir(parents=True, exist_ok=True)
    write_record(record, path)
    note = {
        "key": answer_key(place, name, seed, stream.config),
        "trials": getattr(arm, "trials", 1),
        "chosen": dict(getattr(arm, "chosen", {})),
        "sizes": dict(getattr(arm, "sizes", {})),
    }
    write_atomically(path.with_suffix(".json"), json.dumps(note, default=str).encode())


def _on_bar(advance: Any) -> OnRow:
    last = 0

    def told(done: int, total: int) -> None:
        nonlocal last
        # a bar needs no more than a hundred steps
        if done - last >= total / 100:
            advance(done - last)
            last = done

    return told


def finished(place: Place, name: str, seed: int, config: Config) -> bool:
    """Whether an arm's record is there and is what it would be if made now."""
    note = read_note(place, name, seed)
    return note.get("key") == answer_key(place, name, seed, config)


def read_note(place: Place, name: str, seed: int) -> Mapping[str, Any]:
    """What was written beside a record; empty where there is none."""
    with suppress(OSError, ValueError):
        path = place.record(name, seed)
        if path.exists():
            found: dict[str, Any] = json.loads(path.with_suffix(".json").read_text("utf-8"))
            return found
    return {}


def load_record(place: Place, name: str, seed: int) -> Record:
    """A finished record."""
    return read_record(place.record(name, seed))
