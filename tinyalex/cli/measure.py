"""The commands that measure or predict what training costs: bench, loader, memory, crossing and plan; and info."""

import math
import os
import sys
from dataclasses import asdict, dataclass
from json import dumps
from pathlib import Path
from typing import Annotated, Literal

from tinyalex import spec as nets
from tinyalex import viz
from tinyalex.backend import cpu_kernels, gpus, kernels_in_use, thread_count, use_threads
from tinyalex.cli.images import images_of
from tinyalex.cli.options import DATA, Command, Devices, Option, Variant
from tinyalex.cli.terminal import shared_by
from tinyalex.columns import column_names, crossing
from tinyalex.cost import comparison, pictures, reproduction, scaling, speed
from tinyalex.cost.accounting import measured
from tinyalex.cost.loading import IMAGES, loading
from tinyalex.cost.memory import predicted
from tinyalex.count import count
from tinyalex.errors import UsageError, at_least
from tinyalex.files import make_folder
from tinyalex.parallel.failure import ranks_at_work
from tinyalex.training import report
from tinyalex.training.settings import settings_for

Batch = Annotated[int, Option("images a step", most=10**9)]  # NumPy cannot count the bytes of much larger arrays
MEASURED_STEPS, MEASURED_BATCH = 3, 128  # of the training that tells `plan` how fast one device is


@dataclass(frozen=True)
class Bench(Command):
    """Measure how fast a net trains or infers. Under mpiexec several processes share each batch."""

    example = "bench --variant paper --mode train --layers"
    variant: Variant = "paper"
    mode: Annotated[Literal["train", "infer"], Option("whole steps of training, or forward passes")] = "train"
    batch: Batch = 64
    devices: Devices = None
    threads: Annotated[int | None, Option("threads (the cores this process may use)")] = None
    steps: Annotated[int, Option("steps to measure, after two that warm up")] = 5
    layers: Annotated[bool, Option("also print each layer's time and draw it against the machine's limits")] = False
    json: Annotated[bool, Option("print one line of JSON instead of text")] = False
    out: Annotated[Path, Option("folder for the picture of --layers")] = Path("bench")
    against: Annotated[
        tuple[str, ...] | None,
        Option(f"compare with other engines: {', '.join(comparison.OTHERS)}, or all", metavar="NAME,..."),
    ] = None
    python: Annotated[Path | None, Option("with --against, the Python that has the engines (this one)")] = None
    rounds: Annotated[int, Option("with --against, how many times each engine has its turn")] = 3
    table: Annotated[bool, Option("with --against, all nets, modes and batches of the README's table")] = False

    def run(self) -> None:
        """Print images a second; with --layers also where the time goes, with --against also those of other engines."""
        if self.against:
            self._compare(self.against)
        else:
            self._measure()

    def _compare(self, others: tuple[str, ...]) -> None:
        """Print each row of the comparison as soon as it is measured; with --json all of it at the end."""
        if self.layers or self.devices:
            raise UsageError("got --against with --layers or --devices: expected it alone; the engines use the CPU")
        python = str(self.python or sys.executable)
        versions = comparison.installed(python)
        names, missing = comparison.chosen(others, versions, python)
        for line in missing:
            print(line, file=sys.stderr)
        with use_threads(self.threads):
            threads = thread_count()
        cells = comparison.TABLE if self.table else [comparison.Cell(self.variant, self.mode, self.batch)]
        compared = (comparison.compare(cell, names, python, threads, self.rounds, self.steps) for cell in cells)
        if self.json:
            machine = {
                "processor": comparison.processor(),
                "threads": threads,
                "versions": report.versions() | versions,
            }
            print(dumps({**machine, "rounds": self.rounds, "cells": [cell.figures() for cell in compared]}))
            return
        known = ", ".join(f"{package} {version}" for package, version in versions.items())
        print(
            f"{comparison.processor()}, {threads} threads; {known}\n\nimages a second, median of {self.rounds} rounds\n"
        )
        for line in comparison.lines(compared, names):
            print(line, flush=True)

    def _measure(self) -> None:
        """Print images a second of tinyalex alone."""
        with ranks_at_work() as ranks:
            if self.layers and ranks.writes:
                make_folder(self.out)
            devices = ranks.devices(self.devices)
            bench = speed.Bench(self.variant, self.mode, self.batch, self.threads, devices, ranks)
            pace = bench.pace(self.steps)
            costs = bench.costs(self.steps) if self.layers else []  # on all ranks: they sum their gradients
            roofs = speed.roofs(self.threads, bench.net.device or "cpu") if self.layers else None
        if not ranks.writes:
            return
        if roofs is not None:
            self._draw(costs, roofs)
        if self.json:
            asked = {key: getattr(self, key) for key in ("variant", "mode", "batch", "threads", "devices")}
            found = {"layers": [asdict(cost) for cost in costs]} if self.layers else {}
            print(dumps({**asked, "ranks": ranks.size, **asdict(pace), **found}))
        else:
            self._print(pace, ranks.size)

    def _draw(self, costs: list[speed.Cost], roofs: speed.Roofs) -> None:
        """Write the roofline; print the table of the layers, unless all of the output is to be JSON."""
        picture = self.out / f"roofline-{self.variant}-{self.mode}.png"
        viz.save(pictures.roofline(costs, roofs), picture)
        if not self.json:
            print(f"{speed.table(costs, roofs)}\n\ndrawn: {picture}\n")

    def _print(self, pace: speed.Pace, ranks: int) -> None:
        memory = f", {pace.peak_rss_mb:,.0f} MB at most" if pace.peak_rss_mb is not None else ""
        print(
            f"{self.variant}, {self.mode}, batch {self.batch}: {pace.median_images_per_s:,.1f} images a second "
            f"(median of {self.steps} steps; the best {pace.images_per_s:,.1f})"
            f"{shared_by(ranks, pace.waiting_share)}{memory}"
        )


@dataclass(frozen=True)
class Loader(Command):
    """Measure how fast images become batches: read, decoded and augmented for training on the CPU."""

    example = "loader --data photos --variant paper --workers 2"
    data: Annotated[str, Option("images, as for train", metavar=DATA)] = "shapes"
    variant: Variant = "paper"
    batch: Batch = 128
    workers: Annotated[int, Option("threads that prepare batches")] = 1
    passes: Annotated[int, Option(f"passes to measure, each over {IMAGES:,} images or all")] = 3

    def run(self) -> None:
        """Print images a second."""
        settings = settings_for(self.variant, data=self.data)
        crop = settings.input_size
        found = loading(lambda: images_of(settings)[0], crop, self.batch, workers=self.workers, passes=self.passes)
        print(
            f"{self.data}, {found.images:,} images, batch {self.batch}, workers {self.workers}: "
            f"{found.median_images_per_s:,.1f} images of {crop} x {crop} a second "
            f"(median of {self.passes} passes; the best {found.images_per_s:,.1f})"
        )


@dataclass(frozen=True)
class Memory(Command):
    """Predict the memory that training takes: bytes on each device, by what they are for."""

    example = "memory --variant paper --batch 128 --devices cpu:0,cpu:1"
    variant: Variant = "paper"
    batch: Batch = 128
    devices: Devices = None
    measure: Annotated[bool, Option("also train a few steps here, and print what they take")] = False

    def run(self) -> None:
        """Print a table in bytes: a row for each use, a column for each device."""
        found = predicted(count(nets.variant(self.variant)), self.batch, self.devices)
        print(f"{self.variant}, training on {self.batch} images a step: peak bytes, without the images on the CPU")
        print("".join([f"{'':<12}", *(f"{memory.device:>16}" for memory in found)]))
        for kind in ("parameters", "momentum", "gradients", "activations", "workspace", "total"):
            print("".join([f"{kind:<12}", *(f"{getattr(memory, kind):>16,}" for memory in found)]))
        if self.measure:
            peak = measured(self.variant, self.batch, self.devices)
            width = 16 * len(found) // len(peak)  # both columns on one device are measured together
            print("".join([f"{'measured':<12}", *(f"{size:>{width},}" for size in peak.values())]))


@dataclass(frozen=True)
class Crossing(Command):
    """Count the bytes that go between a net's two columns: in one step of training, by layer."""

    example = "crossing --variant paper --batch 128 --devices cuda:0,cuda:1"
    variant: Variant = "paper"
    batch: Batch = 128
    devices: Annotated[tuple[str, ...], Option("the device of each column", metavar="A,B")] = ("cuda:0", "cuda:1")

    def run(self) -> None:
        """Print the bytes by the layer before which they are exchanged, and their sum."""
        one, two = column_names(self.devices)
        at_least(1, batch=self.batch)
        print(
            f"{self.variant} in two columns, {one} and {two}: bytes that cross in a step of {self.batch} images, "
            "half of them forward, half backward"
        )
        layers = crossing(count(nets.variant(self.variant)), self.batch)
        for name, size in {**layers, "all": sum(layers.values())}.items():
            print(f"{name:<8}{size:>16,}")


@dataclass(frozen=True)
class Plan(Command):
    """Predict how fast several devices train together: for each way to share the work."""

    example = "plan --devices 1,2,4,8 --rate 2500 --bandwidth 12.5"
    variant: Variant = "paper"
    devices: Annotated[tuple[int, ...], Option("numbers of devices", metavar="K,K,...")] = (1, 2, 4, 8, 16, 32, 64)
    batch: Annotated[int, Option("images a step, all devices together")] = 128
    per_device: Annotated[bool, Option("let --batch be the images of each device")] = False
    rate: Annotated[float | None, Option("images a second that one device computes (measured here)")] = None
    update: Annotated[
        float | None, Option("milliseconds of an update of all parameters (0; measured if the rate is)")
    ] = None
    bandwidth: Annotated[float, Option("GB/s that a device sends")] = 12.5
    latency: Annotated[float, Option("microseconds that each message takes besides")] = 20.0
    loading: Annotated[float, Option("images a second that a process prepares")] = math.inf
    overlap: Annotated[bool, Option("sum gradients only after the backward pass, not during it")] = True
    reproduce: Annotated[bool, Option("also print what a whole run on ILSVRC-2012 takes")] = False
    out: Annotated[Path, Option("folder for the picture")] = Path("plan")

    def run(self) -> None:
        """Print the table of images a second, and draw it."""
        if not self.devices:
            raise UsageError("got no numbers of devices: expected one or more, such as --devices 1,2,4")
        rate, update, source = self.rate, self.update or 0.0, "as given"
        steps = self._steps(1.0 if rate is None else rate, update)
        make_folder(self.out)
        if rate is None:  # measured last, as it may take minutes: all mistakes have been found by now
            rate, measured_update = _measured_rate(self.variant, self.batch)
            update = measured_update if self.update is None else self.update
            steps, source = self._steps(rate, update), "measured here"
        print(
            f"{self.variant}: a device computes {rate:,.1f} images a second ({source}) and updates all parameters in "
            f"{update:.2f} ms, sends {self.bandwidth:g} GB/s, {self.latency:g} us a message\n\n"
            f"{scaling.table(steps)}\n"
        )
        if self.reproduce:
            spec = nets.variant(self.variant)
            rows = count(spec)
            print(f"{reproduction.table(spec, rows, steps, predicted(rows, self.batch)[0])}\n")
        print(f"drawn: {viz.save(pictures.scaling(steps), self.out / f'scaling-{self.variant}.png')}")

    def _steps(self, rate: float, update: float) -> list[scaling.StepCost]:
        """The cost of a step for each number of devices and each way to share the work."""
        rows = count(nets.variant(self.variant))
        machine = scaling.Machine(
            rate, update / 1e3, self.bandwidth * 1e9, self.latency / 1e6, self.loading, self.overlap
        )
        return [
            step
            for number in self.devices
            for step in scaling.steps(rows, machine, self.batch * number if self.per_device else self.batch, number)
        ]


def _measured_rate(variant: str, batch: int) -> tuple[float, float]:
    """Images a second that this machine computes forward and backward, and the milliseconds of an update."""
    images = min(batch, MEASURED_BATCH)
    costs = speed.Bench(variant, "train", images).costs(MEASURED_STEPS)
    update = sum(cost.seconds for cost in costs if cost.direction == "update")
    return images / (sum(cost.seconds for cost in costs) - update), 1e3 * update


@dataclass(frozen=True)
class Info(Command):
    """Show what is installed and in use: versions, kernels, threads, GPUs and images."""

    example = "info"

    def run(self) -> None:
        """Print a line for each."""
        for name, number in report.versions().items():
            print(f"{name:<12} {number}")
        twins = cpu_kernels()
        reason = "Numba is installed" if twins else "Numba is not installed: the definitions run instead"
        if twins and twins.code_folder() is None:
            reason = "compiled anew by each process, as no folder for them can be written; set NUMBA_CACHE_DIR"
        asked = os.environ.get("TINYALEX_KERNELS")
        print(f"{'kernels':<12} {kernels_in_use()} ({'TINYALEX_KERNELS' if asked else reason})")
        if twins:
            print(f"{'threads':<12} {thread_count()} (TINYALEX_THREADS, else the cores of this process)")
        for line in gpus():
            print(f"{'GPU':<12} {line}")
        images = os.environ.get("TINYALEX_DATA", "TINYALEX_DATA is not set: tests and demos generate theirs")
        print(f"{'images':<12} {images}")
