"""The measurements of docs/scaling.md: one device, two columns and two ranks, against tinyalex.cost.scaling.

    python docs/scaling.py [--variant paper] [--batch 64] [--rounds 3]

A device is one core here. The ways take turns, so that what else the machine does meets all of them alike, each in a
process of its own; the best step of all rounds counts. Needs mpi4py, an mpiexec, and a machine that is quiet.
"""

import argparse
import json
import statistics
import subprocess
import sys
from pathlib import Path

from tinyalex.cost.scaling import Machine, steps
from tinyalex.cost.speed import Bench
from tinyalex.count import count
from tinyalex.spec import variant

MPIEXEC = str(Path(sys.executable).with_name("mpiexec"))
ALL_REDUCE = """
import time
import numpy as np
from mpi4py import MPI
world = MPI.COMM_WORLD
for size in (1, 10_000_000):
    numbers, seconds = np.ones(size, "float32"), []
    for _ in range(10):
        world.Barrier()
        begun = time.perf_counter()
        world.Iallreduce(MPI.IN_PLACE, numbers).Wait()
        seconds.append(time.perf_counter() - begun)
    if world.rank == 0:
        print(sorted(seconds)[len(seconds) // 2])
"""


def benched(words: list[str], variant: str, batch: int, ranks: int = 1) -> dict[str, float]:
    """What `tinyalex bench` with these words prints."""
    program = [sys.executable, "-m", "tinyalex", "bench", "--json", "--variant", variant, "--batch", str(batch), *words]
    command = program if ranks == 1 else [MPIEXEC, "-n", str(ranks), *program]
    printed: dict[str, float] = json.loads(subprocess.run(command, capture_output=True, text=True, check=True).stdout)
    return printed


def all_reduce() -> tuple[float, float]:
    """(bytes a second, seconds a message) of two ranks, as the model has them: 2 messages, of half the array each."""
    command = [MPIEXEC, "-n", "2", sys.executable, "-c", ALL_REDUCE]
    run = subprocess.run(command, capture_output=True, text=True, check=True)
    short, long = map(float, run.stdout.split())
    return 4 * 10_000_000 / (long - short), short / 2


def one_core(name: str, batch: int) -> tuple[float, float]:
    """(images a second forward and backward, seconds of an update) of one thread."""
    costs = Bench(name, "train", batch, threads=1).costs(5)
    update = sum(cost.seconds for cost in costs if cost.direction == "update")
    return batch / (sum(cost.seconds for cost in costs) - update), update


def main() -> None:
    """Measure, predict, and print both."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--variant", default="paper")
    parser.add_argument("--batch", type=int, default=64)
    parser.add_argument("--rounds", type=int, default=3)
    words = parser.parse_args()

    ways: dict[str, tuple[list[str], int]] = {
        "one core": (["--threads", "1"], 1),
        "two cores, one device": (["--threads", "2"], 1),
        "two columns": (["--devices", "cpu:0,cpu:1", "--threads", "2"], 1),
        "two ranks": (["--threads", "1"], 2),
    }
    found: dict[str, list[dict[str, float]]] = {name: [] for name in ways}
    machines = []
    for _ in range(words.rounds):
        for name, (options, ranks) in ways.items():
            found[name].append(benched(options, words.variant, words.batch, ranks))
        machines.append((*one_core(words.variant, words.batch), *all_reduce()))
    pace = {name: max(one["images_per_s"] for one in runs) for name, runs in found.items()}
    waiting = statistics.median(one["waiting_share"] for one in found["two ranks"])
    rates, updates, bandwidths, latencies = zip(*machines, strict=True)
    rate, update, bandwidth, latency = max(rates), min(updates), max(bandwidths), min(latencies)
    print(
        f"{words.variant}, {words.batch} images a step; one core: {rate:.1f} images/s, update {update * 1e3:.1f} ms; "
        f"all-reduce: {bandwidth / 1e9:.2f} GB/s, {latency * 1e6:.1f} us\n"
    )
    for name, speed in pace.items():
        print(f"{name:<24}{speed:>9.1f} images/s{speed / pace['two cores, one device']:>8.2f} of one device")
    print(f"two ranks wait {waiting:.1%} of the time\n")
    rows = count(variant(words.variant), 10 if words.variant == "mini" else 1000)
    for overlap in (True, False):
        machine = Machine(rate, update, bandwidth, latency, overlap=overlap)
        predicted = {step.scheme: step.images_per_s for step in steps(rows, machine, words.batch, 2)}
        for scheme, way in (("data", "two ranks"), ("columns", "two columns")):
            print(
                f"predicted {scheme:<10}{'sums under the backward pass' if overlap else 'sums after it':<30}"
                f"{predicted[scheme]:>9.1f} images/s, {predicted[scheme] / pace[way] - 1:+.0%}"
            )


if __name__ == "__main__":
    main()
