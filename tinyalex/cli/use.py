"""The commands that use a trained net: predict and eval."""

import time
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Annotated, Any, Literal

import numpy as np
from numpy.typing import NDArray

from tinyalex import viz
from tinyalex.backend import to_numpy
from tinyalex.cli.checkpoints import find_trained, first_names, read_trained
from tinyalex.cli.images import first_kernel, images_of
from tinyalex.cli.options import DATA, Argument, Command, Devices, Option
from tinyalex.cli.terminal import counting
from tinyalex.data import Dataset, prepare_image, read_image
from tinyalex.errors import CheckpointError
from tinyalex.files import legible, make_folder
from tinyalex.spec import stored_size
from tinyalex.training import report
from tinyalex.training.evaluate import augmenter_for, averaged, probabilities, scores
from tinyalex.training.settings import saved_settings
from tinyalex.weights.checkpoint import Checkpoint


@dataclass(frozen=True)
class Predict(Command):
    """Name what is in images: the five likeliest classes of each, printed and drawn."""

    example = "predict cat.jpg dog.png --checkpoint runs/cifar"
    images: Annotated[list[Path], Argument("image files", metavar="IMAGE")]
    checkpoint: Annotated[Path | None, Option("run or checkpoint (the newest in runs/, else the example)")] = None
    devices: Devices = None
    out: Annotated[Path, Option("folder for predictions.png")] = Path("predictions")

    def run(self) -> None:
        """Print the classes with their probabilities, and write the picture."""
        trained, message = find_trained(self.checkpoint)
        augmenter, size = augmenter_for(trained), stored_size(trained.net.input_size)
        pictures = [read_image(path, smallest=first_kernel(trained.net.spec)) for path in self.images]
        stored = np.stack([prepare_image(picture, size) for picture in pictures])
        trained.net.place(self.devices)
        p = to_numpy(trained.net.predict(augmenter.centre(stored)))
        print(message)
        for path, row in zip(self.images, p, strict=True):
            print(f"\n{path}\n{viz.bars(trained.classes, row)}")
        shown: list[NDArray[np.uint8]] = [np.asarray(picture) for picture in pictures]
        captions = [legible(path.name) for path in self.images]
        figure = viz.predictions(shown, None, p, trained.classes, captions=captions)
        print(f"\n{viz.save(figure, self.out / 'predictions.png')}")


@dataclass(frozen=True)
class Eval(Command):
    """Measure the errors of a trained net: top-1 and top-5, of one net or of the average of several."""

    example = "eval runs/cifar --views ten"
    runs: Annotated[list[Path], Argument("runs or checkpoints; the probabilities of several are averaged", "RUN")]
    data: Annotated[
        str | None, Option("validation images (those of the first run); DIR: a folder of class folders", metavar=DATA)
    ] = None
    views: Annotated[Literal["centre", "ten"], Option("centre crop, or ten crops averaged")] = "centre"
    devices: Devices = None
    batch: Annotated[int, Option("images at a time")] = 128
    out: Annotated[Path | None, Option("folder for report.json (RUN/eval)")] = None

    def run(self) -> None:
        """Print the errors on the validation images, and write them to report.json."""
        checkpoints = [read_trained(run) for run in self.runs]
        settings = saved_settings(checkpoints[0])
        folder = self.out or (self.runs[0] if self.runs[0].is_dir() else self.runs[0].parent) / "eval"
        source = self.data or settings.data
        began, several, labels = time.perf_counter(), [], np.empty(0, np.int64)
        for run, checkpoint in zip(self.runs, checkpoints, strict=True):
            val = images_of(replace(settings, data=source, input_size=checkpoint.net.input_size))[1]
            _check_classes(run, checkpoint, source, val)
            make_folder(folder)  # before anything takes long
            several.append(self._probabilities(run, checkpoint, val))
            labels = val.labels
        result, seconds = scores(averaged(several), labels), time.perf_counter() - began
        values = {
            "runs": [str(run) for run in self.runs],
            "variant": settings.variant,
            "data": source,
            "views": self.views,
            "top1_error": result.top1_error,
            "top5_error": result.top5_error,
            "loss": result.loss,
            "epochs": [len(checkpoint.training["history"]) for checkpoint in checkpoints],
            "images": len(labels),
            "images_per_s": len(labels) * len(self.runs) / seconds,
            "seconds": seconds,
        }
        path = report.write_report(folder, values)
        print(
            f"top-1 error {result.top1_error:.2%}, top-5 error {result.top5_error:.2%} on {len(labels):,} images "
            f"({self.views} crop{'s' if self.views == 'ten' else ''}, "
            f"{len(self.runs)} net{'s' if len(self.runs) > 1 else ''}); {path}"
        )

    def _probabilities(self, run: Path, checkpoint: Checkpoint, val: Dataset) -> NDArray[Any]:
        """What the net of a run predicts for the validation images: probabilities (images, classes)."""
        with counting(len(val), f"evaluating {run}") as progress:
            augmenter = augmenter_for(checkpoint)
            checkpoint.net.place(self.devices)
            return probabilities(checkpoint.net, val, augmenter, views=self.views, batch=self.batch, progress=progress)


def _check_classes(run: Path, checkpoint: Checkpoint, source: str, val: Dataset) -> None:
    """Raise CheckpointError where the images are of other classes than the run was trained on."""
    if tuple(val.classes) != checkpoint.classes:
        raise CheckpointError(
            f"got the classes {first_names(val.classes)} in {source}: expected {first_names(checkpoint.classes)}, "
            f"as {run} was trained on; use other --data"
        )
