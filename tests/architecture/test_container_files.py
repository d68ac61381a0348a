"""The container files, checked as text: no container engine is needed to see these facts."""

import json
import os
import re
import subprocess
import sys
import threading
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from tests.repository import ROOT

WORD = re.compile(r"\s+")


@dataclass
class Stage:
    """One `FROM` of a Dockerfile and the instructions under it."""

    image: str
    instructions: list[tuple[str, str]] = field(default_factory=list)

    def all_of(self, keyword):
        return [arguments for word, arguments in self.instructions if word == keyword]

    def copies_from(self):
        flags = (re.search(r"--from=(\S+)", copy) for copy in self.all_of("COPY"))
        return {found.group(1) for found in flags if found}


def dockerfile_stages():
    text = (ROOT / "Dockerfile").read_text("utf-8")
    text = re.sub(r"^#.*\n", "", text, flags=re.MULTILINE).replace("\\\n", " ")
    stages: dict[str, Stage] = {}
    name = ""
    for line in filter(None, map(str.strip, text.splitlines())):
        keyword, arguments = WORD.split(line, maxsplit=1)
        if keyword == "FROM":
            image, _, name = WORD.split(arguments)
            stages[name] = Stage(image)
        else:
            stages[name].instructions.append((keyword, arguments))
    return stages


STAGES = dockerfile_stages()


def made_of(name):
    """The stages that put anything into a stage, itself included."""
    if name not in STAGES:
        return set()
    sources = {STAGES[name].image, *STAGES[name].copies_from()}
    return {name}.union(*(made_of(source) for source in sources))


@pytest.mark.parametrize("target", ["serve", "train"])
def test_the_image_runs_as_a_user_without_rights(target):
    assert STAGES[target].all_of("USER") == ["slowwave"]
    assert STAGES[target].instructions.index(("USER", "slowwave")) < next(
        at for at, (word, _) in enumerate(STAGES[target].instructions) if word in {"CMD", "VOLUME"}
    )


@pytest.mark.parametrize("target", ["serve", "train"])
def test_the_image_keeps_its_data_on_a_volume(target):
    assert STAGES[target].all_of("VOLUME") == ["/data"]
    assert "SLOWWAVE_HOME=/data" in STAGES["base"].all_of("ENV")[0]


class Living(BaseHTTPRequestHandler):
    """Answers the one question of the health check."""

    def do_GET(self):
        self.send_response(200 if self.path == "/health/live" else 404)
        self.end_headers()

    def log_message(self, *_):
        pass


def health_of(port):
    """Exit code of the image's health check when the service is at this port of this machine."""
    (check,) = STAGES["serve"].all_of("HEALTHCHECK")
    _, command = check.split("CMD", maxsplit=1)
    _, *arguments = json.loads(command)
    environment = os.environ | {"SLOWWAVE_PORT": str(port)}
    run = subprocess.run(
        [sys.executable, *arguments], env=environment, capture_output=True, check=False
    )
    return run.returncode


def test_the_health_check_passes_while_the_service_lives_and_fails_when_it_does_not():
    with ThreadingHTTPServer(("127.0.0.1", 0), Living) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        port = server.server_port
        alive = health_of(port)
        server.shutdown()
        thread.join()
    assert alive == 0
    assert health_of(port) != 0


def test_what_is_copied_exists_and_reaches_the_builder():
    copies = [
        source
        for stage in STAGES.values()
        for copy in stage.all_of("COPY")
        if "--from=" not in copy
        for source in WORD.split(copy)[:-1]
    ]
    assert {"model", "service", "pipelines"} <= set(copies)
    assert [source for source in copies if not (ROOT / source).exists()] == []
    sent = {
        line.lstrip("!").rstrip("/")
        for line in (ROOT / ".dockerignore").read_text("utf-8").splitlines()
        if line.startswith("!")
    }
    assert set(copies) == sent


def test_the_served_image_has_no_tensorflow():
    steps = [step for name in made_of("serve") for step in STAGES[name].all_of("RUN")]
    assert any("install" in step for step in steps)
    assert [step for step in steps if re.search(r"\[.*(train|dev)|tensorflow|keras", step)] == []
    assert made_of("train") - made_of("serve") == {"train", "train-build"}


def test_every_base_image_is_pinned_by_tag_and_names_no_registry():
    bases = {stage.image for stage in STAGES.values()} - STAGES.keys()
    assert bases
    assert [image for image in bases if not re.fullmatch(r"[\w-]+:\d[\w.-]*", image)] == []


def test_composed_services_are_confined():
    text = (ROOT / "compose.yaml").read_text("utf-8")
    shared, services = text.split("\nservices:\n")
    for promise in ("read_only: true", "cap_drop:\n    - ALL", "no-new-privileges:true", "- /tmp"):
        assert promise in shared
    services = services.split("\nvolumes:\n")[0]
    names = re.findall(r"^  (\w+):$", services, flags=re.MULTILINE)
    assert {"service", "night"} <= set(names)
    assert services.count("<<: *confined") == len(names)
    assert 'SLOWWAVE_AUTH: "on"' in services


def test_a_night_runs_at_its_hour_and_a_failed_one_does_not_end_the_nights():
    soon = subprocess.run(
        ["date", "-d", "+3 seconds", "+%H:%M:%S"], check=True, capture_output=True, text=True
    ).stdout.strip()
    with subprocess.Popen(
        [ROOT / "deploy" / "nightly.sh", soon, "sh", "-c", "echo ran; exit 3"],
        stdout=subprocess.PIPE,
        text=True,
    ) as nightly:
        assert nightly.stdout is not None
        said = [nightly.stdout.readline().strip() for _ in range(4)]
        nightly.terminate()
    assert said[1:3] == ["ran", "nightly: finished with exit code 3"]
    assert said[0].startswith("nightly: next run at")
    assert said[3].startswith("nightly: next run at")
    assert said[3] != said[0]
