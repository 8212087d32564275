"""The commands that use a trained net: predict, features and eval."""

import time
from collections.abc import Iterator
from contextlib import closing
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
from tinyalex.cli.terminal import complain, counting
from tinyalex.data import Dataset
from tinyalex.data.photos import Photo, image_files, in_batches, photos
from tinyalex.errors import CheckpointError
from tinyalex.files import legible, make_folder
from tinyalex.training import report
from tinyalex.training.evaluate import augmenter_for, averaged, check_finite, probabilities, scores
from tinyalex.training.features import FeatureFile
from tinyalex.training.settings import saved_settings
from tinyalex.weights.checkpoint import Checkpoint

DRAWN = 20  # photographs in predictions.png
BATCH = 32  # photographs of a forward pass

Images = Annotated[list[Path], Argument("image files, and folders of them", metavar="IMAGE")]
CheckpointPath = Annotated[Path | None, Option("run or checkpoint (the newest in runs/, else the example)")]


@dataclass(frozen=True)
class Predict(Command):
    """Name what is in images: the five likeliest classes of each, printed and drawn."""

    example = "predict cat.jpg photos --checkpoint runs/cifar"
    images: Images
    checkpoint: CheckpointPath = None
    devices: Devices = None
    out: Annotated[Path, Option(f"folder for predictions.png, which shows the first {DRAWN} images")] = Path(
        "predictions"
    )

    def run(self) -> int:
        """Print the classes with their probabilities as they come, and write the picture."""
        trained, message = find_trained(self.checkpoint)
        total = sum(1 for _ in image_files(self.images))
        augmenter_for(trained)  # raises for a net that cannot be used
        trained.net.place(self.devices)
        print(message, flush=True)
        drawn: list[tuple[Photo, NDArray[Any]]] = []
        bad = 0
        for photo, p in self._predicted(trained):
            if p is None:
                bad += 1
                complain(photo.error)
                continue
            if not drawn:
                make_folder(self.out)  # before anything takes long
            if photo.picture is not None:
                drawn.append((photo, p))
            print(f"\n{legible(str(photo.path))}\n{viz.bars(trained.classes, p)}", flush=True)
        if drawn:
            self._draw(drawn, trained.classes, total)
        return _exit_code(bad, total)

    def _predicted(self, trained: Checkpoint) -> Iterator[tuple[Photo, NDArray[Any] | None]]:
        """Each photograph with the probabilities of the classes, or with None if it could not be read."""
        net, augmenter = trained.net, augmenter_for(trained)
        size, smallest = len(augmenter.mean), first_kernel(net.spec)
        with closing(photos(image_files(self.images), size, smallest=smallest, pictures=DRAWN)) as stream:
            for batch in in_batches(stream, BATCH):
                stored = [photo.stored for photo in batch if photo.stored is not None]
                rows: Iterator[NDArray[Any]] = iter(())
                if stored:
                    p = to_numpy(net.predict(augmenter.centre(np.stack(stored))))
                    check_finite(p)
                    rows = iter(p)
                for photo in batch:
                    yield photo, None if photo.stored is None else next(rows)

    def _draw(self, drawn: list[tuple[Photo, NDArray[Any]]], classes: tuple[str, ...], total: int) -> None:
        """Write the picture, and print where it is."""
        pictures = [photo.picture for photo, _ in drawn if photo.picture is not None]
        captions = [legible(photo.path.name) for photo, _ in drawn]
        figure = viz.predictions(pictures, None, [p for _, p in drawn], classes, captions=captions)
        path = viz.save(figure, self.out / "predictions.png")
        print(f"\n{path}{f': the first {DRAWN} of {total:,} images' if total > DRAWN else ''}")


@dataclass(frozen=True)
class Features(Command):
    """Write the features of images to a file: the output of one of a net's layers for each.

    After a kill the same command goes on where it was.
    """

    example = "features photos --checkpoint runs/cifar --out photos.npz"
    when_stopped = "; the same command goes on"
    images: Images
    out: Annotated[Path, Option("file to write: features (N, D), files, layer, made_by", metavar="FILE.npz")] = Path(
        "features.npz"
    )
    layer: Annotated[str | None, Option("the layer (the last hidden one, after its ReLU)", metavar="NAME")] = None
    checkpoint: CheckpointPath = None
    devices: Devices = None

    def run(self) -> int:
        """Write the file; print how many images are in it."""
        trained, message = find_trained(self.checkpoint)
        total = sum(1 for _ in image_files(self.images))
        trained.net.place(self.devices)
        smallest = first_kernel(trained.net.spec)
        file = FeatureFile(trained, self.layer, self.out, smallest=smallest, source=message)
        print(message, flush=True)
        bad = 0
        with counting(total, "reading features") as progress:

            def done(images: int, rejected: list[str]) -> None:
                nonlocal bad
                bad += len(rejected)
                for reason in rejected:
                    complain(reason)
                progress(images)

            file.write(image_files(self.images), done)
        if total > bad:
            print(f"{self.out}: {file.layer} of {total - bad:,} images")
        return _exit_code(bad, total)


def _exit_code(bad: int, total: int) -> int:
    """The exit code of a command on `total` images; of several it tells how many were bad."""
    if bad and total > 1:
        complain(f"{bad:,} of {total:,} images could not be read")
    return 2 if bad else 0


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
            p = probabilities(checkpoint.net, val, augmenter, views=self.views, batch=self.batch, progress=progress)
        check_finite(p)
        return p


def _check_classes(run: Path, checkpoint: Checkpoint, source: str, val: Dataset) -> None:
    """Raise CheckpointError where the images are of other classes than the run was trained on."""
    if tuple(val.classes) != checkpoint.classes:
        raise CheckpointError(
            f"got the classes {first_names(val.classes)} in {source}: expected {first_names(checkpoint.classes)}, "
            f"as {run} was trained on; use other --data"
        )
