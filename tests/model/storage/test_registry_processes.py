"""The registry under real processes: many at once, and killed before every step."""

import os
import shutil
import signal
import subprocess
import sys
from contextlib import suppress
from functools import partial
from pathlib import Path

import pytest

from model.errors import BusyError, CorruptBundleError
from model.storage.registry import Registry
from model.storage.seal import verify
from tests.model.storage.publishing import CREATED_MS, FILES, MANIFEST, fill, names_in, publish


@pytest.fixture
def registry(tmp_path):
    return Registry(tmp_path / "models")


HOLD_THE_LOCK = """
import sys, time
from pathlib import Path
from model.storage.registry import Registry

registry = Registry(Path(sys.argv[1]))
with registry.lock(), registry.stage() as staged:
    (staged / "half").write_text("x")
    print(staged, flush=True)
    time.sleep(60)
"""


def test_a_killed_process_frees_its_lock_and_its_staged_folder_but_a_live_one_keeps_them(registry):
    root = registry.open(publish(registry)).parent
    command = [sys.executable, "-c", HOLD_THE_LOCK, str(root)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as holder:
        staged = Path(next(iter(holder.stdout or ())).strip())
        with pytest.raises(BusyError), registry.lock():
            pass
        with registry.stage():
            assert names_in(staged) == ["half"]
        holder.kill()
    assert staged.is_dir()
    with registry.lock(), registry.stage():
        assert not staged.exists()


STEPS = {"open", "os.rename", "os.mkdir", "os.remove", "os.rmdir", "fcntl.flock", "os.listdir"}


def killed_before(step, work):
    """Does the work and is killed before touching the file system for the `step`-th time."""
    left = step

    def count(event, _arguments):
        nonlocal left
        if event in STEPS:
            left -= 1
            if left < 0:
                os.kill(os.getpid(), signal.SIGKILL)

    sys.addaudithook(count)
    work()


def in_a_child(work):
    """Runs `work` in a child process; whether it came to its end and was not killed."""
    child = os.fork()
    if child == 0:
        with suppress(BaseException):
            work()
            os._exit(0)
        os._exit(1)
    _, status = os.waitpid(child, 0)
    if os.WIFSIGNALED(status):
        assert os.WTERMSIG(status) == signal.SIGKILL
        return False
    assert os.WEXITSTATUS(status) == 0
    return True


def damage_once_sealed(path):
    """Changes a file of this process when the manifest with its digest takes its name."""

    def change(event, arguments):
        if event == "os.rename" and str(arguments[1]).endswith("manifest.json"):
            path.write_bytes(b"changed on the way")

    sys.addaudithook(change)


def test_files_that_do_not_read_back_as_sealed_are_not_published(registry):
    served = publish(registry)

    def publish_damaged():
        with registry.stage() as staged:
            fill(staged, FILES)
            damage_once_sealed(staged / "wide.npy")
            with pytest.raises(CorruptBundleError, match=r"wide\.npy"):
                registry.publish(staged, MANIFEST, created_ms=CREATED_MS)

    assert in_a_child(publish_damaged)
    assert (registry.current(), registry.versions()) == (served, [served])


def assert_whole(registry, root):
    """Everything that is visible is complete, and the next run works."""
    current = registry.current()
    assert current is not None
    for version in registry.versions():
        registry.open(version)
    for folder in (root / "refused").glob("*"):
        verify(folder, folder.name)
    with registry.lock(), registry.stage():
        assert len(names_in(root / ".staging")) == 1
    return current


def refuse(registry):
    with registry.stage() as staged:
        fill(staged, FILES)
        registry.keep_refused(staged, MANIFEST, created_ms=CREATED_MS)


@pytest.mark.parametrize(
    "work",
    [
        lambda registry: publish(registry, "new"),
        refuse,
        Registry.rollback,
        lambda registry: registry.prune(1),
    ],
    ids=["publish", "keep_refused", "rollback", "prune"],
)
def test_killed_before_any_step_the_registry_is_whole(tmp_path, work):
    before = [publish(Registry(tmp_path / "before"), text) for text in ("old", "served")]
    completed, step = False, 0
    while not completed:
        root = shutil.copytree(tmp_path / "before", tmp_path / str(step))
        registry = Registry(root)
        completed = in_a_child(partial(killed_before, step, partial(work, registry)))
        current = assert_whole(registry, root)
        assert current in {*before, registry.versions()[-1]}
        assert publish(registry, "next") == registry.current()
        # wherever it was killed, the way back leads to what served before
        assert registry.rollback() == current
        step += 1
    assert step > 10


def test_the_first_publication_killed_before_any_step_leaves_nothing_or_all(tmp_path):
    completed, step = False, 0
    while not completed:
        root = tmp_path / str(step)
        registry = Registry(root)
        completed = in_a_child(partial(killed_before, step, partial(publish, registry)))
        current = registry.current()
        for version in registry.versions():
            registry.open(version)
        assert current is None or current in registry.versions()
        assert current is not None or not completed
        publish(registry, "next")
        assert_whole(registry, root)
        step += 1


def test_several_processes_publish_at_once_and_every_version_stays(tmp_path):
    registry = Registry(tmp_path / "models")

    def publish_five():
        for number in range(5):
            publish(registry, f"{os.getpid()} {number}")
        os._exit(0)

    children = []
    for _ in range(3):
        child = os.fork()
        if child == 0:
            with suppress(BaseException):
                publish_five()
            os._exit(1)
        children.append(child)
    assert [os.waitpid(child, 0)[1] for child in children] == [0, 0, 0]
    versions = registry.versions()
    assert [int(version[1:5]) for version in versions] == list(range(1, 16))
    assert len({(registry.open(version) / "text").read_text() for version in versions}) == 15
    assert registry.current() == versions[-1]
