"""The history of a run: one record for each epoch, as JSON lines in the run's folder."""

import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from tinyalex.files import write_text
from tinyalex.parallel.ranks import Ranks
from tinyalex.training.position import Position

HISTORY = "history.jsonl"
Record = dict[str, Any]


def epoch_record(position: Position, lr: float, ranks: Ranks) -> Record:
    """The record of an epoch whose steps are all done; errors are fractions of the images, losses are in nats.

    input_share: the share of the time in which this rank waited for its images.
    """
    record: Record = {
        "epoch": position.epoch + 1,
        "train_loss": position.loss / position.images,
        "train_top1_error": position.wrong / position.images,
        "lr": lr,
        "images_per_s": position.images / position.seconds,
        "seconds": position.seconds,
        "input_share": position.waited / position.seconds,
    }
    if ranks.size > 1:
        record |= {"ranks": ranks.size, "waiting_share": ranks.waited / position.seconds}
    return record


def validation_errors(history: Iterable[Record]) -> list[float]:
    """The top-1 validation errors of the epochs that were validated, in order."""
    return [record["val_top1_error"] for record in history if "val_top1_error" in record]


def write_history(history: Iterable[Record], folder: Path) -> None:
    """Write the records to history.jsonl in `folder`, one JSON object a line; replaces the file in one piece."""
    write_text(folder / HISTORY, "".join(json.dumps(record) + "\n" for record in history))
