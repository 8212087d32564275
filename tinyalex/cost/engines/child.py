"""One net in one engine, timed in a process of its own: what `tinyalex bench --against` starts.

    python child.py FOLDER ENGINE.py STEPS SECONDS [OPTION ...]

FOLDER holds the task (see `read`). The Python that has an engine may not have tinyalex, so this file, and those of the
other engines beside it, import nothing of ours: they need NumPy and the engine. An engine is a file with a function

    build(task: Task, option=True, ...) -> step

A call of step() infers and returns the logits (N, K), or trains by one step and returns the loss. When it returns, all
has been computed. In testing all engines compute the same function of the same images, with the same parameters.
"""

import json
import os
import re
import runpy
import statistics
import sys
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np

WARM_UP = 2  # steps that do not count


@dataclass(frozen=True)
class Task:
    """What an engine has to do.

    variant: the name of the net.   mode: "train" or "infer".   batch: images a step.   threads: how many compute.
    layers: those of the net in order: the fields of the spec's layer, its `name`, its `type` (the class in the spec),
        `groups`, and `past_edge`: how many cells the last window reaches past the padded image.
    dropout: the probability that a unit is dropped.   lr, momentum, weight_decay: of the update (section 5).
    folder: where net.onnx lies, for the engines that read it.
    arrays: "images" (N, 3, H, W) and "labels" (N,), and the parameters by name, "conv1.w" and so on. From a file they
        are read anew each time that they are asked for, so an engine that copies them holds them only once.
    """

    variant: str
    mode: str
    batch: int
    threads: int
    layers: list[SimpleNamespace]
    dropout: float
    arrays: Mapping[str, Any]
    folder: Path = Path()
    lr: float = 0.01
    momentum: float = 0.9
    weight_decay: float = 0.0005


def timed(step: Callable[[], Any], mode: str, steps: int, least: float) -> dict[str, Any]:
    """The median seconds of `steps` steps, of more if they take less than `least` seconds, and the peak memory.

    first, last: what the engine answered in the first step, and in the last: the logits of an image, or the loss.
    """
    seconds: list[float] = []
    first: Any = None
    last: Any = None
    while len(seconds) < WARM_UP + steps or sum(seconds[WARM_UP:]) < least:
        began = time.perf_counter()
        last = step()
        seconds.append(time.perf_counter() - began)
        first = last if first is None else first
    peak = peak_memory()  # before anything is copied
    answers = [np.asarray(answer[0] if mode == "infer" else answer).tolist() for answer in (first, last)]
    median = statistics.median(seconds[WARM_UP:])
    return {"seconds": median, "peak_rss_mb": peak, "first": answers[0], "last": answers[1]}


def peak_memory() -> float | None:
    """The most memory that this process has held, in MB of 2**20 bytes; None on Windows, which does not tell.

    Linux tells in VmHWM. Its ru_maxrss begins with what the process had that started this one.
    """
    status = Path("/proc/self/status")
    if status.exists():
        [kilobytes] = re.findall(r"^VmHWM:\s+(\d+) kB", status.read_text(), re.MULTILINE)
        return int(kilobytes) / (1 << 10)
    try:
        import resource
    except ImportError:
        return None
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / (1 << 20 if sys.platform == "darwin" else 1 << 10)


def use_cores(number: int) -> None:
    """Let this process use only so many cores: some engines make a thread for each core that they find."""
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[:number])


def read(folder: Path) -> Task:
    """The task in a folder: net.json, arrays.npz and, for the engines that read it, net.onnx."""
    words = json.loads((folder / "net.json").read_text())
    words["layers"] = [SimpleNamespace(**layer) for layer in words["layers"]]
    return Task(**words, arrays=np.load(folder / "arrays.npz"), folder=folder)


def main(folder: str, engine: str, steps: str, seconds: str, *options: str) -> None:
    """Carry out a task; print what was measured as one line of JSON, the last one on stdout."""
    task = read(Path(folder))
    use_cores(task.threads)
    step = runpy.run_path(engine)["build"](task, **dict.fromkeys(options, True))
    print("\n" + json.dumps(timed(step, task.mode, int(steps), float(seconds))))


if __name__ == "__main__":
    main(*sys.argv[1:])
