"""The commands that use a trained net: eval, predict and step."""

import time
from dataclasses import replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from tinyalex import viz
from tinyalex.backend import to_numpy
from tinyalex.cli.images import first_kernel, images_of
from tinyalex.cli.terminal import counting
from tinyalex.cli.training import RUNS
from tinyalex.data import prepare_image, read_image
from tinyalex.errors import CheckpointError, UsageError
from tinyalex.files import legible, make_folder
from tinyalex.spec import stored_size
from tinyalex.step import record, to_html
from tinyalex.training import report
from tinyalex.training.evaluate import augmenter_for, averaged, probabilities, scores
from tinyalex.training.loop import CHECKPOINT
from tinyalex.training.settings import saved_settings
from tinyalex.weights.checkpoint import Checkpoint, read
from tinyalex.weights.example import load_example


def eval_(
    runs: list[Path], data: str | None, views: str, batch: int, out: Path | None, devices: tuple[str, ...] | None
) -> None:
    """Print and write the errors of one net, or of the average of several, on validation images."""
    checkpoints = [_checkpoint(run) for run in runs]
    settings = saved_settings(checkpoints[0])
    folder = out or (runs[0] if runs[0].is_dir() else runs[0].parent) / "eval"
    source = data or settings.data
    began, several, labels = time.perf_counter(), [], np.empty(0, np.int64)
    for run, checkpoint in zip(runs, checkpoints, strict=True):
        val = images_of(replace(settings, data=source, input_size=checkpoint.net.input_size))[1]
        if tuple(val.classes) != checkpoint.classes:
            raise CheckpointError(
                f"{run} knows the classes {_few(checkpoint.classes)}, {source} has {_few(val.classes)}: use other data"
            )
        make_folder(folder)  # before anything takes long
        with counting(len(val), f"evaluating {run}") as progress:
            augmenter = augmenter_for(checkpoint)
            checkpoint.net.place(devices)
            p = probabilities(checkpoint.net, val, augmenter, views=views, batch=batch, progress=progress)
        several.append(p)
        labels = val.labels
    result, seconds = scores(averaged(several), labels), time.perf_counter() - began
    values = {
        "runs": [str(run) for run in runs],
        "variant": settings.variant,
        "data": source,
        "views": views,
        "top1_error": result.top1_error,
        "top5_error": result.top5_error,
        "loss": result.loss,
        "epochs": [len(checkpoint.training["history"]) for checkpoint in checkpoints],
        "images": len(labels),
        "images_per_s": len(labels) * len(runs) / seconds,
        "seconds": seconds,
    }
    path = report.write_report(folder, values)
    print(
        f"top-1 error {result.top1_error:.2%}, top-5 error {result.top5_error:.2%} on {len(labels):,} images "
        f"({views} crop{'s' if views == 'ten' else ''}, {len(runs)} net{'s' if len(runs) > 1 else ''}); {path}"
    )


def predict(images: list[Path], checkpoint: Path | None, out: Path, devices: tuple[str, ...] | None) -> None:
    """Print the five likeliest classes of each image, and draw them."""
    trained, told = _chosen(checkpoint)
    augmenter, size = augmenter_for(trained), stored_size(trained.net.input_size)
    pictures = [read_image(path, smallest=first_kernel(trained.net.spec)) for path in images]
    stored = np.stack([prepare_image(picture, size) for picture in pictures])
    trained.net.place(devices)
    p = to_numpy(trained.net.predict(augmenter.centre(stored)))
    print(told)
    for path, row in zip(images, p, strict=True):
        print(f"\n{path}\n{viz.bars(trained.classes, row)}")
    shown: list[NDArray[np.uint8]] = [np.asarray(picture) for picture in pictures]
    figure = viz.predictions(shown, None, p, trained.classes, captions=[legible(path.name) for path in images])
    print(f"\n{viz.save(figure, out / 'predictions.png')}")


def step(image: Path, checkpoint: Path | None, label: str | None, out: Path) -> None:
    """Write a recorded pass of one image as a page to step through."""
    trained, told = _chosen(checkpoint)
    net, augmenter = trained.net, augmenter_for(trained)
    size = stored_size(net.input_size)
    stored = prepare_image(read_image(image, smallest=first_kernel(net.spec)), size)
    x = augmenter.centre(stored[None])
    likeliest = int(net.predict(x)[0].argmax())
    truth = likeliest if label is None else _class(trained.classes, label)
    edge = (size - net.input_size) // 2
    crop = stored[edge : edge + net.input_size, edge : edge + net.input_size]
    written = to_html(record(net, x, [truth], classes=trained.classes, pictures=[crop]), out)
    print(f"{told}\n{image}: the net says {trained.classes[likeliest]!r}")
    if label is None:
        print("the loss takes that for the truth: --label names another class")
    print(written)


def _class(classes: tuple[str, ...], name: str) -> int:
    """The number of the class of that name."""
    if name not in classes:
        raise UsageError(f"no class is called {name!r}: expected one of {_few(classes)}")
    return classes.index(name)


def _checkpoint(path: Path) -> Checkpoint:
    """The checkpoint of a run's folder, or in a file. Raises CheckpointError for a net that can tell nothing."""
    checkpoint = read(path / CHECKPOINT if path.is_dir() else path)
    for name, w in checkpoint.net.params.items():
        if not np.isfinite(w).all():
            raise CheckpointError(f"{path}: {name} is not finite, so the net can tell nothing: use another checkpoint")
    return checkpoint


def _chosen(path: Path | None) -> tuple[Checkpoint, str]:
    """The net to use, and how that is told: the named one, else the newest in runs/, else the package's example."""
    runs = sorted(RUNS.glob(f"*/{CHECKPOINT}"), key=lambda run: run.stat().st_mtime)
    if path is None and not runs:
        return (
            load_example(),
            f"the example net, of shapes, as {RUNS}/ holds no run; --checkpoint names another",
        )
    path = path or runs[-1].parent
    return _checkpoint(path), f"checkpoint {path}"


def _few(names: tuple[str, ...]) -> str:
    return ", ".join(names[:3]) + (f", ... ({len(names)})" if len(names) > 3 else "")
