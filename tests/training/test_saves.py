"""The checkpoints in a run's folder: there is always one, a damaged one is told, and when the next is due."""

import os
import shutil
from pathlib import Path

import pytest

from runs import TINY
from tinyalex import AlexNet, files
from tinyalex.errors import CheckpointError
from tinyalex.training import saves
from tinyalex.training.saves import BEST, CHECKPOINT, DAMAGED, NEW, PREVIOUS, Saves, clean, holds_run, read_newest
from tinyalex.weights.checkpoint import Checkpoint, read


def numbered(number):
    return Checkpoint(AlexNet(TINY, num_classes=4), training={"number": number})


def number_in(path):
    return read(path).training["number"]


def numbers(folder):
    """The number of each checkpoint that there is, by file."""
    return {path.name: number_in(path) for path in folder.iterdir()}


def fill(folder, count=3, best=2):
    """Write the checkpoints 1 ... count, of which `best` is the best."""
    written = Saves(folder, 10)
    for number in range(1, count + 1):
        written.write(numbered(number), best=number == best)
    return written


def damage(path):
    """Write zeros into the middle of a file, whatever its other names show."""
    content = bytearray(path.read_bytes())
    content[len(content) // 2 : len(content) // 2 + 64] = bytes(64)
    path.unlink()
    path.write_bytes(content)


def test_the_newest_the_one_before_it_and_the_best(tmp_path):
    written = Saves(tmp_path, 10)
    written.write(numbered(1))
    assert numbers(tmp_path) == {CHECKPOINT: 1}
    written.write(numbered(2), best=True)
    assert numbers(tmp_path) == {CHECKPOINT: 2, PREVIOUS: 1, BEST: 2}
    written.write(numbered(3))
    assert numbers(tmp_path) == {CHECKPOINT: 3, PREVIOUS: 2, BEST: 2}
    written.write(numbered(4))
    assert numbers(tmp_path) == {CHECKPOINT: 4, PREVIOUS: 3, BEST: 2}
    written.write(numbered(5), best=True)
    assert numbers(tmp_path) == {CHECKPOINT: 5, PREVIOUS: 4, BEST: 5}


def refuse(*_, **__):
    raise PermissionError(1, "no links on this disk")


@pytest.mark.parametrize("links", [True, False])
def test_a_disk_without_links(tmp_path, monkeypatch, links):
    if not links:
        monkeypatch.setattr(os, "link", refuse)
    fill(tmp_path)
    assert numbers(tmp_path) == {CHECKPOINT: 3, PREVIOUS: 2, BEST: 2}
    assert ((tmp_path / PREVIOUS).stat().st_ino == (tmp_path / BEST).stat().st_ino) == links


class Killed(BaseException):
    """Stands for a kill: no `except Exception` may undo it."""


@pytest.mark.parametrize("links", [True, False])
def test_at_no_moment_is_there_none(tmp_path, monkeypatch, links):
    """Killed before each operation on the disk in turn, it leaves the old checkpoint or the new one, and goes on."""
    left, operations = 10**9, 0

    def counted(operation):
        def call(*given, **named):
            nonlocal left, operations
            left, operations = left - 1, operations + 1
            if left < 0:
                raise Killed
            return operation(*given, **named)

        return call

    for place, name in (
        *((os, one) for one in ("link", "fsync")),
        *((Path, one) for one in ("replace", "unlink")),
        (shutil, "copyfileobj"),
    ):
        monkeypatch.setattr(place, name, counted(getattr(place, name)))
    if not links:
        monkeypatch.setattr(os, "link", refuse)
    written = fill(tmp_path / "whole")
    before = operations
    written.write(numbered(4), best=True)
    assert operations - before > 6

    for stop in range(operations - before):
        left = 10**9
        folder = tmp_path / str(stop)
        written = fill(folder)
        left = stop
        with pytest.raises(Killed):
            written.write(numbered(4), best=True)
        left = 10**9
        found, path = read_newest(folder, pytest.fail)
        assert path == folder / CHECKPOINT
        assert found.training["number"] in (3, 4)
        assert number_in(folder / PREVIOUS) in (2, 3)
        clean(folder)
        assert {path.name for path in folder.iterdir()} == {CHECKPOINT, PREVIOUS, BEST}
        Saves(folder, 10).write(numbered(5))
        assert numbers(folder)[CHECKPOINT] == 5


def test_a_full_disk_leaves_what_there_was(tmp_path, monkeypatch):
    written = fill(tmp_path)

    def full(_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(files.os, "fsync", full)
    with pytest.raises(OSError, match="No space left") as raised:
        written.write(numbered(4), best=True)
    assert raised.value.filename == str(tmp_path / NEW)
    assert numbers(tmp_path) == {CHECKPOINT: 3, PREVIOUS: 2, BEST: 2}


# ---------------------------------------------------------------- which one is read


def test_a_damaged_checkpoint_is_told_and_the_one_before_it_is_read(tmp_path):
    fill(tmp_path)
    damage(tmp_path / CHECKPOINT)
    told = []
    found, path = read_newest(tmp_path, told.append)
    assert (found.training["number"], path) == (2, tmp_path / PREVIOUS)
    assert len(told) == 1
    assert told[0].startswith(f"got {tmp_path / CHECKPOINT}, which ")
    assert told[0].endswith(f"{tmp_path / PREVIOUS} is used instead, which is older")


def test_of_two_damaged_checkpoints_the_best_is_left(tmp_path):
    fill(tmp_path, best=1)
    damage(tmp_path / CHECKPOINT)
    damage(tmp_path / PREVIOUS)
    told = []
    assert read_newest(tmp_path, told.append)[0].training["number"] == 1
    assert len(told) == 1


def test_none_that_can_be_read(tmp_path):
    fill(tmp_path, best=None)
    damage(tmp_path / CHECKPOINT)
    damage(tmp_path / PREVIOUS)
    with pytest.raises(CheckpointError, match=CHECKPOINT):
        read_newest(tmp_path, pytest.fail)
    with pytest.raises(CheckpointError, match=CHECKPOINT):
        read_newest(tmp_path / "nowhere", pytest.fail)


def test_a_run_that_lost_its_newest_checkpoint_is_still_one(tmp_path):
    assert not holds_run(tmp_path)
    fill(tmp_path)
    (tmp_path / CHECKPOINT).unlink()
    assert holds_run(tmp_path)


def test_a_damaged_checkpoint_never_becomes_the_previous_one(tmp_path):
    fill(tmp_path)
    damage(tmp_path / CHECKPOINT)
    damaged = (tmp_path / CHECKPOINT).read_bytes()
    clean(tmp_path, tmp_path / PREVIOUS)
    assert (tmp_path / DAMAGED).read_bytes() == damaged
    (tmp_path / DAMAGED).unlink()
    assert numbers(tmp_path) == {CHECKPOINT: 2, PREVIOUS: 2, BEST: 2}
    Saves(tmp_path, 10).write(numbered(3))
    assert numbers(tmp_path) == {CHECKPOINT: 3, PREVIOUS: 2, BEST: 2}


def test_leftovers_are_removed(tmp_path):
    fill(tmp_path)
    for name in (NEW, ".checkpoint.npz.123.tmp", f".{BEST}.tmp"):
        (tmp_path / name).write_text("half")
    clean(tmp_path, tmp_path / CHECKPOINT)
    assert numbers(tmp_path) == {CHECKPOINT: 3, PREVIOUS: 2, BEST: 2}


# ---------------------------------------------------------------- when it is due


@pytest.fixture
def clock(monkeypatch):
    """A clock that only the test moves, and a disk that takes `writing` seconds."""

    class Clock:
        now, writing = 100.0, 2.0

    def write(*_):
        Clock.now += Clock.writing

    monkeypatch.setattr(saves.time, "monotonic", lambda: Clock.now)
    monkeypatch.setattr(saves, "write", write)
    monkeypatch.setattr(Path, "replace", lambda *_: None)
    return Clock


def test_a_save_is_due_minutes_after_the_last(tmp_path, clock):
    written = Saves(tmp_path, 0.5)
    for _ in range(3):
        clock.now += 29.9
        assert not written.due()
        clock.now += 0.1
        assert written.due()
        written.write(numbered(1))


def test_a_save_is_cheap_after_20_times_the_last_writing(tmp_path, clock):
    written = Saves(tmp_path, 10)
    assert written.cheap()  # as nothing is known yet
    for seconds in (2.0, 5.0):
        clock.writing = seconds
        written.write(numbered(1))
        clock.now += 19.9 * seconds
        assert not written.cheap()
        clock.now += 0.2 * seconds
        assert written.cheap()
