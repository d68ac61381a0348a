"""`slowwave demo`: the whole path on real data, told step by step."""

import json
import secrets
import shlex
import shutil
import sys
import time
from collections.abc import Mapping
from contextlib import closing
from pathlib import Path
from typing import Any, Final

from model.interactions import AttributeValue
from model.storage.event_log import open_log
from model.workspace import Workspace, load_config
from pipelines.console import Console
from pipelines.demo_lists import RankedList, ask, show_change, show_list
from pipelines.demo_workspace import FIRST_RATED, Prepared, prepare, titles
from pipelines.running_service import (
    RunningService,
    ended,
    ended_by_signals,
    free_port,
    running_service,
)

KNOWN_USER: Final = "196"
_RATING: Final = 5.0
_LIKED_SHOWN: Final = 5


def demo(
    *, home: Path, data: Path | None, serve: bool, port: int, console: Console
) -> dict[str, Any]:
    """Fetches, imports, trains, serves, recommends, takes ratings and recommends again.

    What a workspace has already is used again. The service runs for as long as this call.

    Args:
      home: The workspace folder.
      data: A folder with MovieLens-100K; None to fetch it.
      serve: Whether to keep the service running until Ctrl-C.
      port: Where to serve; another one is taken when it is in use.
      console: Where to report.

    Returns:
      Lists before and after, what changed and why, the model's quality, and seconds by step.

    Raises:
      BadInputError: If the data cannot be had, or the workspace holds other data.
      BusyError: If another job trains in this workspace.
      ChildProcessError: If the service does not start, or ends by itself.
      ConnectionError: If the service refuses a call.
    """
    started = time.perf_counter()
    workspace = Workspace(home)
    with ended_by_signals():
        _section(console, "Data and model")
        prepared = prepare(workspace, data, console)
        _show_quality(prepared.manifest, console)
        free = free_port(port)
        log_path = home / "service.log"
        _section(console, "Service")
        if port not in (0, free):
            console.message(f"Port {port} is in use, so port {free} is taken.")
        with running_service(home, port=free, log_path=log_path) as service:
            told = _tell(service, workspace, console)
            told |= _account(service, prepared, seconds=time.perf_counter() - started)
            if not serve:
                _section(console, "Go on")
                console.message(f"The service is stopped. Start it: {_serve_command(home, port)}")
                _show_calls(told, home, console)
                return told
            _section(console, "Go on")
            _stay(service, told, home, console)
    return told


def _section(console: Console, title: str) -> None:
    console.message(f"\n── {title} " + "─" * max(60 - len(title), 0))


def _show_quality(manifest: Mapping[str, Any], console: Console) -> None:
    unseen = manifest["metrics"]["validation"]
    console.message(
        f"Model {manifest['version']}, tested on the newest tenth of the events: the film that a "
        f"user liked next\nis among its first ten in {unseen['hr@10']:.0%} of cases, and it tells "
        f"a film that was liked from one that was\nnot in {unseen['auc']:.0%} of pairs."
    )


def _tell(service: RunningService, workspace: Workspace, console: Console) -> dict[str, Any]:
    """The calls of the demo, in their order, and what came of them."""
    console.message(
        f"{service.url} answers {service.ready_s:.1f} s after its start; its log is "
        f"{service.log_path}.\nAuthentication is off (SLOWWAVE_AUTH=off) and only this machine "
        "can reach it. A real one asks for API keys."
    )
    films = titles(workspace)
    known = ask(service, KNOWN_USER, films)
    _show_known(known, workspace, films, console)
    newcomer = f"guest-{secrets.token_hex(3)}"
    before = ask(service, newcomer, films)
    _section(console, f"Somebody new: {newcomer}")
    console.message("Nothing is known of this user, so the list is what most people like.\n")
    show_list(before, console)
    _section(console, "Three ratings later")
    rated, acknowledged_ms = _rate(service, newcomer, films)
    for title in FIRST_RATED:
        console.message(f"  {newcomer} rates {title} {_RATING:g} of 5")
    after = ask(service, newcomer, films)
    console.message(
        f"\nAcknowledged in {acknowledged_ms:.0f} ms, on the disk, and in the next list. The same "
        "model, no training:\n"
    )
    change = show_change(before, after, console)
    return {
        "known": known.as_json(),
        "newcomer": {
            "user_id": newcomer,
            "before": before.as_json(),
            "ratings": rated,
            "acknowledged_ms": round(acknowledged_ms, 3),
            "after": after.as_json(),
            "change": change,
        },
    }


def _show_known(
    known: RankedList, workspace: Workspace, films: Mapping[str, str], console: Console
) -> None:
    _section(console, f"A known user: {KNOWN_USER}")
    rules = load_config(workspace.config_path).events
    with closing(open_log(workspace.log_path)) as log:
        attributes = log.user(KNOWN_USER) or {}
        rows = log.actor_rows(KNOWN_USER, log.head())
    rows.sort(key=lambda row: (row.timestamp_ms, row.seq), reverse=True)
    liked = [row for row in rows if rules.outcome(row.event_type or "", row.value) > 0]
    console.message(f"In the data: {_described(attributes)}{len(rows)} ratings. Liked last:")
    for row in liked[:_LIKED_SHOWN]:
        console.message(f"  {films.get(row.item_id or '', row.item_id)}")
    console.message("\nRecommended, with the chance that the user likes it and the best reason:\n")
    show_list(known, console)


def _described(attributes: Mapping[str, AttributeValue]) -> str:
    """Age and occupation, where they are known."""
    age, occupation = attributes.get("age"), attributes.get("occupation")
    words = [f"{age:g} years old"] if isinstance(age, float) else []
    words += [str(occupation)] if occupation else []
    return "".join(f"{word}, " for word in words)


def _rate(
    service: RunningService, user_id: str, films: Mapping[str, str]
) -> tuple[list[dict[str, Any]], float]:
    """Sends the newcomer's ratings in one call; returns them and how long it took, in ms."""
    ids = {title: item_id for item_id, title in films.items()}
    events = [
        {"event_type": "rating", "user_id": user_id, "item_id": ids[title], "value": _RATING}
        for title in FIRST_RATED
    ]
    sent = time.perf_counter()
    answer = service.post("/events", {"events": events})
    took_ms = (time.perf_counter() - sent) * 1_000
    if answer["accepted"] != len(events):
        raise ConnectionError(f"the service refused ratings: {answer['rejected']}")
    return [{**event, "title": films[str(event["item_id"])]} for event in events], took_ms


def _account(service: RunningService, prepared: Prepared, *, seconds: float) -> dict[str, Any]:
    return {
        "home": str(service.log_path.parent),
        "url": service.url,
        "model_version": prepared.manifest["version"],
        "trained": prepared.trained,
        "metrics": prepared.manifest["metrics"]["validation"],
        "imported": prepared.imported.as_json(),
        "seconds": {
            **prepared.seconds,
            "ready": round(service.ready_s, 3),
            "total": round(seconds, 3),
        },
    }


def _show_calls(told: Mapping[str, Any], home: Path, console: Console) -> None:
    url, newcomer = told["url"], told["newcomer"]
    event = {
        "event_type": "rating",
        "user_id": newcomer["user_id"],
        "item_id": newcomer["after"]["items"][0]["item_id"],
        "value": _RATING,
    }
    console.message(
        f"""
  Recommend, and say why
    {_curl(f"{url}/recommend", {"user_id": newcomer["user_id"], "n": 5, "explain": "full"})}
    curl -s '{url}/recommend/{KNOWN_USER}?n=5'
  Say what happened; the next list reflects it
    {_curl(f"{url}/events", event)}
  Look around
    {url}/docs in a browser
    curl -s {url}/models/current
    curl -s {url}/metrics
  Every night: teach the model what happened; a running service takes it over by itself
    {_slowwave()} consolidate --home {shlex.quote(str(home))}
"""
    )


def _curl(url: str, body: Mapping[str, Any]) -> str:
    return f"curl -s {url} -H 'Content-Type: application/json' -d '{json.dumps(body)}'"


def _serve_command(home: Path, port: int) -> str:
    options = f"--home {shlex.quote(str(home))} --port {port}"
    return f"SLOWWAVE_AUTH=off {_slowwave()} serve {options}"


def _slowwave() -> str:
    """The command as it can be typed here: its name where the shell finds it, else its path."""
    own = Path(sys.executable).parent / "slowwave"
    if shutil.which("slowwave") == str(own):
        return "slowwave"
    here = Path.cwd()
    return shlex.quote(str(own.relative_to(here) if own.is_relative_to(here) else own))


def _stay(service: RunningService, told: Mapping[str, Any], home: Path, console: Console) -> None:
    """Says how to go on, and returns at Ctrl-C, which may come before all is said.

    Raises:
      ChildProcessError: If the service ends before.
    """
    try:
        console.message(f"The service runs at {service.url} until you press Ctrl-C.")
        _show_calls(told, home, console)
        service.process.wait()
    except KeyboardInterrupt:
        console.message("\nStopping the service.")
        return
    raise ChildProcessError(ended(service.process, service.log_path))
