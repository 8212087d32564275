"""The history of a run: one record for each epoch, as JSON lines in the run's folder."""

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tinyalex.errors import UsageError
from tinyalex.files import write_text
from tinyalex.parallel.ranks import Ranks
from tinyalex.training.position import Position
from tinyalex.typed import typed

HISTORY = "history.jsonl"
Record = dict[str, Any]


@dataclass(frozen=True)
class EpochRecord:
    """What a record may hold; those of older versions hold less.

    Errors are fractions of the images, losses are in nats.
    input_share: the share of the time in which rank 0 waited for its images.
    waiting_share: that in which it waited for other ranks.
    dead_units: the share of units that gave 0 for each of the last images, by ReLU.
    warnings: what went wrong, by where: "loss", or the name of a layer.
    """

    epoch: int
    train_loss: float
    train_top1_error: float
    lr: float
    images_per_s: float
    seconds: float
    input_share: float = 0.0
    ranks: int = 1
    waiting_share: float = 0.0
    val_loss: float | None = None
    val_top1_error: float | None = None
    val_top5_error: float | None = None
    validation_seconds: float | None = None
    dead_units: dict[str, float] | None = None
    warnings: dict[str, str] | None = None

    def __post_init__(self) -> None:
        if self.seconds <= 0:
            raise UsageError(f"got an epoch of {self.seconds} seconds: expected more than 0")


def epoch_record(position: Position, ranks: Ranks) -> Record:
    """The record of an epoch whose steps are all done, as in EpochRecord; without validation."""
    record: Record = {
        "epoch": position.epoch + 1,
        "train_loss": position.loss / position.images,
        "train_top1_error": position.wrong / position.images,
        "lr": position.lr,
        "images_per_s": position.images / position.seconds,
        "seconds": position.seconds,
        "input_share": position.waited / position.seconds,
    }
    if ranks.size > 1:
        record |= {"ranks": ranks.size, "waiting_share": ranks.waited / position.seconds}
    return record


def check_history(history: Sequence[Record]) -> None:
    """Raise UsageError unless `history` has a record for each of the epochs 1, 2, ..."""
    for number, record in enumerate(history):
        read = typed(EpochRecord, record, f"history[{number}]")
        if read.epoch != number + 1:
            raise UsageError(f"got epoch {read.epoch} in history[{number}]: expected {number + 1}")


def validation_errors(history: Iterable[Record]) -> list[float]:
    """The top-1 validation errors of the epochs that were validated, in order."""
    return [record["val_top1_error"] for record in history if "val_top1_error" in record]


def write_history(history: Iterable[Record], folder: Path) -> None:
    """Write the records to history.jsonl in `folder`, one JSON object a line; replaces the file in one piece."""
    write_text(folder / HISTORY, "".join(json.dumps(record, allow_nan=False) + "\n" for record in history))
