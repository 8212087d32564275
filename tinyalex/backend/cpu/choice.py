"""Which of several algorithms computes a layer: as a rule says, or as a trial on this machine has shown.

A rule counts operations and bytes. Which of them takes longer differs from machine to machine; so at the first use
each algorithm is tried a few times, and the fastest is used from then on, in this process and, by a file beside the
compiled code, in later ones. The rule's algorithm stays unless another is clearly faster.

The algorithms agree to rounding, not bit by bit. So trials are only for inference, and training follows the rule: the
same losses in every run and on every machine. TINYALEX_ALGORITHMS=rule makes inference follow it too.
"""

import json
import os
import threading
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from functools import cache
from pathlib import Path

import llvmlite.binding
import numpy as np

from tinyalex.backend.cpu.compiled import code_folder
from tinyalex.errors import UsageError
from tinyalex.files import replacing

SETTING = "TINYALEX_ALGORITHMS"
TRIES = 3  # of each algorithm, in turn; the fastest counts, because other programs can only slow a try down
CLEARLY = 0.9  # of the time of the rule's algorithm
_one_at_a_time = threading.Lock()  # two trials side by side would time each other
FLUSH = 1 << 25  # bytes read before each try: in a net other layers run before, and the kernels come from memory


def choose(case: str, rule: str, algorithms: Mapping[str, Callable[[], object]]) -> str:
    """The name of the algorithm for `case`, text that tells shapes, dtype and number of threads.

    rule: the name of the algorithm that the rule chooses.   algorithms: name -> a call that computes the layer with it.
    Raises UsageError if TINYALEX_ALGORITHMS is neither "rule" nor "measured".
    """
    setting = os.environ.get(SETTING) or "measured"
    if setting not in ("rule", "measured"):
        raise UsageError(f"{SETTING}={setting!r}: expected rule or measured")
    if setting == "rule" or len(algorithms) == 1:
        return rule
    with _one_at_a_time:
        known = chosen()
        if known.get(case) not in algorithms:
            known[case] = _fastest(rule, algorithms)
            _write(known)
        return known[case]


def _fastest(rule: str, algorithms: Mapping[str, Callable[[], object]]) -> str:
    """The algorithm with the shortest of TRIES times, or the rule's if no other is clearly faster."""
    other = np.ones(FLUSH, np.uint8)
    times: dict[str, list[float]] = {name: [] for name in algorithms}
    for call in algorithms.values():
        call()  # compiles what it needs
    for _ in range(TRIES):
        for name, call in algorithms.items():
            other.max()
            start = time.perf_counter()
            call()
            times[name].append(time.perf_counter() - start)
    best = min(times, key=lambda name: min(times[name]))
    return best if min(times[best]) < CLEARLY * min(times[rule]) else rule


@cache
def chosen() -> dict[str, str]:
    """The choices of this process: at first those of earlier ones, if a file has them for this machine."""
    with suppress(OSError, ValueError, KeyError, TypeError):
        content = json.loads(_file().read_text("utf-8"))
        if content["machine"] == machine():
            return {str(case): str(name) for case, name in content["chosen"].items()}
    return {}


def machine() -> str:
    """What a trial holds for: a kind of processor, such as "znver4", and the code as it was last edited."""
    edited = max(path.stat().st_mtime_ns for path in Path(__file__).parent.glob("*.py"))
    return f"{llvmlite.binding.get_host_cpu_name()} {edited}"


def _write(known: dict[str, str]) -> None:
    """Keep the choices for later processes, if there is a folder that can be written."""
    content = {"machine": machine(), "chosen": known}
    with suppress(OSError), replacing(_file()) as file:
        file.write(json.dumps(content, indent=1).encode())


def _file() -> Path:
    """Beside the compiled code. Raises OSError where no code is kept."""
    folder = code_folder()
    if folder is None:
        raise FileNotFoundError
    return Path(folder) / "algorithms.json"
