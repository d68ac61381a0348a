"""The event loop: uvloop, which takes all connections that wait instead of one a turn.

libuv accepts one connection a turn. Under more load than can be answered a turn takes some
tenths of a second, so that hundreds of connections would wait for minutes, unseen by all
limits, and a probe behind them.
"""

import asyncio
import socket
from collections.abc import Callable
from typing import Any, Final

import uvloop

_MOST_A_TURN: Final = 1_000
# What another worker with nothing to do has taken by then is not to be taken from it.
_LET_OTHERS_S: Final = 0.005


class EventLoop(uvloop.Loop):
    """uvloop's, with servers that take every connection that waits."""

    async def create_server(  # type: ignore[override]
        self, protocol_factory: Callable[[], asyncio.Protocol], *where: Any, **options: Any
    ) -> asyncio.AbstractServer:
        """See `asyncio.AbstractEventLoop.create_server`."""
        arrivals = _Arrivals(self, protocol_factory)
        server = await super().create_server(arrivals.protocol, *where, **options)
        arrivals.server = server
        return server


class _Arrivals:
    """The connections to one server: where there is one, there may be more."""

    def __init__(
        self, loop: asyncio.AbstractEventLoop, protocol_factory: Callable[[], asyncio.Protocol]
    ) -> None:
        self.server: Any = None
        self._loop = loop
        self._protocol_factory = protocol_factory
        self._is_looking = False
        self._begun: set[asyncio.Task[Any]] = set()

    def protocol(self) -> asyncio.Protocol:
        """For a connection that the loop itself has taken."""
        if not self._is_looking:
            self._is_looking = True
            self._loop.call_later(_LET_OTHERS_S, self._take_the_others)
        return self._protocol_factory()

    def _take_the_others(self) -> None:
        self._is_looking = False
        # a closed server has no sockets
        for listening in () if self.server is None else self.server.sockets:
            for connection in _waiting(listening.fileno()):
                taken = self._loop.connect_accepted_socket(self._protocol_factory, connection)
                task = self._loop.create_task(taken)
                self._begun.add(task)
                task.add_done_callback(self._begun.discard)


def _waiting(listening: int) -> list[socket.socket]:
    """Connections to a listening socket that nobody has taken yet."""
    found: list[socket.socket] = []
    borrowed = socket.socket(fileno=listening)
    try:
        while len(found) < _MOST_A_TURN:
            found.append(borrowed.accept()[0])
    except OSError:
        # no more wait, or no more can be had: the loop itself tries again
        pass
    finally:
        borrowed.detach()
    return found
