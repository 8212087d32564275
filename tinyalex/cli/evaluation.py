"""The command that measures a trained net: eval."""

import time
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Annotated, Any

import numpy as np
from numpy.typing import NDArray

from tinyalex.cli.checkpoints import FileOptions, first_names, read_trained
from tinyalex.cli.images import first_kernel
from tinyalex.cli.options import DATA, Argument, Devices, Option, Views
from tinyalex.cli.terminal import counting
from tinyalex.data import Dataset, FolderDataset, open_data
from tinyalex.errors import CheckpointError, UsageError
from tinyalex.files import make_folder
from tinyalex.training import report
from tinyalex.training.evaluate import (
    augmenter_for,
    averaged,
    check_finite,
    preparation_for,
    probabilities,
    scores,
)
from tinyalex.training.saves import holds_run
from tinyalex.training.settings import saved_settings
from tinyalex.weights.checkpoint import Checkpoint
from tinyalex.weights.names import imagenet_classes


@dataclass(frozen=True)
class Eval(FileOptions):
    """Measure the errors of a trained net: top-1 and top-5, of one net or of the average of several."""

    example = "eval runs/cifar --views ten"
    runs: Annotated[
        list[Path],
        Argument(
            "runs, files of any program, or names of tinyalex weights; of several the probabilities are averaged", "RUN"
        ),
    ]
    data: Annotated[
        str | None,
        Option("validation images (those of the first run); DIR: a folder of class folders, or a prepared set", DATA),
    ] = None
    views: Views = "centre"
    devices: Devices = None
    batch: Annotated[int, Option("images at a time")] = 128
    out: Annotated[Path | None, Option("folder for report.json (RUN/eval; of another program's file eval/NAME)")] = None

    def run(self) -> None:
        """Print the errors on the validation images, and write them to report.json."""
        given = self.given()
        checkpoints = [read_trained(run, given) for run in self.runs]
        source = self.data or _data_of(self.runs[0], checkpoints[0])
        folder = self.out or _default_folder(self.runs[0], checkpoints[0])
        began = time.perf_counter()
        several: list[NDArray[Any]] = []
        labels: list[NDArray[np.int64]] = []
        for run, checkpoint in zip(self.runs, checkpoints, strict=True):
            val = _validation(source, checkpoint)
            labels.append(labels_in(run, checkpoint, source, val))
            make_folder(folder)  # before anything takes long
            several.append(self._probabilities(run, checkpoint, val))
        if any((one != labels[0]).any() for one in labels):
            raise UsageError("got nets that number the classes in different orders: expected the same order in each")
        result, seconds = scores(averaged(several), labels[0]), time.perf_counter() - began
        count = len(labels[0])
        values = {
            "runs": [str(run) for run in self.runs],
            "variant": checkpoints[0].net.spec.name,
            "data": source,
            "views": self.views,
            **asdict(result),
            "classes": checkpoints[0].net.num_classes,
            "preparation": asdict(preparation_for(checkpoints[0])),
            "epochs": [
                len(checkpoint.training["history"]) if checkpoint.training else None for checkpoint in checkpoints
            ],
            "images": count,
            "images_per_s": count * len(self.runs) / seconds,
            "seconds": seconds,
        }
        path = report.write_report(folder, values)
        print(
            f"top-1 error {result.top1_error:.2%}, top-5 error {result.top5_error:.2%} on {count:,} images "
            f"({self.views} crop{'s' if self.views == 'ten' else ''}, "
            f"{len(self.runs)} net{'s' if len(self.runs) > 1 else ''}); {path}"
        )

    def _probabilities(self, run: Path, checkpoint: Checkpoint, val: Dataset) -> NDArray[Any]:
        """What the net of a run predicts for the validation images: probabilities (images, classes)."""
        with counting(len(val), f"evaluating {run}") as progress:
            augmenter = augmenter_for(checkpoint)
            checkpoint.net.place(self.devices)
            p = probabilities(checkpoint.net, val, augmenter, views=self.views, batch=self.batch, progress=progress)
        check_finite(p)
        return p


def _data_of(run: Path, checkpoint: Checkpoint) -> str:
    """The data that a net was trained on. Raises UsageError for one that does not say it."""
    if not checkpoint.training:
        raise UsageError(f"got {run}, which does not say what it was trained on: expected --data {DATA}")
    return saved_settings(checkpoint).data


def _default_folder(run: Path, checkpoint: Checkpoint) -> Path:
    """Where a report goes: beside a run; for the files of others into the working folder."""
    if run.is_dir():
        return run / "eval"
    return run.parent / "eval" if checkpoint.training or holds_run(run.parent) else Path("eval", run.name)


def _validation(source: str, checkpoint: Checkpoint) -> Dataset:
    """The validation images, as the net reads them."""
    preparation, smallest = preparation_for(checkpoint), first_kernel(checkpoint.net.spec)
    return open_data(source, size=preparation.size, smallest=smallest, preparation=preparation)[1]


def labels_in(run: Path, checkpoint: Checkpoint, source: str, val: Dataset) -> NDArray[np.int64]:
    """The labels of the images, as the net numbers its classes: it may have more than the images.

    A class is known by its name, or by its folder, where that is a WordNet id of ImageNet. A net without names has the
    classes of the images.
    Raises CheckpointError for classes that the net does not have.
    """
    names = checkpoint.classes
    if not names and len(val.classes) == checkpoint.net.num_classes:
        return val.labels
    of_wnid = {one.wnid: one.name for one in imagenet_classes()}
    folders = val.class_folders() if isinstance(val, FolderDataset) else val.classes
    numbers = {name: number for number, name in enumerate(names)}
    found = [
        numbers.get(name, numbers.get(of_wnid.get(folder, ""), -1))
        for name, folder in zip(val.classes, folders, strict=True)
    ]
    if -1 in found:
        expected = first_names(names) if names else f"{checkpoint.net.num_classes}"
        raise CheckpointError(
            f"got the classes {first_names(val.classes)} in {source}: expected {expected}, as {run} was trained on; "
            "use other --data"
        )
    return np.array(found)[val.labels]
