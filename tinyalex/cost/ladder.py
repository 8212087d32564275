"""The ladder of docs/speed.md: how fast the paper's net trains, with one more idea at each rung.

    python -m tinyalex.cost.ladder [--batch 64] [--steps 3]

A rung is today's program without the ideas of the rungs above it. All rungs run in one process, one after the other.
"""

import argparse
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np

from tinyalex.backend import cpu_kernels, use_kernels, without_pools, without_twins
from tinyalex.cost.speed import Bench
from tinyalex.count import count
from tinyalex.errors import TinyAlexError, UsageError
from tinyalex.layers import ReLU
from tinyalex.net import AlexNet
from tinyalex.spec import variant

SINGLE_PASSES = ("relu_forward", "relu_backward", "masked")  # definitions whose twins read and write each number once


@dataclass(frozen=True)
class Rung:
    """Which ideas the compiled kernels use.

    pools: memory is used again from step to step.   fused: a convolution applies the ReLU after it; the other ReLUs and
    dropout are single passes.   winograd: tells for a tinyalex.backend.cpu.winograd.Plan whether Winograd is used.
    """

    name: str
    pools: bool
    fused: bool
    winograd: Callable[[Any], bool]


RUNGS = (
    Rung("compiled loops, tiles in cache, one pool of threads", False, False, lambda _: False),
    Rung("memory used again from step to step", True, False, lambda _: False),
    Rung("ReLU with the convolution, single passes", True, True, lambda _: False),
    Rung("Winograd for 3 x 3: conv3, conv4, conv5", True, True, lambda plan: plan.stride == 1 and plan.r == 3),
    Rung("Winograd for 5 x 5: conv2", True, True, lambda plan: plan.stride == 1),
    Rung("Winograd for a stride taken apart: conv1", True, True, lambda _: True),
)


class SeparateReLU(ReLU):
    """A ReLU that the convolution before it does not apply: a net fuses only a Conv2D and a ReLU themselves."""


@contextmanager
def standing_on(rung: Rung) -> Iterator[None]:
    """A block in which the compiled kernels use only the rung's ideas; `separate_relus` does its part in the net."""
    twins: Any = cpu_kernels()
    if twins is None:
        raise UsageError("got no compiled kernels: expected Numba, to climb the ladder; pip install numba")
    with ExitStack() as stack:
        stack.enter_context(twins.winograd_where(rung.winograd))
        if not rung.pools:
            stack.enter_context(without_pools())
        if not rung.fused:
            stack.enter_context(without_twins(*SINGLE_PASSES))
        yield


def separate_relus(net: AlexNet) -> None:
    """Make each ReLU of the net a layer that does its own work."""
    for name, layer in net.layers.items():
        if isinstance(layer, ReLU):
            net.layers[name] = SeparateReLU()


def pace(name: str, batch: int, steps: int, fused: bool = True) -> float:
    """Images a second of the median of some training steps of the variant `name`."""
    bench = Bench(name, "train", batch)
    if not fused:
        separate_relus(bench.net)
    return bench.pace(steps).median_images_per_s


def loops_in_python(name: str, seconds: float = 2.0) -> float:
    """Images a second of a training step in plain loops, extrapolated from the multiply-adds they do in `seconds`.

    A step has three times the multiply-adds of the forward pass, less those of conv1's input gradient.
    """
    x = np.random.default_rng(0).random((3, 40, 40)).tolist()
    w = np.random.default_rng(1).random((3, 11, 11)).tolist()
    done, begun = 0, time.perf_counter()
    while time.perf_counter() - begun < seconds:
        for row in range(0, 28, 4):
            total = 0.0
            for c in range(3):
                for i in range(11):
                    for j in range(11):
                        total += w[c][i][j] * x[c][row + i][j]
            done += 3 * 11 * 11
    speed = done / (time.perf_counter() - begun)
    rows = count(variant(name))
    return speed / (3 * sum(row.multiply_adds for row in rows) - rows[0].multiply_adds)


def climb(name: str, batch: int, steps: int) -> Iterator[tuple[str, float]]:
    """Each rung's name, and its images a second."""
    yield "loops in Python (extrapolated)", loops_in_python(name)
    with use_kernels("reference"):
        numpy = pace(name, batch, steps)
    yield "NumPy: im2col and matrix products", numpy
    for rung in RUNGS:
        with standing_on(rung):
            found = pace(name, batch, steps, rung.fused)
        yield rung.name, found


def main(words: Sequence[str] | None = None) -> int:
    """Climb, and print each rung as soon as it is measured. Returns the exit status."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--variant", default="paper")
    parser.add_argument("--batch", type=int, default=64)
    parser.add_argument("--steps", type=int, default=3)
    options = parser.parse_args(words)
    before = None
    try:
        for name, speed in climb(options.variant, options.batch, options.steps):
            times = "" if before is None else f"{speed / before:>9.3g} x"
            print(f"{name:<54}{speed:>10.4g} images/s{times}", flush=True)
            before = speed
    except TinyAlexError as error:
        parser.error(str(error))
    return 0


if __name__ == "__main__":
    sys.exit(main())
