"""The steps of the report, in order, each with the seconds that it is expected to take on one H200 and may take."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass

from tinyalex.cost.gpu import correctness, kernels, speed, training
from tinyalex.cost.gpu.rows import Row, Sizes


@dataclass(frozen=True)
class Step:
    """A step: what it does, its expected time and its limit in seconds, and whether products are in TF32."""

    name: str
    work: Callable[[Sizes], Iterator[Row]]
    seconds: float
    limit: float
    tf32: bool = False


STEPS = (
    Step("versions and GPUs", correctness.info, 8, 40),
    Step("smoke test", kernels.smoke, 15, 60),
    Step("tests that need a GPU", correctness.gpu_tests, 90, 170),
    Step("memcheck", correctness.memcheck, 30, 60),
    Step("ceilings", speed.ceilings, 10, 40),
    Step("profile", speed.profile, 40, 90),
    Step("beside PyTorch, images/s", speed.comparison, 100, 150),
    Step("beside PyTorch in TF32, images/s", speed.with_tf32, 80, 130, tf32=True),
    Step("memory of training", training.memory, 20, 60),
    Step("training from stored images", training.training, 50, 120),
)
