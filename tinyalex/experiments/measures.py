"""What is measured of finished runs: a value for each image where that is possible, so that arms compare by image.

Axes: S seeds, N validation images, Q query images, OC kernels of the first layer.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from tinyalex import viz
from tinyalex.backend import to_numpy
from tinyalex.data import Dataset, subset
from tinyalex.experiments.store import RunRecord, Values
from tinyalex.experiments.trial import Trial
from tinyalex.training.evaluate import augmenter_for, averaged, probabilities
from tinyalex.training.report import features
from tinyalex.weights.checkpoint import Checkpoint, read

SEEN = 4000  # training images that the training error is measured on
SPLITS = 1000  # of the kernels by chance
SEARCHED, QUERIES, NEAREST = 5000, 300, 6  # of the neighbours: training images, validation images; figure 4 shows six


@dataclass(frozen=True)
class Finished:
    """A finished run of a trial, and the images of the experiments.

    net: the file of its net; there is none if it diverged.
    """

    record: RunRecord
    trial: Trial
    net: Path
    train: Dataset
    val: Dataset

    def checkpoint(self) -> Checkpoint:
        """The net as it was at the end, on the devices of the trial."""
        checkpoint = read(self.net)
        checkpoint.net.place(self.trial.settings.devices)
        return checkpoint


@dataclass(frozen=True)
class Measure:
    """Something that is measured of the runs of an arm.

    make: from finished runs to an array, which is stored.   together: it takes the runs of several seeds, not of one.
    read: from the stored array to the values that are compared, (N,): one for each image, or a single one.
    ratio: values are compared by their ratio; else by their difference, in percentage points.
    """

    name: str
    make: Callable[[Sequence[Finished]], Values]
    together: bool = False
    read: Callable[[Values], NDArray[np.float64]] = lambda values: values.astype(np.float64)
    ratio: bool = False


# ---------------------------------------------------------------- errors: 1 for each image that is misclassified


def _wrong(runs: Sequence[Finished], views: str = "centre", seen: bool = False) -> Values:
    """Which images the mean of the nets' probabilities misclassifies -> (N,) uint8; all, for a run that diverged."""
    images = subset(runs[0].train, min(SEEN, len(runs[0].train))) if seen else runs[0].val
    if any(run.record.diverged for run in runs):
        return np.ones(len(images), np.uint8)
    nets = [run.checkpoint() for run in runs]
    p = averaged([probabilities(one.net, images, augmenter_for(one), views=views) for one in nets])
    wrong: Values = (p.argmax(axis=1) != images.labels).astype(np.uint8)
    return wrong


ERROR = Measure("top-1 error", _wrong)
TEN_CROPS = Measure("top-1 error of ten crops", lambda runs: _wrong(runs, "ten"))
TRAIN_ERROR = Measure("training error", lambda runs: _wrong(runs, seen=True))
AVERAGED = Measure("top-1 error of the nets averaged", _wrong, together=True)


# ---------------------------------------------------------------- epochs to a goal (figure 1)


def _epochs(runs: Sequence[Finished]) -> Values:
    """After how many epochs the training error fell to the goal, between two epochs by a straight line -> (1,).

    For a run that never came so far, or diverged, all epochs of its trial: at least so many.
    """
    (run,) = runs
    errors, goal = run.record.train_errors, run.trial.goal
    if goal is None or run.record.diverged or errors[-1] > goal:
        return np.array([run.trial.settings.epochs], float)
    if len(errors) == 1:
        return np.ones(1)
    before, last = errors[-2:]
    return np.array([len(errors) - 1 + (before - goal) / (before - last)])


EPOCHS = Measure("epochs to the goal", _epochs, ratio=True)


# ---------------------------------------------------------------- neighbours (figure 4)


def _of_another_class(runs: Sequence[Finished], pixels: bool) -> Values:
    """How many of the nearest training images are of another class than each query -> (Q,) uint8, up to NEAREST."""
    run, rng = runs[0], np.random.default_rng(0)
    queries = rng.permutation(len(run.val))[:QUERIES]
    searched = rng.permutation(len(run.train))[:SEARCHED]
    nearest = min(NEAREST, len(searched))
    if run.record.diverged and not pixels:
        return np.full(len(queries), NEAREST, np.uint8)
    if pixels:
        of_val, of_train = (
            images.read(which).reshape(len(which), -1).astype(np.float32)
            for images, which in ((run.val, queries), (run.train, searched))
        )
    else:
        trained = run.checkpoint()
        augmenter = augmenter_for(trained)
        of_val = features(trained, augmenter, run.val, queries)
        of_train = features(trained, augmenter, run.train, searched)
    found = viz.nearest(of_val, of_train, nearest)
    other: Values = (run.train.labels[searched[found]] != run.val.labels[queries][:, None]).sum(axis=1)
    return other.astype(np.uint8)


def _share(counts: Values) -> NDArray[np.float64]:
    return counts / NEAREST


BY_FEATURES = Measure("neighbours of another class", lambda runs: _of_another_class(runs, False), read=_share)
BY_PIXELS = Measure(
    "neighbours of another class, by pixels", lambda runs: _of_another_class(runs, True), together=True, read=_share
)


# ---------------------------------------------------------------- kernels (figure 3)


def _kernels(runs: Sequence[Finished]) -> Values:
    """The kernels of the first layer -> (OC, 3, KH, KW) float16; a single grey one for a run that diverged."""
    (run,) = runs
    if run.record.diverged:
        return np.ones((2, 3, 1, 1), np.float16)
    w: Values = to_numpy(run.checkpoint().net.params["conv1.w"])
    return w.astype(np.float16)


def colourfulness(w: Values) -> NDArray[np.float64]:
    """The share of each kernel that is colour: w (OC, 3, KH, KW) -> (OC,), 0 for grey kernels, 1 for pure colour.

    1 - sum of the squares of the kernel's grey part / sum of its own; the grey part has the mean of red, green and
    blue in each of the three.
    """
    kernels = w.astype(np.float64)
    grey = 3 * (kernels.mean(axis=1) ** 2).sum(axis=(1, 2))
    share: NDArray[np.float64] = 1 - grey / np.maximum((kernels**2).sum(axis=(1, 2, 3)), np.finfo(float).tiny)
    return share


def gap(w: Values) -> NDArray[np.float64]:
    """How far the mean colourfulness of the first half of the kernels is from that of the other half -> (1,)."""
    return _gaps(colourfulness(w)[None])


def gap_by_chance(w: Values) -> NDArray[np.float64]:
    """The mean gap where the same kernels are split into halves by chance, SPLITS times -> (1,)."""
    shuffled = np.random.default_rng(0).permuted(np.tile(colourfulness(w), (SPLITS, 1)), axis=1)
    return np.array([_gaps(shuffled).mean()])


def _gaps(share: NDArray[np.float64]) -> NDArray[np.float64]:
    """The distance of the means of the two halves of each row: (n, OC) -> (n,)."""
    half = share.shape[1] // 2
    apart: NDArray[np.float64] = np.abs(share[:, :half].mean(axis=1) - share[:, half:].mean(axis=1))
    return apart


COLOUR_GAP = Measure("gap in colourfulness", _kernels, read=gap)
CHANCE_GAP = Measure("gap in colourfulness, by chance", lambda runs: gap_by_chance(_kernels(runs)))
