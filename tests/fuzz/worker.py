"""The process that reads damaged files: python -m fuzz.worker FOLDER MODULE TARGET SEED SECONDS FIRST COUNT.

It prints a line for each input: "read", "refused" (an error that is declared), or "failed" and why. It ends after the
first that failed, and leaves the file in FOLDER. An input that takes more than SECONDS, or makes the interpreter crash,
ends it without a line. The last line says how much memory it had at most, in KiB.
"""

import contextlib
import importlib
import os
import random
import re
import resource
import signal
import sys
import traceback
from pathlib import Path

from fuzz.mutations import mutated
from tinyalex.errors import TinyAlexError
from tinyalex.files import legible

MOST_MEMORY = 2**30  # bytes, beyond what the process has when it begins
LONGEST_MESSAGE = 1000


def main(folder, module, name, seed, seconds, first, count):
    target = importlib.import_module(module).TARGETS[name]
    target.write(Path(folder))
    files = {path: path.read_bytes() for path in sorted(Path(folder).glob(target.files)) if path.is_file()}
    for path in files:
        target.read(path)  # whole files must be read; an exception ends the process
    answers = _quiet()
    allowed = _limit_memory()
    for number in range(int(first), int(first) + int(count)):
        rng = random.Random(f"{seed} {name} {number}")
        path = rng.choice(list(files))
        path.write_bytes(mutated(files[path], list(files.values()), rng))
        answer = _answer(target, path, float(seconds))
        if _memory() > allowed:
            answer = f"failed {path.name}: took more than {MOST_MEMORY:,} bytes"
        print(answer, file=answers)
        if answer.startswith("failed"):
            return
        path.write_bytes(files[path])
    print(_memory() // 2**10, file=answers)


def _quiet():
    """The standard output; what decoders of images print from here on goes nowhere."""
    answers = os.fdopen(os.dup(1), "w", buffering=1)
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, 1)
    os.dup2(nowhere, 2)
    return answers


def _memory():
    """The most bytes that the process has had.

    Linux tells in VmHWM. Its ru_maxrss begins with what the process had that started this one.
    """
    with contextlib.suppress(OSError, ValueError):
        [kilobytes] = re.findall(r"^VmHWM:\s+(\d+) kB", Path("/proc/self/status").read_text(), re.MULTILINE)
        return int(kilobytes) * 2**10
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 2**10)


def _limit_memory():
    """Let larger allocations fail (on Linux) -> how many bytes the process may come to have."""
    with contextlib.suppress(FileNotFoundError):
        pages = int(Path("/proc/self/statm").read_text().split()[0])
        limit = pages * resource.getpagesize() + MOST_MEMORY
        resource.setrlimit(resource.RLIMIT_AS, (limit, limit))
    return _memory() + MOST_MEMORY


def _answer(target, path, seconds):
    """What became of reading the file."""
    signal.setitimer(signal.ITIMER_REAL, seconds)  # nobody handles the signal: it ends the process
    try:
        target.read(path)
        return "read"
    except TinyAlexError as error:
        message = str(error)
        if _is_about_memory(error):
            return f"failed {path.name}: asked for too much memory: {message[:200]}"
        if message != legible(message) or len(message) > LONGEST_MESSAGE:
            return f"failed {path.name}: {len(message)} letters that are no line: {message[:200]!r}"
        return "refused"
    except BaseException as error:
        place = traceback.extract_tb(error.__traceback__)[-1]
        return f"failed {path.name}: {error!r:.300} in {place.filename}:{place.lineno}".replace("\n", " ")
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)


def _is_about_memory(error):
    while error is not None:
        if isinstance(error, MemoryError):
            return True
        error = error.__cause__ or error.__context__
    return False


if __name__ == "__main__":
    main(*sys.argv[1:])
