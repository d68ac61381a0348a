"""Reports have their shape, requests are what was asked for; how fast is never asserted."""

import json
import os
import shutil
import socketserver
import threading
from contextlib import closing, contextmanager
from dataclasses import replace

import pytest

from model.errors import BadInputError
from model.storage.event_log import open_log
from model.workspace import Workspace
from pipelines.benchmark.load import MARKER, Load, send
from pipelines.benchmark.run import FORMAT, bench
from pipelines.benchmark.serving import Effort, guarded_service, known_users, run_load
from pipelines.console import Console

SHORT = Effort(
    starts=1,
    rounds=2,
    round_s=0.1,
    connections=2,
    soak_events=60_000,
    soak_users=2_000,
    tensorflow=False,
)
SERVERS = {"service", "constant", "constant_declared", "load_generator"}
SHARES = {"p50", "p95", "p99"}


class Server(socketserver.ThreadingTCPServer):
    """Gives every request the same answer."""

    daemon_threads = True

    def __init__(self, answer: bytes) -> None:
        super().__init__(("127.0.0.1", 0), Recorder)
        self.answer = answer
        self.bodies: list[bytes] = []
        self.keys: list[bytes | None] = []


class Recorder(socketserver.StreamRequestHandler):
    """Reads requests, keeps their bodies and answers."""

    server: Server

    def handle(self) -> None:
        while line := self.rfile.readline():
            length, key = 0, None
            while (line := self.rfile.readline().strip()) != b"":
                name, _, value = line.partition(b":")
                if name.lower() == b"content-length":
                    length = int(value)
                if name.lower() == b"x-api-key":
                    key = value.strip()
            self.server.keys.append(key)
            self.server.bodies.append(self.rfile.read(length))
            self.wfile.write(self.server.answer)


@contextmanager
def recording(status=b"200 OK", body=b"{}"):
    head = b"HTTP/1.1 %b\r\nContent-Length: %d\r\n\r\n" % (status, len(body))
    with Server(head + body) as server:
        threading.Thread(target=server.serve_forever).start()
        try:
            yield server
        finally:
            server.shutdown()


def load_on(server, tmp_path, **options):
    bodies = tmp_path / "bodies.jsonl"
    bodies.write_bytes(options.pop("lines", b'{"n": 1}\n{"n": 2}'))
    given = {"connections": 2, "seconds": 0.1} | options
    return Load(server.server_address[1], "/there", str(bodies), **given)


def test_every_request_sent_is_counted_once(tmp_path):
    with recording() as server:
        sent = send(load_on(server, tmp_path))
    assert sent.requests == len(server.bodies) > 0
    assert sent.failed == 0
    assert set(sent.latencies_ms) == SHARES


def test_a_rate_sets_how_many_requests_there_are(tmp_path):
    with recording() as server:
        sent = send(load_on(server, tmp_path, rate=100.0))
    assert sent.requests == len(server.bodies) == 10


def test_bodies_are_sent_in_turn(tmp_path):
    with recording() as server:
        send(load_on(server, tmp_path, rate=50.0, connections=1))
    assert server.bodies == [b'{"n": 1}', b'{"n": 2}'] * 2 + [b'{"n": 1}']


def test_the_marker_makes_every_body_another_one(tmp_path):
    with recording() as server:
        send(load_on(server, tmp_path, rate=100.0, lines=b'{"id": "%b"}' % MARKER, first=250))
    ids = sorted(json.loads(body)["id"] for body in server.bodies)
    assert ids == [f"{number:08x}" for number in range(250, 260)]


def test_a_key_goes_with_every_request(tmp_path):
    with recording() as server:
        send(load_on(server, tmp_path, rate=100.0, key="sw_1"))
        send(load_on(server, tmp_path, rate=100.0))
    assert server.keys == [b"sw_1"] * 10 + [None] * 10


def test_an_answer_longer_than_one_read_is_taken_whole(tmp_path):
    with recording(body=b"x" * 3_000_000) as server:
        sent = send(load_on(server, tmp_path, rate=30.0))
    assert sent.requests == 3


def test_a_refused_request_ends_the_measurement(tmp_path):
    with (
        recording(status=b"503 Not Ready") as server,
        pytest.raises(ConnectionError, match=r"/there: 10 of 10 requests failed"),
    ):
        run_load(load_on(server, tmp_path, rate=100.0))


def test_no_server_ends_the_measurement(tmp_path):
    with recording() as server:
        load = load_on(server, tmp_path)
    with pytest.raises(ConnectionError, match="broke off: ConnectionRefusedError"):
        run_load(load)


@pytest.mark.slow
def test_the_measured_service_asks_for_a_key(trained_home, tmp_path):
    home = Workspace(shutil.copytree(trained_home, tmp_path / "home"))
    with guarded_service(home, tmp_path) as service:
        assert service.post("/recommend", {"n": 1})["items"]
        with pytest.raises(ConnectionError, match="answered with 401"):
            replace(service, key=None).post("/recommend", {"n": 1})


def test_known_users_are_users_with_events(trained_home):
    users = known_users(Workspace(trained_home).log_path)
    assert set(users) == {f"u{number}" for number in range(60)}


@pytest.fixture(scope="module")
def measured(trained_home, tmp_path_factory):
    """The report of a default run on a workspace, and the workspace."""
    home = shutil.copytree(trained_home, tmp_path_factory.mktemp("bench") / "home")
    report = bench(Workspace(home), what=(), console=Console(quiet=True), effort=SHORT)
    return report, Workspace(home)


@pytest.mark.slow
def test_a_report_says_where_it_was_measured_and_on_what(measured):
    report, workspace = measured
    assert report["format"] == FORMAT
    assert set(report["machine"]) == {"cpus", "python", "system", "load_average"}
    assert report["data"]["items"] == 40
    assert report["data"]["model_version"] == (workspace.models / "CURRENT").read_text().strip()


@pytest.mark.slow
def test_the_service_is_measured_beside_constants_and_the_generator(measured):
    serve = measured[0]["serve"]
    assert set(serve["per_s"]) == set(serve["cpu_us"]) == SERVERS
    assert set(serve["ratio"]) == {"constant", "constant_declared"}
    assert set(serve["latency_ms"]) == {"at_peak", "at_half_of_peak"}
    for latencies in serve["latency_ms"].values():
        assert set(latencies) == SHARES
        assert 0 < latencies["p50"] <= latencies["p95"] <= latencies["p99"]
    assert serve["users_asked"] == 60
    if len(os.sched_getaffinity(0)) >= 3:
        assert serve["two_workers"]["ratio"] > 0
    else:
        assert serve["two_workers"] is None
    assert serve["ready_s"] > 0
    assert serve["resident_mib"]["ready"] > 1
    assert all(rate > 0 for rate in serve["per_s"].values())


@pytest.mark.slow
def test_an_overload_is_measured_between_two_rounds_at_half_of_the_peak(trained_home, tmp_path):
    home = shutil.copytree(trained_home, tmp_path / "home")
    found = bench(Workspace(home), what=("overload",), console=Console(quiet=True), effort=SHORT)[
        "overload"
    ]
    assert found["during"]["requests"] > 0
    assert found["during"]["failed"] == found["during"]["shed"]
    assert found["before"]["failed"] == found["after"]["failed"] == 0
    assert found["peak_per_s"] > 0


@pytest.mark.slow
def test_swaps_are_measured_beside_a_steady_load(trained_home, tmp_path):
    home = shutil.copytree(trained_home, tmp_path / "home")
    found = bench(Workspace(home), what=("swap",), console=Console(quiet=True), effort=SHORT)[
        "swap"
    ]
    assert set(found["p99_ms"]) == {"steady", "promotion", "roll-back", "damaged version"}
    assert found["failed"] == 0 < found["requests"]
    assert found["resident_mib"]["peak"] >= found["resident_mib"]["before"] > 0
    assert found["ratio"] > 0


@pytest.mark.slow
def test_events_are_measured_beside_the_log_alone(measured):
    events = measured[0]["events"]
    assert set(events["per_s"]) == {"service", "log_alone"}
    assert events["batch"] == 100
    assert events["events_sent"] >= 200
    assert events["current_after_ms"] > 0


@pytest.mark.slow
def test_the_report_is_kept_in_the_workspace(measured):
    report, workspace = measured
    (kept,) = workspace.reports.glob("bench-*.json")
    assert report["path"] == str(kept)
    assert {**json.loads(kept.read_text()), "path": str(kept)} == report


@pytest.mark.slow
def test_the_workspace_itself_is_left_as_it_was(measured, trained_home):
    workspace = measured[1]
    heads = []
    for path in (workspace.log_path, Workspace(trained_home).log_path):
        with closing(open_log(path)) as log:
            heads.append(log.head())
    assert heads[0] == heads[1]
    assert not list(workspace.home.glob(".bench-*"))


@pytest.mark.slow
def test_events_and_requests_are_measured_with_the_memory_and_without(tiny_home):
    report = bench(
        Workspace(tiny_home), what=("memory",), console=Console(quiet=True), effort=SHORT
    )
    memory = report["memory"]
    assert memory["items"] == 10_000
    assert memory["event_us"] > 0
    assert set(memory["request_us"]) == {"quiet", "quiet_off", "busy", "busy_off"}
    assert all(us > 0 for us in memory["request_us"].values())


@pytest.mark.slow
def test_the_memory_stays_flat_over_a_long_stream(tiny_home):
    """A short form of the ten million events of `slowwave bench soak`."""
    report = bench(Workspace(tiny_home), what=("soak",), console=Console(quiet=True), effort=SHORT)
    soak = report["soak"]
    marks = soak["marks"]
    assert marks[-1]["events"] == soak["events"] == 60_000
    assert marks[-1]["actors"] <= soak["users"]
    assert marks[-1]["crosses"] <= marks[len(marks) // 2]["crosses"] * 1.5
    assert marks[-1]["resident_mib"] < marks[len(marks) // 2]["resident_mib"] + 20


@pytest.mark.slow
def test_training_is_measured_on_a_copy(tiny_home, capsys):
    report = bench(Workspace(tiny_home), what=("train",), console=Console(), effort=SHORT)
    train = report["train"]
    assert train["events"] == 1_200
    assert train["seconds"] > 0
    assert train["peak_resident_mib"] > 100
    assert "training from scratch" in capsys.readouterr().out
    published = [path.name for path in (tiny_home / "models").glob("v*")]
    assert published == [report["data"]["model_version"]]


@pytest.mark.slow
def test_a_night_is_measured_beside_training_on_the_same_events(tiny_home):
    report = bench(
        Workspace(tiny_home), what=("consolidate",), console=Console(quiet=True), effort=SHORT
    )
    night = report["consolidate"]
    assert night["new_events"] == 60
    assert night["verdict"] in {"published", "refused"}
    assert night["seconds"] > 0
    assert night["ratio"] == pytest.approx(night["seconds"] / night["from_scratch_seconds"])


def test_data_without_a_model_are_not_joined_by_the_demos(tmp_path, trained_home):
    shutil.copy(Workspace(trained_home).log_path, tmp_path)
    with pytest.raises(BadInputError, match="slowwave train"):
        bench(Workspace(tmp_path), what=(), console=Console(quiet=True), effort=SHORT)
