"""A small trained net that comes with the package, to look at before one has trained any.

It is `mini` by its own recipe: 30 passes over 6,000 images of `shapes`. `make example` trains it again.
"""

from dataclasses import replace
from pathlib import Path

from tinyalex.weights.checkpoint import Checkpoint, read, write

EXAMPLE = Path(__file__).with_name("example.npz")


def load_example() -> Checkpoint:
    """The trained net that comes with the package, made anew at each call.

    net: `mini`, for 32 x 32 images of the ten classes of `shapes`; its float32 parameters have the precision of
    float16.   classes, statistics: what pictures are prepared with and named by.   training: its settings and history.
    """
    return read(EXAMPLE)


def keep_as_example(run: str | Path, path: str | Path = EXAMPLE) -> None:
    """Write the checkpoint `run` to `path` without the velocities and in float16, at a quarter of its size."""
    write(replace(read(run), velocity={}), path, half=True)
