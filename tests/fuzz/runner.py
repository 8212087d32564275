"""Starts the workers of a target, and counts what became of its inputs."""

import contextlib
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path

CHUNK = 2500  # inputs that a process reads before another takes over
MOST_FAILURES = 3  # in a chunk, of which the rest is then left out
TESTS = Path(__file__).parent.parent


@dataclass
class Counts:
    """What became of the inputs of a target.   peak: in bytes, of the process with the most memory."""

    name: str
    read: int = 0
    refused: int = 0
    seconds: float = 0.0
    peak: int = 0
    failures: list[str] = field(default_factory=list)

    @property
    def inputs(self):
        return self.read + self.refused + len(self.failures)

    def add(self, other):
        self.read += other.read
        self.refused += other.refused
        self.peak = max(self.peak, other.peak)
        self.failures += other.failures


def fuzz(name, inputs, out, *, seed=0, first=0, seconds=10, module="fuzz.targets", workers=2, chunk=CHUNK):
    """Read `inputs` damaged files of a target, number `first` and those after it. Those that fail are kept in `out`.

    seconds: that one may take.   module: where the table TARGETS is.
    """
    counts, begun = Counts(name), time.perf_counter()

    def run(start):
        numbers = range(start, min(start + chunk, first + inputs))
        return _run_chunk(Counts(name), (module, name, seed, seconds), numbers, out)

    with ThreadPoolExecutor(workers) as threads:
        for part in threads.map(run, range(first, first + inputs, chunk)):
            counts.add(part)
    counts.seconds = time.perf_counter() - begun
    return counts


def _run_chunk(counts, words, numbers, out):
    """Read the inputs `numbers`; after one that failed, the next process goes on with the one behind it."""
    while numbers and len(counts.failures) < MOST_FAILURES:
        done = counts.inputs
        with tempfile.TemporaryDirectory() as folder:
            failure = _run_worker(counts, (folder, *words), numbers)
            numbers = numbers[counts.inputs - done :]
            if failure is not None:
                kept = out / f"{counts.name.replace(' ', '-')}-{numbers.start}"
                with contextlib.suppress(FileNotFoundError):
                    shutil.rmtree(kept)
                shutil.copytree(folder, kept)
                counts.failures.append(f"input {numbers.start}: {failure}; kept in {kept}")
                numbers = numbers[1:]
    return counts


def _run_worker(counts, words, numbers):
    """Count what a process says of the inputs `numbers` -> why the last failed, or None."""
    words = map(str, (*words, numbers.start, len(numbers)))
    command = [sys.executable, "-W", "ignore", "-m", "fuzz.worker", *words]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=TESTS) as process:
        for line in process.stdout:
            match line.rstrip("\n").split(" ", 1):
                case ["read"]:
                    counts.read += 1
                case ["refused"]:
                    counts.refused += 1
                case ["failed", why]:
                    return why
                case [peak]:
                    counts.peak = max(counts.peak, int(peak) * 2**10)
                    return None
    if process.returncode == -signal.SIGALRM:
        return "took too long"
    if process.returncode < 0:
        return f"ended by {signal.Signals(-process.returncode).name}"
    return f"the process ended with code {process.returncode}; are the whole files read?"
