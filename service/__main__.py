"""`python -m service`: the service under uvicorn, with one or more processes."""

import os
import shutil
import tempfile
from pathlib import Path

import click
import uvicorn

from model.errors import BadInputError
from service.connection import Connection
from service.logs import log_to_stderr
from service.settings import Settings, load_settings


@click.command()
@click.option("--home", type=click.Path(file_okay=False, path_type=Path), help="Workspace folder.")
@click.option("--host", help="Address to listen on.")
@click.option("--port", type=int, help="Port to listen on.")
@click.option("--workers", type=int, help="Number of serving processes.")
def main(home: Path | None, host: str | None, port: int | None, workers: int | None) -> None:
    """Serve recommendations and take events.

    Every option can also be set as an environment variable, such as SLOWWAVE_HOME, or in the
    [service] table of slowwave.toml in the workspace.
    """
    given = {"home": home, "host": host, "port": port, "workers": workers}
    given = {name: value for name, value in given.items() if value is not None}
    try:
        settings = load_settings(**given)
    except BadInputError as error:
        raise click.UsageError(str(error)) from error
    # The serving processes read their settings by themselves: this is how they hear of these.
    os.environ.update({f"SLOWWAVE_{name.upper()}": str(value) for name, value in given.items()})
    log_to_stderr(settings.log_level)
    _serve(settings)


def _serve(settings: Settings) -> None:
    shared = None
    if settings.workers > 1:
        # Any worker may be asked for the metrics of all.
        shared = tempfile.mkdtemp(prefix="slowwave-metrics-")
        os.environ["PROMETHEUS_MULTIPROC_DIR"] = shared
    try:
        uvicorn.run(
            "service.app:app_from_environment",
            factory=True,
            host=settings.host,
            port=settings.port,
            workers=settings.workers,
            loop="service.event_loop:EventLoop",
            http=Connection,
            log_config=None,
            access_log=False,
            server_header=False,
            timeout_keep_alive=settings.keep_alive_s,
            timeout_graceful_shutdown=settings.drain_s,
        )
    finally:
        if shared is not None:
            shutil.rmtree(shared, ignore_errors=True)


if __name__ == "__main__":
    main()
