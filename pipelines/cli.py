"""The command line: `slowwave`."""

import os
import sys
from pathlib import Path

import click

from model.workspace import Workspace
from pipelines.console import Console
from pipelines.evaluation.command import evaluate
from pipelines.options import (
    EXIT_REFUSED,
    Commands,
    Folder,
    now_ms,
    seed_option,
    until_option,
    with_home,
)


@click.group(cls=Commands, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="slowwave")
def main() -> None:
    """A recommendation service that remembers at once and learns overnight.

    \b
    Start here:     slowwave demo
    Your own data:  slowwave import my-data/ && slowwave train && slowwave serve
    Every night:    slowwave consolidate

    Exit codes: 0 done, 1 failed, 2 bad usage or bad input, 3 a candidate was refused.
    """


main.add_command(evaluate)


@main.command("import")
@click.argument("path", type=Folder())
@click.option(
    "--format",
    "format_name",
    type=click.Choice(["slowwave", "movielens-100k", "movielens-1m"]),
    help="Format of the data set; told by its files where they leave no doubt.",
)
@click.option("--strict", is_flag=True, help="Refuse the data set when one row is bad.")
@with_home
def import_command(
    workspace: Workspace,
    console: Console,
    path: Path,
    format_name: str | None,
    strict: bool,
) -> None:
    """Load a data set, the folder PATH.

    Its events go to the log, its items and users to the catalogue.

    The same data again change nothing. Bad rows are left out, counted and listed.

    \b
    A folder in the format `slowwave` holds, as .csv, .csv.gz or .parquet:
      interactions  user_id,item_id,event_type,value,timestamp[,session_id,event_id,…]
      items         item_id[,title][,attribute…]       (may be missing)
      users         user_id[,attribute…]               (may be missing)
    Several values in one cell are separated by |. Times carry a zone, or are seconds or
    milliseconds since 1970. Other columns of interactions become properties of the event.

    \b
    Examples:
      slowwave import my-data/
      slowwave import ml-1m/ --strict
    """
    from pipelines.importing import import_path

    report = import_path(
        workspace, path, format=format_name, strict=strict, now_ms=now_ms(), console=console
    )
    console.result(report.as_json())


@main.command()
@until_option
@seed_option
@with_home
def train(workspace: Workspace, console: Console, until_ms: int | None, seed: int) -> None:
    """Train a model from scratch on the log, and publish it.

    \b
    Examples:
      slowwave train
      slowwave train --until 1998-04-01T00:00:00Z --seed 7
    """
    from pipelines.train import train as train_model

    manifest = train_model(
        workspace, until_ms=until_ms, seed=seed, now_ms=now_ms(), console=console
    )
    console.message(f"Published {manifest['version']}; `slowwave models show` says more.")
    console.result(manifest)


@main.command()
@until_option
@seed_option
@click.option("--dry-run", is_flag=True, help="Judge the candidate and publish nothing.")
@with_home
def consolidate(
    workspace: Workspace,
    console: Console,
    until_ms: int | None,
    seed: int,
    dry_run: bool,
) -> None:
    """Teach the served model what has happened since.

    This is the nightly job: it trains a candidate further on the log and judges it.

    Publishes the candidate when it passes every gate; otherwise the served model stays
    and the exit code is 3.

    \b
    Examples:
      slowwave consolidate
      slowwave consolidate --dry-run --json
    """
    from pipelines.consolidate import consolidate as consolidate_model

    result = consolidate_model(
        workspace,
        until_ms=until_ms,
        dry_run=dry_run,
        seed=seed,
        now_ms=now_ms(),
        console=console,
    )
    console.result(result)
    if result["verdict"] == "refused":
        sys.exit(EXIT_REFUSED)


@main.command()
@click.option("--host", help="Address to listen on.  [default: 127.0.0.1]")
@click.option(
    "--port",
    type=click.IntRange(0, 65_535),
    help="Port to listen on; 0 takes a free one.  [default: 8000]",
)
@click.option(
    "--workers", type=click.IntRange(1, 64), help="Number of serving processes.  [default: 1]"
)
@with_home
def serve(workspace: Workspace, console: Console, **options: str | int | None) -> None:
    """Start the service.

    It asks for API keys, which `slowwave keys create` makes; SLOWWAVE_AUTH=off does without.
    What is not given here is taken from SLOWWAVE_HOST and so on, or from slowwave.toml.

    \b
    Examples:
      slowwave serve
      slowwave serve --host 0.0.0.0 --port 80 --workers 4
    """
    given = {name: value for name, value in options.items() if value is not None}
    arguments = [part for name, value in given.items() for part in (f"--{name}", str(value))]
    console.result({"home": str(workspace.home), **given})
    sys.stdout.flush()
    # The service is a process of its own: this one is replaced, so signals reach it directly.
    os.execve(  # noqa: S606 (no shell is meant)
        sys.executable,
        [sys.executable, "-m", "service", *arguments],
        {**os.environ, "SLOWWAVE_HOME": str(workspace.home)},
    )


@main.command()
@click.argument("folder", type=Folder())
@click.option(
    "--format",
    "file_format",
    type=click.Choice(["parquet", "csv"]),
    default="parquet",
    show_default=True,
    help="Parquet keeps every type; CSV does not.",
)
@with_home
def export(workspace: Workspace, console: Console, folder: Path, file_format: str) -> None:
    """Write the log and the catalogue to the new folder FOLDER.

    `slowwave import` takes it, here or elsewhere.

    \b
    Example:
      slowwave export backup-2026-01-31
    """
    from pipelines.export import export as export_log

    console.result(export_log(workspace, folder, file_format=file_format, console=console))


@main.command()
@click.argument("user_id", metavar="USER")
@with_home
def forget(workspace: Workspace, console: Console, user_id: str) -> None:
    """Erase all that is known of USER, and give a receipt.

    Log and memory forget at once, the weights of the model at the next night.

    \b
    Example:
      slowwave forget ada --json
    """
    from pipelines.forget import forget as forget_user

    console.result(forget_user(workspace, user_id=user_id, now_ms=now_ms(), console=console))


@main.group()
def models() -> None:
    """Look at the published models and roll back."""


@models.command("list")
@with_home
def models_list(workspace: Workspace, console: Console) -> None:
    """List the published versions, oldest first.

    An arrow marks the served one.
    """
    from pipelines.models import show_all

    console.result(show_all(workspace, console=console))


@models.command("show")
@click.argument("version", required=False)
@with_home
def models_show(workspace: Workspace, console: Console, version: str | None) -> None:
    """Verify VERSION and show its manifest.

    By default it is the served version.
    """
    from pipelines.models import show

    console.result(show(workspace, version=version, console=console))


@models.command("rollback")
@click.argument("version", required=False)
@with_home
def models_rollback(workspace: Workspace, console: Console, version: str | None) -> None:
    """Serve VERSION again.

    By default it is the one that served before the current one. Running services follow
    within a second or so.
    """
    from pipelines.models import rollback

    console.result(rollback(workspace, version=version, console=console))


@main.group()
def keys() -> None:
    """Make, list and revoke API keys."""


@keys.command("create")
@click.argument("name")
@click.option(
    "--scope",
    "scopes",
    type=click.Choice(["read", "write", "admin"]),
    multiple=True,
    default=("read",),
    show_default=True,
    help="What the key may do; give it several times for several.",
)
@with_home
def keys_create(workspace: Workspace, console: Console, name: str, scopes: tuple[str, ...]) -> None:
    """Make a key for NAME and show it, this once.

    Only its hash is stored. Without --scope it may read.

    \b
    Example:
      slowwave keys create web-shop --scope read --scope write
    """
    from pipelines.keys import create

    console.result(
        create(workspace, name=name, scopes=frozenset(scopes), now_ms=now_ms(), console=console)
    )


@keys.command("list")
@with_home
def keys_list(workspace: Workspace, console: Console) -> None:
    """List the keys: their ids, names and scopes."""
    from pipelines.keys import show_all

    console.result(show_all(workspace, console=console))


@keys.command("revoke")
@click.argument("key_id")
@with_home
def keys_revoke(workspace: Workspace, console: Console, key_id: str) -> None:
    """Forget the key KEY_ID.

    `slowwave keys list` shows the ids.
    """
    from pipelines.keys import revoke

    console.result(revoke(workspace, key_id=key_id, console=console))


@main.command()
@click.option("--data", type=Folder(exists=True), help="Folder with MovieLens-100K.")
@click.option(
    "--serve/--no-serve",
    "stays",
    default=True,
    show_default=True,
    help="Keep the service running, or stop after the sample recommendations.",
)
@click.option(
    "--port",
    type=click.IntRange(0, 65_535),
    default=8000,
    show_default=True,
    help="Port of the service; 0 takes a free one.",
)
@with_home
def demo(
    workspace: Workspace,
    console: Console,
    data: Path | None,
    stays: bool,
    port: int,
) -> None:
    """Show the whole path on MovieLens-100K.

    Fetches it, imports, trains, serves, recommends, rates films and recommends again.

    \b
    Examples:
      slowwave demo
      slowwave demo --no-serve --json
      slowwave demo --data ~/ml-100k --port 8080
    """
    from pipelines.demo import demo as run_demo

    console.result(
        run_demo(home=workspace.home, data=data, serve=stays, port=port, console=console)
    )


@main.command()
@click.argument(
    "what",
    type=click.Choice(
        ["serve", "events", "overload", "swap", "memory", "soak", "train", "consolidate"]
    ),
    nargs=-1,
)
@with_home
def bench(workspace: Workspace, console: Console, what: tuple[str, ...]) -> None:
    """Measure speed and size against baselines.

    Takes serve and events where nothing is named; soak, train and consolidate take minutes.
    Measures on a copy of the workspace, and writes a report to its folder `reports`. A
    workspace without data gets the demo's data and model first.

    \b
    Examples:
      slowwave bench
      slowwave bench serve --json
      slowwave bench train consolidate
    """
    from pipelines.benchmark.run import bench as run_bench

    console.result(run_bench(workspace, what=what, console=console))
