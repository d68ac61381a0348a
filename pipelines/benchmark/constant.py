"""`python -m pipelines.benchmark.constant`: what the service is measured against.

FastAPI endpoints that return one constant, under the service's own server settings, and a
bare socket that does so, to know how much the load generator could send.
"""

import asyncio
import json
from pathlib import Path
from typing import Any, Final, cast

import click
import uvicorn
import uvloop
from fastapi import FastAPI

HOST: Final = "127.0.0.1"


@click.command()
@click.argument("kind", type=click.Choice(["plain", "declared", "socket"]))
@click.argument("reply", type=click.Path(dir_okay=False, path_type=Path))
@click.argument("port", type=int)
def main(kind: str, reply: Path, port: int) -> None:
    """Answer every POST /recommend at PORT with the JSON value in the file REPLY."""
    content = reply.read_bytes()
    if kind == "socket":
        uvloop.run(_serve_socket(content, port))
        return
    constant = json.loads(content)
    serve(_declared(constant) if kind == "declared" else _plain(constant), port)


def serve(application: FastAPI, port: int) -> None:
    """Serves an application until it is stopped, as fast as the server can and without logs."""
    uvicorn.run(
        application,
        host=HOST,
        port=port,
        loop="uvloop",
        http="httptools",
        log_config=None,
        access_log=False,
        server_header=False,
    )


def _plain(constant: dict[str, Any]) -> FastAPI:
    """A route as one writes it down at first: it returns the constant and declares nothing."""
    app = FastAPI()

    @app.post("/recommend", response_model=None)
    async def recommend() -> dict[str, Any]:
        return constant

    return app


def _declared(constant: dict[str, Any]) -> FastAPI:
    """A route that declares what it returns: FastAPI then serialises it several times faster."""
    app = FastAPI()

    @app.post("/recommend")
    async def recommend() -> dict[str, Any]:
        return constant

    return app


class _Socket(asyncio.Protocol):
    """Takes every block that comes for a request."""

    def __init__(self, answer: bytes) -> None:
        self._answer = answer

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.WriteTransport", transport)

    def data_received(self, data: bytes) -> None:  # noqa: ARG002 (asyncio's signature)
        self._transport.write(self._answer)


async def _serve_socket(content: bytes, port: int) -> None:
    head = b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: %d\r\n\r\n"
    answer = head % len(content) + content
    server = await asyncio.get_running_loop().create_server(lambda: _Socket(answer), HOST, port)
    await server.serve_forever()


if __name__ == "__main__":
    main()
