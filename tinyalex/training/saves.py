"""The checkpoints in the folder of a run: which files there are, when they are written, which one is read.

    checkpoint.npz            the newest
    checkpoint-previous.npz   the one before it, for the day when a disk damages the newest
    checkpoint-best.npz       that of the lowest validation error (top-1)

A checkpoint is written during an epoch when the last one is older than `save_minutes`. At the end of an epoch it is
written unless writing takes more than 5 % of the time since the last one; always if its validation error is the lowest
so far, and always at the end of the run.
"""

import os
import shutil
import time
from collections.abc import Callable
from pathlib import Path

from tinyalex.errors import CheckpointError, UsageError
from tinyalex.files import flush_folder, remove_leftovers, replacing
from tinyalex.parallel.ranks import Ranks
from tinyalex.weights.checkpoint import Checkpoint, read, write

CHECKPOINT = "checkpoint.npz"
PREVIOUS = "checkpoint-previous.npz"
BEST = "checkpoint-best.npz"
NEW = "checkpoint-new.npz"  # while it is written
DAMAGED = "checkpoint-damaged.npz"  # what was checkpoint.npz, and could not be read
WRITING_SHARE = 0.05  # of the time, at the ends of epochs


class Saves:
    """Writes the checkpoints of the run in `folder`, and knows when the next one is due.   minutes: `save_minutes`."""

    def __init__(self, folder: Path, minutes: float) -> None:
        self._folder, self._interval = folder, 60 * minutes
        self._last, self._took = time.monotonic(), 0.0  # seconds

    def due(self) -> bool:
        """Whether the last checkpoint is older than `save_minutes`."""
        return time.monotonic() - self._last >= self._interval

    def cheap(self) -> bool:
        """Whether writing takes a small share of the time since the last checkpoint."""
        return self._took <= WRITING_SHARE * (time.monotonic() - self._last)

    def write(self, checkpoint: Checkpoint, *, best: bool = False) -> None:
        """Write the newest checkpoint, which is also the best one if `best`. At no moment is there none."""
        began = time.monotonic()
        new, newest = self._folder / NEW, self._folder / CHECKPOINT
        write(checkpoint, new)
        if best:
            _name_too(new, self._folder / BEST)
        if newest.exists():
            _name_too(newest, self._folder / PREVIOUS)
        new.replace(newest)
        flush_folder(self._folder)
        self._last = time.monotonic()
        self._took = self._last - began


def holds_run(folder: Path) -> bool:
    """Whether a training run has written its checkpoint into `folder`."""
    return any((folder / name).is_file() for name in (CHECKPOINT, PREVIOUS))


def check_new(folder: Path, ranks: Ranks) -> None:
    """Raise UsageError, on all ranks, if the folder holds a run."""
    if ranks.agree(holds_run(folder)):
        raise UsageError(f"got {folder}, which holds a run: expected a new folder; use --resume, or another --out")


def read_newest(folder: Path, tell: Callable[[str], object]) -> tuple[Checkpoint, Path]:
    """The newest checkpoint of the run in `folder` that can be read, and its path.

    tell: called with a line if that is not checkpoint.npz.
    Raises CheckpointError if none can be read.
    """
    errors: list[CheckpointError] = []
    for name in (CHECKPOINT, PREVIOUS, BEST):
        path = folder / name
        if errors and not path.is_file():
            continue
        try:
            found = read(path)
        except CheckpointError as error:
            errors.append(error)
            continue
        if errors:
            tell(f"{errors[0]}: {path} is used instead, which is older")
        return found, path
    raise errors[0]


def clean(folder: Path, used: Path | None = None) -> None:
    """Make a run's folder ready to go on: remove what killed processes have left there.

    used: the checkpoint that the run goes on from. If it is not the newest, it takes the newest one's place, as only
    whole checkpoints may become the previous one; the damaged file gets another name.
    """
    remove_leftovers(folder)
    (folder / NEW).unlink(missing_ok=True)
    newest = folder / CHECKPOINT
    if used is not None and used != newest:
        if newest.exists():
            _name_too(newest, folder / DAMAGED)
        _name_too(used, newest)


def _name_too(path: Path, name: Path) -> None:
    """Let `name` be the same file as `path`, in one step; on a disk without hard links a copy of it."""
    temporary = name.with_name(f".{name.name}.tmp")
    temporary.unlink(missing_ok=True)
    try:
        os.link(path, temporary)
    except OSError:
        with replacing(name) as copy, path.open("rb") as file:
            shutil.copyfileobj(file, copy)
        return
    temporary.replace(name)
    temporary.unlink(missing_ok=True)  # a rename between two names of one file does nothing
