"""tinyalex beside the engines that one could use instead, on the same cores: `tinyalex bench --against`.

Each engine runs in a process of its own, in turn: A B C A B C ... Its pace is the median over the rounds, so that a
machine whose speed drifts is the same for all. All compute with the same parameters, images and number of threads. In
testing the logits are compared too: an engine that computes another function fails.
"""

import json
import os
import platform
import statistics
import subprocess
import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from importlib.util import find_spec
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, NamedTuple

import numpy as np

import tinyalex.cost.engines as folder_of_engines
from tinyalex import spec as nets
from tinyalex.cost.engines.task import net_of, task_for, write
from tinyalex.errors import TinyAlexError, UsageError, at_least
from tinyalex.weights import onnx_export

HERE = Path(folder_of_engines.__file__).parent
SECONDS = 1.0  # that the steps of a process take at least
CLOSE = 1e-4  # the largest difference of logits, norm over norm: Winograd's in float32 is 5e-6


@dataclass(frozen=True)
class Engine:
    """A program that computes our nets.

    file: its module beside `child`.   package: what must be installed.   options: of its `build`.
    modes: what it can do.   reads_onnx: whether it reads the net from a file of ONNX.
    """

    file: Path
    package: str
    options: tuple[str, ...] = ()
    modes: tuple[str, ...] = ("train", "infer")
    reads_onnx: bool = False


OWN = "tinyalex"
ENGINES = {
    OWN: Engine(HERE / "own.py", "tinyalex"),
    "torch": Engine(HERE / "torch_net.py", "torch"),
    "torch-channels-last": Engine(HERE / "torch_net.py", "torch", ("channels_last",)),
    "torch-fused": Engine(HERE / "torch_net.py", "torch", ("channels_last", "fused"), modes=("train",)),
    "torch-compile": Engine(HERE / "torch_net.py", "torch", ("compiled",)),
    "ort": Engine(HERE / "onnxruntime_net.py", "onnxruntime", modes=("infer",), reads_onnx=True),
    "openvino": Engine(HERE / "openvino_net.py", "openvino", modes=("infer",), reads_onnx=True),
    "jax": Engine(HERE / "jax_net.py", "jax"),
}
OTHERS = tuple(name for name in ENGINES if name != OWN)


class Cell(NamedTuple):
    """What is compared: the name of a net, "train" or "infer", and the images of a step."""

    variant: str
    mode: str
    batch: int

    def __str__(self) -> str:
        return f"{self.variant}, {self.mode} {self.batch}"


TABLE = (
    Cell("paper", "infer", 1),
    Cell("torchvision", "infer", 1),
    Cell("paper", "infer", 64),
    Cell("torchvision", "infer", 64),
    Cell("paper", "train", 64),
    Cell("torchvision", "train", 64),
    Cell("mini", "train", 128),
)  # the table of the README


@dataclass
class Compared:
    """What was measured in a cell, by the names of the engines.

    rounds: images a second of the median step, in each round.   peaks: the most MB that a process held.
    failed: why an engine has no figure.
    """

    cell: Cell
    rounds: dict[str, list[float]] = field(default_factory=dict)
    peaks: dict[str, float | None] = field(default_factory=dict)
    failed: dict[str, str] = field(default_factory=dict)

    @property
    def paces(self) -> dict[str, float]:
        """Images a second: the median over the rounds, of each engine that did not fail."""
        return {name: statistics.median(found) for name, found in self.rounds.items() if name not in self.failed}

    @property
    def best(self) -> tuple[str, float] | None:
        """The fastest of the other engines, and how many times as fast tinyalex is; None if all failed."""
        paces = self.paces
        own = paces.pop(OWN)
        if not paces:
            return None
        name = max(paces, key=paces.__getitem__)
        return name, own / paces[name]

    def figures(self) -> dict[str, Any]:
        """All of it, for JSON."""
        name, ratio = self.best or (None, None)
        found = {"images_per_s": self.paces, "rounds": self.rounds, "peak_rss_mb": self.peaks, "failed": self.failed}
        return {**self.cell._asdict(), **found, "best": name, "ratio": ratio}


# ---------------------------------------------------------------- which engines


def chosen(names: Sequence[str], versions: Mapping[str, str], python: str) -> tuple[list[str], list[str]]:
    """The engines to compare, tinyalex first, and a line for each that is not installed.

    names: those asked for, or ("all",).   versions: of the packages that `python` has.
    Raises UsageError for another name.
    """
    for name in names:
        if name not in (*OTHERS, "all"):
            raise UsageError(f"got the engine {name!r}: expected names out of {', '.join(OTHERS)}, or all")
    at_work, missing = [OWN], []
    for name in OTHERS:
        engine = ENGINES[name]
        if name not in names and "all" not in names:
            continue
        if engine.package not in versions:
            missing.append(
                f"{name} is left out: {python} has no {engine.package}; {python} -m pip install {engine.package}"
            )
        elif engine.reads_onnx and find_spec("onnx") is None:
            missing.append(f"{name} is left out: tinyalex writes its net by the library onnx; pip install onnx")
        else:
            at_work.append(name)
    return at_work, missing


def installed(python: str) -> dict[str, str]:
    """The versions of the packages of the engines that `python` has, by name. Raises UsageError if it is no Python."""
    packages = sorted({engine.package for engine in ENGINES.values()} - {OWN})
    done = subprocess.run([python, HERE / "installed.py", *packages], capture_output=True, text=True)
    try:
        found: dict[str, str] = json.loads(done.stdout)
    except ValueError:
        raise UsageError(f"got {python}: expected a Python of 3.11 or later ({_last_line(done)})") from None
    return found


def processor() -> str:
    """The name of the processor, as the system tells it."""
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        lines = []
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return next(iter(names), platform.processor() or platform.machine())


# ---------------------------------------------------------------- measuring


def compare(cell: Cell, names: Iterable[str], python: str, threads: int, rounds: int, steps: int) -> Compared:
    """Measure the engines that can do what the cell asks, tinyalex first in each round.

    python: the Python that has the others.   steps: how many are timed in a round, and for a second at least.
    Raises TinyAlexError if tinyalex itself fails; UsageError for fewer than 1 round, step or image.
    """
    at_least(1, rounds=rounds, steps=steps, batch=cell.batch)
    at_work = {name: ENGINES[name] for name in names if cell.mode in ENGINES[name].modes}
    compared = Compared(cell)
    with TemporaryDirectory(prefix="tinyalex-") as folder:
        _prepare(Path(folder), cell, threads, any(engine.reads_onnx for engine in at_work.values()))
        for _ in range(rounds):
            answer = None
            for name, engine in at_work.items():
                if name in compared.failed:
                    continue
                found = _run(engine, sys.executable if name == OWN else python, Path(folder), threads, steps)
                answer = found.get("first") if name == OWN else answer
                _take(compared, name, found, answer)
    return compared


def _prepare(folder: Path, cell: Cell, threads: int, onnx: bool) -> None:
    """Write the net, its images and, if `onnx`, its file of ONNX into the folder."""
    net = net_of(nets.variant(cell.variant))
    write(task_for(net, cell.mode, cell.batch, threads), folder)
    if onnx:
        onnx_export.write(net, folder / "net.onnx")


def _run(engine: Engine, python: str, folder: Path, threads: int, steps: int) -> dict[str, Any]:
    """What `child` has measured in a process of its own; {"failed": why} if it fails."""
    words = [python, *map(str, (HERE / "child.py", folder, engine.file, steps, SECONDS)), *engine.options]
    environment = {**os.environ, "OMP_NUM_THREADS": str(threads)}
    done = subprocess.run(words, capture_output=True, text=True, env=environment)
    if done.returncode:
        return {"failed": _last_line(done)}
    found: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return found


def _take(compared: Compared, name: str, found: Mapping[str, Any], expected: Any) -> None:
    """Add what an engine has measured in a round; `expected` is what tinyalex answered."""
    if "failed" in found:
        if name == OWN:
            raise TinyAlexError(f"{compared.cell}: tinyalex failed ({found['failed']})")
        compared.failed[name] = found["failed"]
        return
    difference = _difference(found["first"], expected)
    if compared.cell.mode == "infer" and not difference < CLOSE:
        compared.failed[name] = f"its logits differ by {difference:.1g} of ours: expected less than {CLOSE:g}"
        return
    compared.rounds.setdefault(name, []).append(compared.cell.batch / found["seconds"])
    compared.peaks[name] = max(filter(None, [found["peak_rss_mb"], compared.peaks.get(name)]), default=None)


def _difference(found: Any, expected: Any) -> float:
    """The norm of the difference over the norm."""
    return float(np.linalg.norm(np.subtract(found, expected)) / np.linalg.norm(expected))


def _last_line(done: subprocess.CompletedProcess[str]) -> str:
    """What a process said last before it failed."""
    lines = [line.strip() for line in done.stderr.splitlines() if line.strip()]
    return lines[-1][:200] if lines else f"exit status {done.returncode}"


# ---------------------------------------------------------------- the tables, in Markdown


def lines(compared: Iterable[Compared], names: Sequence[str]) -> Iterator[str]:
    """A table of images a second, each row as soon as it is measured, one of memory, and what failed.

    The last column is the ratio to the fastest of the others: of images a second, and of memory.
    """
    measured = []
    yield from _heading(names)
    for cell in compared:
        measured.append(cell)
        best = cell.best
        yield _row(cell, names, cell.paces, f"{best[1]:.2f} ({best[0]})" if best else "-")
    yield "\nMB that a process held at most\n"
    yield from _heading(names)
    for cell in measured:
        peaks, best = {name: peak for name, peak in cell.peaks.items() if peak is not None}, cell.best
        yield _row(cell, names, peaks, f"{peaks[OWN] / peaks[best[0]]:.2f} ({best[0]})" if best and peaks else "-")
    yield from (f"\n{cell.cell}: {name} failed: {why}" for cell in measured for name, why in cell.failed.items())


def _heading(names: Sequence[str]) -> Iterator[str]:
    """The first two lines of a table; figures are flush right."""
    yield _line("net, mode, batch", names, names, "against the best")
    yield _line("---", names, ["--:"] * len(names), "--:")


def _row(compared: Compared, names: Sequence[str], figures: Mapping[str, float], last: str) -> str:
    """A row with three digits a figure; a dash for an engine that cannot do it, or that failed."""
    digits = {name: f"{figure:,.{1 if figure < 100 else 0}f}" for name, figure in figures.items()}
    return _line(str(compared.cell), names, [digits.get(name, "-") for name in names], last)


def _line(first: str, names: Sequence[str], cells: Sequence[str], last: str) -> str:
    """A row, as wide as the heading."""
    columns = [cell.rjust(max(8, len(name))) for name, cell in zip(names, cells, strict=True)]
    return " | ".join([f"| {first:<22}", *columns, f"{last:>26} |"])
