"""The measurements of docs/scaling.md: one device, two columns and two ranks, compared with tinyalex.cost.scaling.

    python -m tinyalex.cost.measured_scaling [--variant paper] [--batch 64] [--rounds 3]

A device is one core here. In each round every setup runs once, in a process of its own, so that other work on the
machine slows all of them alike; the fastest step of all rounds counts. Needs mpi4py, mpiexec and a quiet machine.
"""

import argparse
import json
import statistics
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np

from tinyalex.cost.scaling import Machine, steps
from tinyalex.cost.speed import Bench
from tinyalex.count import count
from tinyalex.errors import TinyAlexError, UsageError, at_least
from tinyalex.spec import usual_classes, variant

MPIEXEC = Path(sys.executable).with_name("mpiexec")
NUMBERS = 10_000_000  # of the long all-reduce
REPEATS = 10
STEPS = 5  # of one core


@dataclass(frozen=True)
class Setup:
    """A way to train on one core or two: options of `tinyalex bench`, and the number of ranks."""

    name: str
    options: tuple[str, ...]
    ranks: int = 1


ONE_DEVICE = Setup("two cores, one device", ("--threads", "2"))
COLUMNS = Setup("two columns", ("--devices", "cpu:0,cpu:1", "--threads", "2"))
RANKS = Setup("two ranks", ("--threads", "1"), ranks=2)
SETUPS = (Setup("one core", ("--threads", "1")), ONE_DEVICE, COLUMNS, RANKS)


def output_of(program: Sequence[str], ranks: int = 1) -> str:
    """What Python prints when it runs with these arguments, as several ranks if asked.

    Raises UsageError if mpiexec is missing or the program fails.
    """
    command = [sys.executable, *program]
    if ranks > 1:
        if not MPIEXEC.exists():
            raise UsageError(f"got no {MPIEXEC}: expected an mpiexec; pip install mpi4py mpich")
        command = [str(MPIEXEC), "-n", str(ranks), *command]
    run = subprocess.run(command, capture_output=True, text=True, check=False)
    if run.returncode:
        last = (run.stderr.strip().splitlines() or ["no message"])[-1]
        raise UsageError(f"got the exit status {run.returncode} from {' '.join(command)}: {last}")
    return run.stdout


def measure(setup: Setup, name: str, batch: int) -> dict[str, Any]:
    """The figures of `tinyalex bench --json` for one setup."""
    words = ["-m", "tinyalex", "bench", "--json", "--variant", name, "--batch", str(batch), *setup.options]
    figures: dict[str, Any] = json.loads(output_of(words, setup.ranks))
    return figures


def print_all_reduce_times() -> None:
    """Called in each of several ranks: rank 0 prints the median seconds of a short and a long all-reduce."""
    mpi: Any = import_module("mpi4py.MPI")
    world = mpi.COMM_WORLD
    for size in (1, NUMBERS):
        numbers, seconds = np.ones(size, "float32"), []
        for _ in range(REPEATS):
            world.Barrier()
            begun = time.perf_counter()
            world.Iallreduce(mpi.IN_PLACE, numbers).Wait()
            seconds.append(time.perf_counter() - begun)
        if world.rank == 0:
            print(statistics.median_high(seconds))


def measure_all_reduce() -> tuple[float, float]:
    """Bytes a second and seconds of latency between two ranks: the model sends 2 messages, of half the array each."""
    program = "from tinyalex.cost.measured_scaling import print_all_reduce_times as run; run()"
    short, long = map(float, output_of(["-c", program], ranks=2).split())
    return 4 * NUMBERS / (long - short), short / 2


def measure_one_core(name: str, batch: int) -> tuple[float, float]:
    """Images a second of one thread, forward and backward, and seconds of its update."""
    costs = Bench(name, "train", batch, threads=1).costs(STEPS)
    update = sum(cost.seconds for cost in costs if cost.direction == "update")
    return batch / (sum(cost.seconds for cost in costs) - update), update


def compare(name: str, batch: int, rounds: int) -> None:
    """Measure, predict, and print both. Raises UsageError for fewer than 1 image or round."""
    at_least(1, batch=batch, rounds=rounds)
    found: dict[str, list[dict[str, Any]]] = {setup.name: [] for setup in SETUPS}
    machines = []
    for _ in range(rounds):
        for setup in SETUPS:
            found[setup.name].append(measure(setup, name, batch))
        machines.append((*measure_one_core(name, batch), *measure_all_reduce()))
    rates, updates, bandwidths, latencies = zip(*machines, strict=True)
    rate, update, bandwidth, latency = max(rates), min(updates), max(bandwidths), min(latencies)
    print(
        f"{name}, {batch} images a step; one core: {rate:.1f} images/s, update {update * 1e3:.1f} ms; "
        f"all-reduce: {bandwidth / 1e9:.2f} GB/s, {latency * 1e6:.1f} us\n"
    )
    pace = {setup: max(run["images_per_s"] for run in runs) for setup, runs in found.items()}
    for setup_name, speed in pace.items():
        print(f"{setup_name:<24}{speed:>9.1f} images/s{speed / pace[ONE_DEVICE.name]:>8.2f} of one device")
    print(f"two ranks wait {statistics.median(run['waiting_share'] for run in found[RANKS.name]):.1%} of the time\n")
    rows = count(variant(name), usual_classes(variant(name)))
    for overlap in (True, False):
        machine = Machine(rate, update, bandwidth, latency, overlap=overlap)
        predicted = {step.scheme: step.images_per_s for step in steps(rows, machine, batch, 2)}
        for scheme, setup in (("data", RANKS), ("columns", COLUMNS)):
            print(
                f"predicted {scheme:<10}{'sums during the backward pass' if overlap else 'sums after it':<30}"
                f"{predicted[scheme]:>9.1f} images/s, {predicted[scheme] / pace[setup.name] - 1:+.0%}"
            )


def main(words: Sequence[str] | None = None) -> int:
    """Compare. Returns the exit status."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--variant", default="paper")
    parser.add_argument("--batch", type=int, default=64)
    parser.add_argument("--rounds", type=int, default=3)
    options = parser.parse_args(words)
    try:
        compare(options.variant, options.batch, options.rounds)
    except TinyAlexError as error:
        parser.error(str(error))
    return 0


if __name__ == "__main__":
    sys.exit(main())
