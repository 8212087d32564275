"""What a step of the report yields, and how large its work is."""

import math
import time
from dataclasses import dataclass
from typing import Any

Row = dict[str, Any]  # a line of the report: "what" names it, "right" is a verdict, other cells are numbers or text

GPU = "cuda:0"
TWO = (GPU, GPU)  # both columns of the net on one GPU


class LeftOutError(Exception):
    """A step cannot run here, for the reason in the message; that is no failure."""


@dataclass(frozen=True)
class Sizes:
    """How large the work of each step is.

    variant, batches: the net that is measured, and its images a step.
    steps: how many are timed.   profiled: how many are profiled.
    side: pixels of the smoke test's images.   copied: numbers of the array that is copied.
    product, weights: `GPU_SIDE` and `WEIGHTS` of tinyalex.cost.speed.   images, epochs: of the training run.
    repeated: steps that are run twice, and compared bit for bit.
    tests: which tests run, as options of pytest; `passed`: how many must pass at least.
    ends: when the step's time is over, by time.monotonic().
    """

    variant: str
    batches: tuple[int, ...]
    steps: int
    profiled: int
    side: int
    copied: int
    product: int
    weights: int
    images: int
    epochs: int
    repeated: int
    tests: tuple[str, ...]
    passed: int
    ends: float = math.inf

    def seconds_left(self) -> float:
        """Until the step is stopped."""
        return self.ends - time.monotonic()


FULL = Sizes(
    variant="paper",
    batches=(128, 512),
    steps=15,
    profiled=3,
    side=55,
    copied=1 << 28,
    product=8192,
    weights=1 << 24,
    images=2560,
    epochs=6,
    repeated=5,
    tests=("-m", "gpu"),
    passed=150,
)
TINY = Sizes(
    variant="mini",
    batches=(2,),
    steps=1,
    profiled=1,
    side=9,
    copied=1 << 10,
    product=64,
    weights=1 << 10,
    images=2,
    epochs=2,
    repeated=2,
    tests=("-m", "not gpu", "-k", "few_rows and stand-in"),
    passed=5,
)
