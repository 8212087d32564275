"""Kills a job at random moments until it was killed often enough, and compares what it leaves with a run in peace."""

import os
import random
import shlex
import signal
import subprocess
import sys
import time
from dataclasses import dataclass, field
from itertools import count, pairwise

from kills.jobs import write_images, writes

LONGEST = 300  # seconds that a process may take
PAUSE = 0.0005  # seconds between two looks at the folder
STOPPED = "tinyalex: stopped; to go on from the last checkpoint: tinyalex {words}"
CODES = {signal.SIGTERM: 143, signal.SIGINT: 130}


@dataclass
class Killed:
    """What became of a job.   inside: kills that came while a file was being written."""

    kills: int = 0
    runs: int = 0
    inside: int = 0
    failures: list[str] = field(default_factory=list)


@dataclass(frozen=True)
class Peace:
    """A run that nobody disturbed: what it left, and the seconds that it took, and that a file took to be written."""

    result: dict[str, object]
    seconds: float
    writing: float


class Runner:
    """Works in `folder`, an empty one.   moments: "any" in a run, or in a "write"."""

    def __init__(self, folder, job, *, seed=0, moments="any"):
        self.folder, self.job, self.moments = folder, job, moments
        self.rng = random.Random(seed)
        self.said = folder / "said"  # a file, as workers that outlive a kill would keep a pipe open
        self._numbers = count()
        write_images(folder, job)
        self.peace = self._peace()

    def kill(self, kills):
        """Kill the job `kills` times with SIGKILL; each run goes on after a kill, until it ends -> Killed."""
        return self._disturb(kills, self._killed)

    def stop(self, stops):
        """The same with SIGTERM and SIGINT in turn, to which a command answers with a line."""
        return self._disturb(stops, self._stopped)

    def _peace(self):
        out, seen = self.folder / "peace", []
        process = self._start(out)
        while process.poll() is None:
            seen.append((time.monotonic(), bool(writes(out))))
            time.sleep(PAUSE)
        assert process.returncode == 0, self.said.read_text()
        pairs = list(pairwise(seen))
        writing = sum(later[0] - one[0] for one, later in pairs if one[1])
        files = sum(later[1] and not one[1] for one, later in pairs)
        return Peace(self.job.result(out), seen[-1][0] - seen[0][0], writing / max(1, files))

    def _disturb(self, times, disturb):
        found = Killed()
        while found.kills < times and not found.failures:
            out = self.folder / f"run-{next(self._numbers)}"
            found.runs += 1
            goes_on = True
            while goes_on and not found.failures:
                before = writes(out)  # what an earlier kill has left there
                process = self._start(out)
                goes_on = found.kills < times and disturb(found, out, process)
                found.inside += bool(goes_on and set(writes(out)) - set(before))
            if not found.failures:
                self._check_end(found, out, process)
        return found

    def _start(self, out):
        """Begin or go on with the work in `out`, in a group of processes of its own."""
        with self.said.open("w") as said:
            command = [sys.executable, "-m", "tinyalex", *self.job.words(out)]
            return subprocess.Popen(command, cwd=self.folder, stdout=said, stderr=said, start_new_session=True)

    def _killed(self, found, out, process):
        """Kill the process, at times with its workers -> whether it was killed before its end."""
        if not self._moment_came(process, out):
            return False
        if self.rng.random() < 0.5:
            os.killpg(process.pid, signal.SIGKILL)
        else:
            process.kill()
        was_killed = process.wait() == -signal.SIGKILL
        found.kills += was_killed
        return was_killed

    def _stopped(self, found, out, process):
        """Send a signal to the process, check its answer -> whether it was stopped before its end."""
        if not (self._write_begins(process, out) and self._pause(process, self.peace.seconds / 8)):
            return False
        number = list(CODES)[found.kills % 2]
        process.send_signal(number)
        code, told = process.wait(LONGEST), self._last_line()
        if code == 0:
            return False
        if (code, told) != (CODES[number], STOPPED.format(words=shlex.join(self.job.words(out)))):
            found.failures.append(f"after {number.name} it left with {code}: {told}")
        found.kills += 1
        return True

    def _moment_came(self, process, out):
        """Wait for a random moment -> whether the process still runs."""
        if self.moments == "any":
            return self._pause(process, self.peace.seconds)
        for _ in range(self.rng.randint(0, 4)):  # always killed in its first write, a run would never get on
            self._write_begins(process, out)
        while self._write_begins(process, out) and self._pause(process, self.peace.writing):
            if writes(out):  # small files are written sooner than that
                return True
        return False

    def _pause(self, process, longest):
        """Wait for a random time up to `longest` seconds -> whether the process still runs."""
        try:
            process.wait(self.rng.uniform(0, longest))
        except subprocess.TimeoutExpired:
            return True
        return False

    def _write_begins(self, process, out):
        """Wait until a file begins to be written -> whether one did before the process ended."""
        before = True
        while process.poll() is None:
            now = bool(writes(out))
            if now and not before:
                return True
            before = now
            time.sleep(PAUSE)
        return False

    def _last_line(self):
        return (self.said.read_text().splitlines() or [""])[-1]

    def _check_end(self, found, out, process):
        """The last process of a run must end with code 0, and leave what a run in peace leaves."""
        if code := process.wait(LONGEST):
            found.failures.append(f"after {found.kills} kills it left with {code}: {self._last_line()}")
            return
        result, expected = self.job.result(out), self.peace.result
        other = sorted(name for name in {*result, *expected} if result.get(name) != expected.get(name))
        if other:
            found.failures.append(f"after {found.kills} kills these are other than in peace: {', '.join(other)}")
