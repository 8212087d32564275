"""Functions in processes of their own: what comes back, and that nothing outlives them."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tinyalex.course.marking.jobs import Jobs

linux = pytest.mark.skipif(sys.platform != "linux", reason="only Linux tells whose children processes are")


def double(x):
    return 2 * x


def fail(text):
    raise ValueError(text)


def die():
    os._exit(3)


def hang(note):
    """As a notebook does that has started a program which has left its parent; the program's number is in the file."""
    start = f"""
import os, time
child = os.fork()
if child:
    open({str(note)!r}, "w").write(str(child))
    os._exit(0)
time.sleep(600)
"""
    subprocess.run([sys.executable, "-c", start], check=True, start_new_session=True)
    time.sleep(600)


def leave(note):
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(time, "sleep", lambda _: None)
        hang(note)


def leave_and_die(note):
    leave(note)
    os.kill(os.getpid(), signal.SIGSEGV)


def run(*calls, most=2):
    """The result of each call (seconds, function, arguments)."""
    results, waiting = {}, [*enumerate(calls)]
    with Jobs(most) as jobs:
        while waiting or jobs.running:
            while waiting and jobs.free:
                number, (seconds, function, *args) = waiting.pop(0)
                jobs.start(number, seconds, function, *args)
            results.update(jobs.finished())
    return [results[number] for number in range(len(calls))]


def gone(note):
    """Whether the process whose number is in the file has ended."""
    status = Path(f"/proc/{note.read_text()}/status")
    return not status.exists() or "State:\tZ" in status.read_text()


def test_results_come_back_and_a_failure_is_told():
    one, two, three, four = run((60, double, 21), (60, fail, "no"), (60, die), (60, double, "ab"))
    assert (one.value, four.value) == (42, "abab")
    assert two.failure == "ValueError: no"
    assert "ended without an answer" in three.failure


@linux
def test_a_job_that_takes_too_long_is_ended_with_all_that_it_has_started(tmp_path):
    long, short = run((1.5, hang, tmp_path / "pid"), (60, double, 1))
    assert (long.failure, short.value) == ("stopped after 1.5 s", 2)
    assert gone(tmp_path / "pid")


@linux
def test_what_a_job_leaves_behind_is_ended(tmp_path):
    (result,) = run((60, leave, tmp_path / "pid"))
    assert result.failure == ""
    assert gone(tmp_path / "pid")


@linux
def test_what_a_job_leaves_behind_is_ended_if_it_dies(tmp_path):
    (result,) = run((60, leave_and_die, tmp_path / "pid"))
    assert "ended without an answer" in result.failure
    assert gone(tmp_path / "pid")


@linux
def test_leaving_the_block_ends_all_that_run(tmp_path):
    note = tmp_path / "pid"
    with Jobs(1) as jobs:
        jobs.start("hangs", 600, hang, note)
        assert not jobs.free
        while not note.is_file() or not note.read_text():
            time.sleep(0.05)
    assert gone(note)
    assert not jobs.running
