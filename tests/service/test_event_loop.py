"""Connections that wait are all taken in a few turns, by the real loop over real sockets."""

import asyncio
import socket
import time
from contextlib import ExitStack

import pytest
import uvloop

from service.event_loop import EventLoop

WAITING = 200


class Echo(asyncio.Protocol):
    """Sends back what comes."""

    def __init__(self, made):
        self.made = made

    def connection_made(self, transport):
        self.made.append(self)
        self.transport = transport

    def data_received(self, data):
        self.transport.write(data)

    def connection_lost(self, exc):
        self.made.remove(self)


async def turns_to_take():
    """How often the loop turns until it has taken connections that all wait already."""
    made: list[Echo] = []
    loop = asyncio.get_running_loop()
    server = await loop.create_server(lambda: Echo(made), "127.0.0.1", 0, backlog=2 * WAITING)
    address = server.sockets[0].getsockname()
    with ExitStack() as stack:
        clients = [
            stack.enter_context(socket.create_connection(address, timeout=10))
            for _ in range(WAITING)
        ]
        turns = 0
        while len(made) < WAITING:
            await asyncio.sleep(0)
            time.sleep(0.001)  # noqa: ASYNC251 - a turn that has work to do
            turns += 1
        for client in clients:
            client.sendall(b"hello")
        await asyncio.sleep(0.1)
        assert [client.recv(5) for client in clients] == [b"hello"] * WAITING
    await asyncio.sleep(0.1)
    assert not made
    server.close()
    await server.wait_closed()
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(address)
    return turns


def turns(loop_factory):
    with asyncio.Runner(loop_factory=loop_factory) as runner:
        return runner.run(turns_to_take())


def test_connections_that_wait_are_taken_in_a_few_turns():
    assert turns(EventLoop) < 20


def test_the_plain_loop_takes_one_a_turn():
    """What the other one is for: where this fails, it can go."""
    assert turns(uvloop.new_event_loop) >= WAITING


async def taken_at_first_and_in_the_end():
    """How many of the connections that wait are taken in a few turns, and a moment later."""
    made: list[Echo] = []
    loop = asyncio.get_running_loop()
    with ExitStack() as stack:
        listening = stack.enter_context(socket.create_server(("127.0.0.1", 0), backlog=WAITING))
        for _ in range(40):
            stack.enter_context(socket.create_connection(listening.getsockname(), timeout=10))
        server = await loop.create_server(lambda: Echo(made), sock=listening)
        for _ in range(12):
            await asyncio.sleep(0)
        first = len(made)
        await asyncio.sleep(0.1)
        server.close()
        return first, len(made)


def test_what_waits_is_left_to_other_workers_for_a_moment():
    with asyncio.Runner(loop_factory=EventLoop) as runner:
        first, all_of_them = runner.run(taken_at_first_and_in_the_end())
    assert first < 20
    assert all_of_them == 40
