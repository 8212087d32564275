"""The small trained net that comes with the package, for anyone who has not trained one yet.

It is the variant `mini`, trained by its own recipe: 30 epochs on 6,000 images of `shapes`. `make example` repeats it.
"""

from dataclasses import replace
from pathlib import Path

from tinyalex.weights.checkpoint import Checkpoint, read, write

EXAMPLE = Path(__file__).with_name("example.npz")


def load_example() -> Checkpoint:
    """The trained net that comes with the package; each call returns a new copy.

    net: `mini`, for 32 x 32 images of the ten classes of `shapes`; float32 parameters, rounded to float16.
    classes: the names of the classes.   statistics: of the training images.   training: the run's settings and history.
    """
    return read(EXAMPLE)


def keep_as_example(run: str | Path, path: str | Path = EXAMPLE) -> None:
    """Write the checkpoint in the file `run` to `path`, in a quarter of the space: float16, without velocities."""
    write(replace(read(run), velocity={}), path, half=True)
