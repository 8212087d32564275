"""The ladder of docs/speed.md: the paper's net, trained with one more idea at each rung.

    python docs/ladder.py [--batch 64] [--steps 3]

Each rung is the program of today with the later ideas taken out, in one process, one rung after the other.
"""

import argparse
import contextlib
import time
from collections.abc import Callable, Iterator
from typing import Any
from unittest import mock

import numpy as np

from tinyalex import AlexNet
from tinyalex.backend import cpu, memory, use_kernels
from tinyalex.backend.cpu import winograd
from tinyalex.cost.speed import Bench
from tinyalex.count import count
from tinyalex.spec import variant

SINGLE_PASSES = ("relu_forward", "relu_backward", "masked")


def loops_in_python(seconds: float = 2.0) -> float:
    """Images a second of a training step in plain loops, from the multiply-adds that they do in a second.

    A step has three times the multiply-adds of the forward pass, but conv1 needs no gradient of the images.
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
    rows = count(variant("paper"), 1000)
    return speed / (3 * sum(row.multiply_adds for row in rows) - rows_named(rows)["conv1"].multiply_adds)


def rows_named(rows: list[Any]) -> dict[str, Any]:
    """The rows of a counted net by name."""
    return {row.name: row for row in rows}


@contextlib.contextmanager
def without(memory_again: bool, single_passes: bool, fits: Callable[[winograd.Plan], bool]) -> Iterator[None]:
    """The compiled kernels without the ideas that are False, and with Winograd only where the plan `fits`."""
    plan = winograd.plan

    def chosen(*arguments: Any) -> winograd.Plan | None:
        found = plan(*arguments)
        return found if found and fits(found) else None

    with contextlib.ExitStack() as stack:
        stack.enter_context(mock.patch.object(winograd, "plan", chosen))
        if not memory_again:
            stack.enter_context(mock.patch.object(memory, "SMALLEST_KEPT", 1 << 62))
        if not single_passes:
            for name in SINGLE_PASSES:
                stack.enter_context(mock.patch.object(cpu, name, None))
        yield


def pace(batch: int, steps: int, fused: bool = True) -> float:
    """Images a second of a training step, the median."""
    with contextlib.nullcontext() if fused else mock.patch.object(AlexNet, "_relu_after_conv", return_value={}):
        return Bench("paper", "train", batch).pace(steps).median_images_per_s


def main() -> None:
    """Climb."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--batch", type=int, default=64)
    parser.add_argument("--steps", type=int, default=3)
    words = parser.parse_args()
    rungs: list[tuple[str, float]] = [("loops in Python (extrapolated)", loops_in_python())]
    with use_kernels("reference"):
        rungs.append(("NumPy: im2col and matrix products", pace(words.batch, words.steps)))
    nowhere, strideless_3, strideless, anywhere = (
        lambda _: False,
        lambda cut: cut.stride == 1 and cut.r == 3,
        lambda cut: cut.stride == 1,
        lambda _: True,
    )
    for name, again, passes, fits in (
        ("compiled loops, tiles in cache, one pool of threads", False, False, nowhere),
        ("memory used again from step to step", True, False, nowhere),
        ("ReLU with the convolution, single passes", True, True, nowhere),
        ("Winograd for 3 x 3: conv3, conv4, conv5", True, True, strideless_3),
        ("Winograd for 5 x 5: conv2", True, True, strideless),
        ("Winograd for a stride taken apart: conv1", True, True, anywhere),
    ):
        with without(again, passes, fits):
            rungs.append((name, pace(words.batch, words.steps, fused=passes)))
    before = None
    for name, speed in rungs:
        print(f"{name:<54}{speed:>10.4g} images/s{'' if before is None else f'{speed / before:>9.3g} x'}")
        before = speed


if __name__ == "__main__":
    main()
