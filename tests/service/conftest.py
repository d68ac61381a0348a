"""The real service over real sockets: in a thread for most tests, in processes for some."""

import contextlib
import os
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time

import httpx
import pytest
import uvicorn

from service.app import create_app
from service.connection import Connection
from service.settings import load_settings

START_S = 30
# On a machine that runs other work, or with the test's own work in the same process, a request
# may wait long without there being too many.
PATIENT_MS = 30_000


@contextlib.contextmanager
def serving(home, **settings):
    """A client of a service that runs in a thread of this process."""
    given = {"auth": "off", "model_poll_s": 0.05, "max_wait_ms": PATIENT_MS} | settings
    app = create_app(load_settings(home=home, **given))
    config = uvicorn.Config(
        app, port=0, loop="service.event_loop:EventLoop", http=Connection, log_config=None
    )
    server = uvicorn.Server(config)
    thread = threading.Thread(target=server.run)
    thread.start()
    try:
        wait_until(lambda: server.started or not thread.is_alive())
        port = server.servers[0].sockets[0].getsockname()[1]
        with httpx.Client(base_url=f"http://127.0.0.1:{port}", timeout=20) as client:
            yield client
    finally:
        server.should_exit = True
        thread.join()


class Process:
    """The service as its own process, or several."""

    def __init__(self, home, *arguments, **environment):
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.port = free.getsockname()[1]
        environment = {
            "SLOWWAVE_AUTH": "off",
            "SLOWWAVE_MODEL_POLL_S": "0.1",
            "SLOWWAVE_MAX_WAIT_MS": str(PATIENT_MS),
        } | environment
        self.log_path = home / f"service-{self.port}.log"
        with self.log_path.open("w") as log:
            command = [sys.executable, "-m", "service", "--home", home, "--port", str(self.port)]
            self.popen = subprocess.Popen(
                [*command, *arguments], env=os.environ | environment, stderr=log, stdout=log
            )

    def client(self):
        """A client with a connection of its own."""
        return httpx.Client(base_url=f"http://127.0.0.1:{self.port}", timeout=20)

    def wait_until_live(self):
        with self.client() as client:

            def is_live():
                assert self.popen.poll() is None, self.log_path.read_text()
                with contextlib.suppress(httpx.TransportError):
                    return client.get("/health/live").status_code == 200

            wait_until(is_live)

    def stop(self, with_signal=signal.SIGTERM):
        if self.popen.poll() is None:
            self.popen.send_signal(with_signal)
        return self.popen.wait(START_S)


@contextlib.contextmanager
def process(home, *arguments, **environment):
    """A service in processes of its own that is live."""
    running = Process(home, *arguments, **environment)
    try:
        running.wait_until_live()
        yield running
    finally:
        running.stop()


def wait_until(is_true, seconds=START_S):
    deadline = time.monotonic() + seconds
    while not is_true():
        assert time.monotonic() < deadline, f"waited {seconds} s in vain"
        time.sleep(0.01)


@pytest.fixture(scope="package")
def client(trained_home, tmp_path_factory):
    """A client of one service that many tests share; they use ids of their own."""
    home = shutil.copytree(trained_home, tmp_path_factory.mktemp("shared") / "home")
    with serving(home) as client:
        yield client
