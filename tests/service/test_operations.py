"""Models, jobs and nights as an operator sees them."""

import json
import os
import signal
import time

import pytest

from model.errors import BusyError, NotFoundError
from model.storage.registry import Registry
from model.workspace import Workspace
from pipelines.benchmark.swap import publish_again
from service.jobs import Jobs, lock_path
from tests.service.conftest import serving, wait_until
from tests.service.test_models import version_of


def refuse_a_candidate(home):
    registry = Registry(Workspace(home).models)
    verdict = {"name": "quality", "passed": False, "reason": "worse", "value": -1.0}
    manifest = {"kind": "consolidate", "verdicts": [verdict], "trained_through_seq": 3}
    with registry.stage() as staged:
        (staged / "file").write_text("x")
        return registry.keep_refused(staged, manifest, created_ms=1_780_000_000_000)


def test_all_versions_are_listed_with_what_serves(tiny_home):
    with serving(tiny_home) as client:
        first = version_of(client)
        second = publish_again(Workspace(tiny_home))
        refused = refuse_a_candidate(tiny_home)
        wait_until(lambda: version_of(client) == second)
        found = client.get("/models").json()
        assert (found["current"], found["serving"], found["refused"]) == (second, second, None)
        assert [each["version"] for each in found["versions"]] == [first, second]
        assert [each["version"] for each in found["candidates"]] == [refused]
        for version in (first, second, refused):
            assert client.get(f"/models/{version}").json()["version"] == version
        report = client.get(f"/models/{refused}/report").json()
        assert (report["passed"], report["refused"]) == (False, True)
        assert report["verdicts"][0]["reason"] == "worse"
        report = client.get(f"/models/{first}/report").json()
        assert (report["passed"], report["refused"], report["kind"]) == (True, False, "train")
        assert report["metrics"]["validation"]


@pytest.mark.parametrize(
    "name", ["none", "v0001-00000000", "r0001-00000000", "..%2F..%2Fkeys.json", "%2e%2e%2fx"]
)
def test_a_version_that_is_not_there_is_not_found(client, name):
    for path in (f"/models/{name}", f"/models/{name}/report"):
        assert client.get(path).status_code in {404, 422}


def test_a_version_with_a_damaged_manifest_is_passed_over_in_the_list_and_told_alone(tiny_home):
    second = publish_again(Workspace(tiny_home))
    third = publish_again(Workspace(tiny_home))
    (Workspace(tiny_home).models / second / "manifest.json").write_text("{")
    with serving(tiny_home) as client:
        assert second not in [v["version"] for v in client.get("/models").json()["versions"]]
        answer = client.get(f"/models/{second}")
        assert (answer.status_code, answer.json()["code"]) == (409, "corrupt_bundle")
        assert str(tiny_home) not in answer.text
        assert version_of(client) == third


def test_a_roll_back_goes_back_and_every_worker_follows(tiny_home):
    with serving(tiny_home) as client:
        first = version_of(client)
        second = publish_again(Workspace(tiny_home))
        wait_until(lambda: version_of(client) == second)
        answer = client.post("/admin/rollback", json={})
        assert answer.json() == {"current": first, "before": second}
        wait_until(lambda: version_of(client) == first)
        answer = client.post("/admin/rollback", json={})
        assert (answer.status_code, answer.json()["code"]) == (404, "not_found")
        assert client.post("/admin/rollback", json={"version": second}).json()["current"] == second
        wait_until(lambda: version_of(client) == second)


def test_a_roll_back_to_a_damaged_version_is_refused(tiny_home):
    with serving(tiny_home) as client:
        first = version_of(client)
        second = publish_again(Workspace(tiny_home))
        wait_until(lambda: version_of(client) == second)
        with (Workspace(tiny_home).models / first / "item_bias.npy").open("ab") as file:
            file.write(b"x")
        answer = client.post("/admin/rollback", json={})
        assert (answer.status_code, answer.json()["code"]) == (409, "corrupt_bundle")
        assert version_of(client) == second


def test_a_roll_back_where_nothing_is_published_is_refused(tmp_path):
    with serving(tmp_path / "home") as client:
        answer = client.post("/admin/rollback", json={})
        assert (answer.status_code, answer.json()["code"]) == (409, "no_model")


# A night loads TensorFlow, and lets everything else on the machine go first.
NIGHT_S = 300


def ended(client, job_id):
    job = client.get(f"/admin/jobs/{job_id}").json()
    return job if job["status"] not in {"queued", "running"} else None


def run(client, **asked):
    """Starts a night and waits for its end."""
    answer = client.post("/admin/consolidate", json=asked)
    assert answer.status_code == 202, answer.text
    job = answer.json()
    assert answer.headers["Location"] == f"/admin/jobs/{job['job_id']}"
    assert job["status"] == "queued"
    wait_until(lambda: ended(client, job["job_id"]), seconds=NIGHT_S)
    return ended(client, job["job_id"])


@pytest.mark.slow
@pytest.mark.timeout(2 * NIGHT_S)
def test_a_night_runs_on_demand_one_at_a_time_and_tells_what_it_came_to(tiny_home):
    with serving(tiny_home) as client:
        first = client.post("/admin/consolidate", json={"dry_run": True}).json()
        second = client.post("/admin/consolidate", json={})
        assert (second.status_code, second.json()["code"]) == (409, "busy")
        wait_until(lambda: ended(client, first["job_id"]), seconds=NIGHT_S)
        job = ended(client, first["job_id"])
        # all that there is has been learned by the first model
        assert (job["status"], job["report"]["verdict"]) == ("done", "nothing_new")
        assert job["report"]["dry_run"] is True
        assert job["exit_code"] == 0
        assert job["started_at"] >= job["created_at"]
        assert job["finished_at"] >= job["started_at"]
    with serving(tiny_home) as again:
        assert again.get(f"/admin/jobs/{job['job_id']}").json() == job


@pytest.mark.slow
@pytest.mark.timeout(2 * NIGHT_S)
def test_a_job_that_fails_says_why_in_one_line_and_shows_nothing_of_the_inside(tiny_home):
    with serving(tiny_home) as client:
        Workspace(tiny_home).schema_path.write_text("nonsense")
        Workspace(tiny_home).config_path.write_text("[nonsense]\nx = 1\n")
        job = run(client)
    assert (job["status"], job["exit_code"], job["report"]) == ("failed", 2, None)
    assert job["message"].startswith("Error: slowwave.toml: expected the tables")
    assert "Traceback" not in json.dumps(job)


@pytest.mark.parametrize("job_id", ["none", "0" * 16, "..%2F..%2Fkeys", "0" * 15 + "G"])
def test_a_job_that_is_not_there_is_not_found(client, job_id):
    assert client.get(f"/admin/jobs/{job_id}").status_code in {404, 422}


def kill(job):
    """Ends a job's process and what it has started."""
    os.killpg(int(lock_path(job).read_text()), signal.SIGKILL)


def test_a_job_whose_process_was_killed_is_lost_and_the_next_one_may_start(tiny_home):
    workspace = Workspace(tiny_home)
    jobs, now_ms = Jobs(workspace), time.time_ns() // 1_000_000
    started = jobs.start("consolidate", [], now_ms)
    path = workspace.jobs / f"{started['job_id']}.json"
    wait_until(lambda: json.loads(path.read_bytes())["status"] == "running")
    with pytest.raises(BusyError):
        jobs.start("consolidate", [], now_ms)
    kill(path)
    wait_until(lambda: jobs.get(started["job_id"], now_ms)["status"] == "lost")
    again = jobs.start("consolidate", ["--dry-run"], now_ms)
    path = workspace.jobs / f"{again['job_id']}.json"
    wait_until(lambda: json.loads(path.read_bytes())["status"] == "running")
    kill(path)


def test_a_job_that_never_began_is_lost_after_a_while(tiny_home):
    jobs = Jobs(Workspace(tiny_home))
    started = jobs.start("consolidate", ["--dry-run"], 0)
    path = Workspace(tiny_home).jobs / f"{started['job_id']}.json"
    wait_until(lambda: json.loads(path.read_bytes())["status"] == "running")
    kill(path)
    path.write_text(json.dumps(started))
    lock_path(path).unlink(missing_ok=True)
    assert jobs.get(started["job_id"], 1_000)["status"] == "queued"
    assert jobs.get(started["job_id"], 60_000)["status"] == "lost"


def test_of_many_jobs_the_newest_are_kept(tiny_home):
    jobs = Jobs(Workspace(tiny_home))
    Workspace(tiny_home).jobs.mkdir()
    for number in range(105):
        path = Workspace(tiny_home).jobs / f"{number:016x}.json"
        path.write_text(json.dumps({"status": "done", "created_ms": number}))
        os.utime(path, (number, number))
    started = jobs.start("consolidate", ["--dry-run"], 1_000)
    with pytest.raises(NotFoundError):
        jobs.get(f"{0:016x}", 1_000)
    assert jobs.get(f"{104:016x}", 1_000)["status"] == "done"
    path = Workspace(tiny_home).jobs / f"{started['job_id']}.json"
    wait_until(lambda: json.loads(path.read_bytes())["status"] == "running")
    kill(path)


def test_where_nothing_trains_a_night_is_refused_and_says_so(client, monkeypatch):
    monkeypatch.setattr(Jobs, "can_train", staticmethod(lambda: False))
    answer = client.post("/admin/consolidate", json={})
    assert (answer.status_code, answer.json()["code"]) == (409, "training_not_installed")


def write_night(home, name, **report):
    folder = Workspace(home).reports
    folder.mkdir(exist_ok=True)
    night = {"created_ms": 1_780_000_000_000, "verdict": "published", "verdicts": []} | report
    (folder / f"night-{name}.json").write_text(json.dumps(night))


def test_the_last_nights_show_in_the_metrics(tiny_home):
    verdicts = [
        {"name": "quality", "passed": False, "reason": "worse"},
        {"name": "finite", "passed": True, "reason": "all numbers are finite"},
    ]
    write_night(tiny_home, "1", verdict="published")
    write_night(tiny_home, "2", verdict="refused")
    write_night(tiny_home, "3", verdict="refused", verdicts=verdicts, seconds=7.5)
    write_night(tiny_home, "4", verdict="published", dry_run=True)
    (Workspace(tiny_home).reports / "night-5.json").write_text("{")
    with serving(tiny_home) as client:
        wait_until(lambda: "slowwave_night_seconds 7.5" in client.get("/metrics").text)
        text = client.get("/metrics").text
        assert 'slowwave_night_verdict{gate="quality"} 0.0' in text
        assert 'slowwave_night_verdict{gate="finite"} 1.0' in text
        assert "slowwave_nights_refused_in_a_row 2.0" in text
        write_night(tiny_home, "6", verdict="published")
        wait_until(lambda: "slowwave_nights_refused_in_a_row 0.0" in client.get("/metrics").text)
