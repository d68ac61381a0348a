"""What the commands of `slowwave` have in common: exit codes, options and errors."""

import functools
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final, TypeVar, cast

import click

from model.errors import SlowwaveError
from model.workspace import Workspace
from pipelines.console import Console
from pipelines.parsing import timestamp_ms

EXIT_FAILED: Final = 1
EXIT_BAD_INPUT: Final = 2
EXIT_REFUSED: Final = 3

_Command = TypeVar("_Command", bound=Callable[..., Any])


class Commands(click.Group):
    """A group whose errors are one line for people and an exit code for machines."""

    def invoke(self, ctx: click.Context) -> Any:
        """Runs the command; an error on purpose is not a traceback."""
        try:
            return super().invoke(ctx)
        except SlowwaveError as error:
            click.echo(f"Error: {error}", err=True)
            ctx.exit(EXIT_BAD_INPUT)
        except OSError as error:
            click.echo(f"Error: {error}", err=True)
            ctx.exit(EXIT_FAILED)


class Moment(click.ParamType[int]):
    """A time such as 1998-04-01T00:00:00Z, as milliseconds since 1970."""

    name = "time"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> int:
        """The option's text as a moment."""
        try:
            return timestamp_ms(value)
        except SlowwaveError as error:
            self.fail(str(error), param, ctx)


class Folder(click.Path):
    """A folder's path."""

    def __init__(self, *, exists: bool = False) -> None:
        super().__init__(file_okay=False, exists=exists, path_type=Path)


def now_ms() -> int:
    """The present, in milliseconds since 1970-01-01 UTC."""
    return time.time_ns() // 1_000_000


def with_home(command: _Command) -> _Command:
    """Adds the options that every command has: it gets a workspace and a console."""

    @click.option(
        "--home",
        type=Folder(),
        default=Path("slowwave-data"),
        envvar="SLOWWAVE_HOME",
        show_default=True,
        show_envvar=True,
        help="Workspace folder.",
    )
    @click.option("--json", "as_json", is_flag=True, help="Print the result as JSON, last line.")
    @functools.wraps(command)
    def wrapped(*, home: Path, as_json: bool, **options: Any) -> Any:
        return command(workspace=Workspace(home), console=Console(as_json=as_json), **options)

    return cast("_Command", wrapped)


until_option = click.option(
    "--until",
    "until_ms",
    type=Moment(),
    help="Use events before this time only, such as 1998-04-01T00:00:00Z.",
)
seed_option = click.option(
    "--seed",
    type=click.IntRange(0, 2**32 - 1),
    default=0,
    show_default=True,
    help="The same seed and log give the same model.",
)
