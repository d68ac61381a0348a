"""`python -m pipelines.benchmark.constant`: what the service is measured against.

A FastAPI endpoint that returns one constant, under the service's own server settings, and
a bare socket that does so, to know how much the load generator could send.
"""

import asyncio
import json
from pathlib import Path
from typing import Any, Final

import click
import uvicorn
import uvloop
from fastapi import FastAPI

HOST: Final = "127.0.0.1"


@click.command()
@click.argument("kind", type=click.Choice(["fastapi", "socket"]))
@click.argument("reply", type=click.Path(dir_okay=False, path_type=Path))
@click.argument("port", type=int)
def main(kind: str, reply: Path, port: int) -> None:
    """Answer every POST /recommend at PORT with the JSON value in the file REPLY."""
    content = reply.read_bytes()
    if kind == "socket":
        uvloop.run(_serve_socket(content, port))
        return
    uvicorn.run(
        _app(json.loads(content)),
        host=HOST,
        port=port,
        loop="uvloop",
        http="httptools",
        log_config=None,
        access_log=False,
        server_header=False,
    )


def _app(constant: dict[str, Any]) -> FastAPI:
    app = FastAPI()

    @app.post("/recommend")
    async def recommend() -> dict[str, Any]:
        return constant

    return app


class _Socket(asyncio.Protocol):
    """Takes every block that comes for a request."""

    def __init__(self, answer: bytes) -> None:
        self._answer = answer
        self._transport: asyncio.WriteTransport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        if isinstance(transport, asyncio.WriteTransport):
            self._transport = transport

    def data_received(self, data: bytes) -> None:  # noqa: ARG002 (asyncio's signature)
        if self._transport is not None:
            self._transport.write(self._answer)


async def _serve_socket(content: bytes, port: int) -> None:
    head = b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: %d\r\n\r\n"
    answer = head % len(content) + content
    server = await asyncio.get_running_loop().create_server(lambda: _Socket(answer), HOST, port)
    await server.serve_forever()


if __name__ == "__main__":
    main()
