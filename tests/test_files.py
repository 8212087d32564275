"""Files that are the old one or the new one, whole."""

import errno
import os
import signal
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from tinyalex.errors import UsageError
from tinyalex.files import alone_in, at_home, one_line, remove_leftovers, replacing, write_text


def names(folder):
    return sorted(path.name for path in folder.iterdir())


def test_the_old_file_stays_until_the_new_one_is_whole(tmp_path):
    path = tmp_path / "file"
    path.write_bytes(b"old")
    with replacing(path) as file:
        file.write(b"new")
        file.flush()
        assert path.read_bytes() == b"old"
    assert path.read_bytes() == b"new"
    assert names(tmp_path) == ["file"]


@pytest.mark.parametrize("before", [b"old", None])
@pytest.mark.parametrize("error", [RuntimeError, KeyboardInterrupt, SystemExit])
def test_what_fails_midway_leaves_no_trace(tmp_path, before, error):
    path = tmp_path / "file"
    if before:
        path.write_bytes(before)

    def fail():
        with replacing(path) as file:
            file.write(b"half of the")
            raise error

    with pytest.raises(error):
        fail()
    assert names(tmp_path) == (["file"] if before else [])
    assert not before or path.read_bytes() == before


def test_folders_are_made(tmp_path):
    write_text(tmp_path / "a" / "b" / "file", "Übermaß\n")
    assert (tmp_path / "a" / "b" / "file").read_bytes() == b"\xc3\x9cberma\xc3\x9f\n"


def test_a_long_name(tmp_path):
    for name in ("a" * 255, "\N{CJK UNIFIED IDEOGRAPH-65E5}" * 85):
        write_text(tmp_path / name, "x")
        assert (tmp_path / name).read_text() == "x"


def test_what_is_in_the_way(tmp_path):
    (tmp_path / "file").write_text("old")
    for path in (tmp_path / "file" / "new", tmp_path / "file" / "b" / "new"):
        with pytest.raises(UsageError, match="a file is in the way"):
            write_text(path, "new")
    with pytest.raises(UsageError, match="a folder: expected a file to write"):
        write_text(tmp_path, "new")
    with pytest.raises(UsageError, match="expected fewer folders within each other"):
        write_text(tmp_path.joinpath(*["a"] * 1900), "new")
    assert names(tmp_path) == ["file"]


def test_a_full_disk_is_told_of_the_file_that_was_asked_for(tmp_path, monkeypatch):
    def full(_):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match="No space left") as raised:
        write_text(tmp_path / "file", "x")
    assert raised.value.filename == str(tmp_path / "file")
    assert names(tmp_path) == []


@pytest.mark.skipif(os.name == "nt", reason="Windows has no such locks")
def test_one_process_at_a_time(tmp_path):
    refused = pytest.raises(UsageError, match="new, which another process uses")
    with alone_in(tmp_path / "new"), refused, alone_in(tmp_path / "new"):
        pass
    with alone_in(tmp_path / "new"):
        pass


def test_the_bytes_are_on_the_disk_before_the_name_is_and_then_the_name(tmp_path, monkeypatch):
    """Else a machine that loses its power could be left with a renamed, empty file, or with the old one."""
    done, folder = [], tmp_path.stat().st_ino

    def flushed(number):
        what = os.fstat(number)
        done.append(("folder" if what.st_ino == folder else what.st_size, names(tmp_path) == ["file"]))

    monkeypatch.setattr(os, "fsync", flushed)
    with replacing(tmp_path / "file") as file:
        file.write(b"12345")
        assert done == []
    assert done == [(5, False), ("folder", True)]


@pytest.mark.parametrize("refuses", ["open", "fsync"])
def test_a_disk_that_cannot_flush_folders(tmp_path, monkeypatch, refuses):
    """As Windows, which does not open them, and some network disks. What could be done is done."""
    do = getattr(os, refuses)

    def done_for_files(which, *flags):
        if Path(which).is_dir() if refuses == "open" else stat.S_ISDIR(os.fstat(which).st_mode):
            raise OSError(errno.EINVAL, "Invalid argument")
        return do(which, *flags)

    monkeypatch.setattr(os, refuses, done_for_files)
    write_text(tmp_path / "file", "x")
    assert (tmp_path / "file").read_text() == "x"


LIMITED = """
import resource, sys
from pathlib import Path
from tinyalex.files import replacing
resource.setrlimit(resource.RLIMIT_FSIZE, (1000, 1000))
try:
    with replacing(Path(sys.argv[1])) as file:
        file.write(bytes(100_000))
except OSError as error:
    print(error)
"""


@pytest.mark.skipif(sys.platform == "win32", reason="Windows does not limit the size of files")
def test_a_limit_on_the_size_of_files(tmp_path):
    (tmp_path / "file").write_text("old")
    run = subprocess.run([sys.executable, "-c", LIMITED, tmp_path / "file"], capture_output=True, text=True, timeout=60)
    assert run.stdout == f"[Errno {errno.EFBIG}] File too large: '{tmp_path / 'file'}'\n"
    assert (run.stderr, names(tmp_path), (tmp_path / "file").read_text()) == ("", ["file"], "old")


def test_a_small_disk(small_disk):
    (small_disk / "file").write_text("old")
    with pytest.raises(OSError, match="No space left") as raised, replacing(small_disk / "file") as file:
        file.write(bytes(2_000_000))
    assert raised.value.filename == str(small_disk / "file")
    assert (names(small_disk), (small_disk / "file").read_text()) == (["file"], "old")


KILLED = """
import os, signal, sys
from pathlib import Path
from tinyalex.files import replacing
with replacing(Path(sys.argv[1])) as file:
    file.write(b"half of the")
    file.flush()
    os.kill(os.getpid(), signal.SIGKILL)
"""


@pytest.mark.skipif(not hasattr(signal, "SIGKILL"), reason="this system has no SIGKILL")
def test_a_killed_process_leaves_the_old_file_and_what_can_be_cleared_away(tmp_path):
    path = tmp_path / "file"
    path.write_bytes(b"old")
    (tmp_path / ".hidden").write_bytes(b"mine")
    assert subprocess.run([sys.executable, "-c", KILLED, path], timeout=60).returncode == -signal.SIGKILL
    assert path.read_bytes() == b"old"
    assert len(names(tmp_path)) == 3
    remove_leftovers(tmp_path)
    assert names(tmp_path) == [".hidden", "file"]


def test_the_home_folder(tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    assert at_home("~/photos") == at_home(Path("~/photos")) == tmp_path / "photos"
    for path in ("~nobody-of-that-name/photos", "photos/~", "/photos"):
        assert at_home(path) == Path(path)


def test_an_error_in_one_line():
    assert one_line(ValueError("two\n  lines")) == "two lines"
    assert one_line(ValueError("a\x1b[31mb\udcff")) == "a?[31mb?"
    assert one_line(ValueError("x" * 1000)) == "x" * 200
    assert one_line(MemoryError()) == "MemoryError"
