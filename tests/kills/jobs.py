"""The commands that are killed, what starts them again, and what must be the same at the end."""

import hashlib
import json
import shlex
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from runs import TIMES, write_folder
from tinyalex.training.saves import NEW, holds_run


@dataclass(frozen=True)
class Job:
    """A command to kill.

    command: its words after `tinyalex`, {out} standing for the folder that it writes.
    again:   those that go on after a kill, if the folder holds a run.
    result:  what the folder holds at the end, by name, in values that can be compared.
    images:  (training images, validation images, their size in pixels) that it works on.
    """

    command: str
    result: Callable[[Path], dict[str, object]]
    images: tuple[int, int, int]
    again: str | None = None

    def words(self, out):
        """What goes on with the work in `out`, or begins it."""
        command = self.again if self.again is not None and holds_run(out) else self.command
        return shlex.split(command.format(out=out.name))


def parameters_and_losses(out):
    """All arrays of the newest checkpoint, velocities too, and each epoch's line without what depends on the time."""
    left_out = ("about", "checksum")  # these say how long the run took
    with np.load(out / "checkpoint.npz") as arrays:
        result = {name: arrays[name].tobytes() for name in arrays.files if name not in left_out}
    for number, line in enumerate((out / "history.jsonl").read_text().splitlines(), start=1):
        result[f"epoch {number}"] = {name: value for name, value in json.loads(line).items() if name not in TIMES}
    return result


def all_files(out):
    """The sha256 of every file, by path."""
    files = [path for path in sorted(out.rglob("*")) if path.is_file()]
    return {str(path.relative_to(out)): hashlib.sha256(path.read_bytes()).hexdigest() for path in files}


def writes(out):
    """The files in `out` that are being written, or were when their process was killed."""
    return [*out.rglob(".*.tmp"), *out.glob(NEW)]


def write_images(folder, job):
    """Write the images of a job into the folder `images`."""
    train, val, size = job.images
    write_folder(folder / "images", train=train, val=val, size=size)


TRAIN = "train --data images --out {out} --variant mini --batch 16"
GO_ON = "train --resume {out}"
PREPARE = "prepare images {out} --size 128 --shard 32 --workers 2 --form"

JOBS = {
    # A checkpoint every 0.12 seconds, so that there is one after most steps.
    "training": Job(f"{TRAIN} --epochs 12 --save-minutes 0.002", parameters_and_losses, (48, 16, 40), GO_ON),
    # 17 MB in each checkpoint.
    "checkpoints": Job(
        f"{TRAIN} --epochs 6 --save-every 1 --input-size 64", parameters_and_losses, (48, 16, 72), GO_ON
    ),
    "prepare raw": Job(f"{PREPARE} raw", all_files, (1200, 200, 100)),
    "prepare jpeg": Job(f"{PREPARE} jpeg", all_files, (1200, 200, 100)),
}
