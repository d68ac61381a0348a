import os
import signal
import subprocess
import sys
import time

import pytest

from model.files import write_atomically


def test_the_content_is_replaced_and_nothing_else_is_left(tmp_path):
    path = tmp_path / "new" / "file"
    write_atomically(path, b"old")
    write_atomically(path, b"new")
    assert path.read_bytes() == b"new"
    assert [entry.name for entry in path.parent.iterdir()] == ["file"]


def test_a_write_that_cannot_be_staged_leaves_the_old_content(tmp_path):
    path = tmp_path / "file"
    write_atomically(path, b"old")
    # root may write anywhere, so a folder stands where the staged file would go
    (tmp_path / f".file.{os.getpid()}").mkdir()
    with pytest.raises(IsADirectoryError):
        write_atomically(path, b"new")
    assert path.read_bytes() == b"old"


def test_a_reader_finds_whole_content_while_a_writer_is_killed_again_and_again(tmp_path):
    path = tmp_path / "file"
    write_atomically(path, b"a" * 100_000)
    code = (
        "import sys; from pathlib import Path; from model.files import write_atomically\n"
        "for letter in b'bcdefgh' * 100_000:\n"
        "    write_atomically(Path(sys.argv[1]), bytes([letter]) * 100_000)\n"
        "    print('written', flush=True)\n"
    )
    for pause_s in (0.0, 0.003, 0.007):
        writer = subprocess.Popen([sys.executable, "-c", code, path], stdout=subprocess.PIPE)
        assert writer.stdout is not None
        writer.stdout.readline()
        time.sleep(pause_s)
        writer.send_signal(signal.SIGKILL)
        writer.communicate()
        content = path.read_bytes()
        assert len(content) == 100_000
        assert len(set(content)) == 1
