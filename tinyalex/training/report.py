"""The report of a run: report.json, and the pictures of section 6 (figures 3 and 4, curves, confusions)."""

import json
import platform
from contextlib import suppress
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tinyalex import viz
from tinyalex.backend import to_numpy
from tinyalex.data import Augmenter, Dataset
from tinyalex.files import write_text
from tinyalex.training.evaluate import augmenter_for, outputs, probabilities
from tinyalex.weights.checkpoint import Checkpoint

SEARCHED = 2000  # training images that the nearest neighbours are searched among
QUERIES = 5  # rows of figure 4, right
SHOWN = 8  # images of figure 4, left


def versions() -> dict[str, str]:
    """The versions of Python, tinyalex and the libraries it uses, those that are installed, by name."""
    found = {"python": platform.python_version()}
    for package in ("tinyalex", "numpy", "numba", "cupy-cuda12x", "cupy-cuda13x", "pillow", "matplotlib"):
        with suppress(PackageNotFoundError):
            found[package] = version(package)
    return found


def write_report(folder: Path, values: dict[str, Any]) -> Path:
    """Write `values` and the versions to report.json in `folder` -> its path."""
    path = folder / "report.json"
    write_text(path, json.dumps(values | {"versions": versions()}, indent=2) + "\n")
    return path


def draw_pictures(
    folder: Path, checkpoint: Checkpoint, train: Dataset, val: Dataset, history: list[dict[str, Any]], seed: int = 0
) -> list[Path]:
    """Write five pictures of a trained net into `folder` -> their paths.

    history: the records of the run's epochs.   seed: of the choice of images to show.
    """
    rng = np.random.default_rng(seed)
    net, augmenter = checkpoint.net, augmenter_for(checkpoint)
    p = probabilities(net, val, augmenter)
    shown = rng.choice(len(val), min(SHOWN, len(val)), replace=False)
    counts = viz.confusion_matrix(val.labels, p.argmax(axis=1), len(val.classes))
    figures = {
        "curves.png": viz.learning_curves(history),
        "kernels.png": viz.kernels(to_numpy(net.params["conv1.w"]), net.spec.columns),
        "predictions.png": viz.predictions(
            [val.picture(int(i)) for i in shown], val.labels[shown], p[shown], val.classes
        ),
        "neighbours.png": _neighbours(checkpoint, augmenter, train, val, rng),
        "confusion.png": viz.confusion(counts, val.classes),
    }
    return [viz.save(figure, folder / name) for name, figure in figures.items()]


def _neighbours(
    checkpoint: Checkpoint, augmenter: Augmenter, train: Dataset, val: Dataset, rng: np.random.Generator
) -> Any:
    """Figure 4, right: validation images of different classes, each with the training images of nearest features."""
    classes = rng.permutation(np.unique(val.labels))[:QUERIES]
    queries = np.array([rng.choice(np.flatnonzero(val.labels == label)) for label in classes])
    searched = rng.choice(len(train), min(SEARCHED, len(train)), replace=False)
    found = viz.nearest(
        features(checkpoint, augmenter, val, queries),
        features(checkpoint, augmenter, train, searched),
        k=min(6, len(searched)),
    )
    return viz.neighbours(
        [val.picture(int(i)) for i in queries],
        [[train.picture(int(i)) for i in searched[row]] for row in found],
        [val.classes[i] for i in val.labels[queries]],
        [[train.classes[i] for i in train.labels[searched[row]]] for row in found],
    )


def features(
    checkpoint: Checkpoint, augmenter: Augmenter, dataset: Dataset, indices: NDArray[np.int64], batch: int = 128
) -> NDArray[Any]:
    """The output of the last hidden layer for the central crops of the images `indices` (n,) -> (n, D)."""
    parts = [indices[i : i + batch] for i in range(0, len(indices), batch)]
    return np.concatenate([outputs(checkpoint.net, augmenter, dataset.read(part)) for part in parts])
