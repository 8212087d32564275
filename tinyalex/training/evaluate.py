"""How good a net is: top-1 and top-5 error, on the centre or ten crops, of one net or several (sections 4.1 and 6).

Axes: N images, V views (crops) of each, K classes.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tinyalex.backend import to_numpy
from tinyalex.data import Augmenter, Dataset, evaluation_batches
from tinyalex.errors import CheckpointError, UsageError
from tinyalex.net import AlexNet
from tinyalex.weights.checkpoint import Checkpoint

Probabilities = NDArray[np.floating[Any]]


@dataclass(frozen=True)
class Scores:
    """loss: the mean of -log p[label], in nats.   top1_error, top5_error: fractions of the images."""

    loss: float
    top1_error: float
    top5_error: float


def augmenter_for(checkpoint: Checkpoint, **settings: Any) -> Augmenter:
    """The augmenter that prepares images for the net of `checkpoint`; `settings` are those of an Augmenter.

    Raises CheckpointError for a net that was saved without the statistics of its training images.
    """
    if checkpoint.statistics is None:
        raise CheckpointError("the checkpoint holds a net only, not its mean image: use one that a training run wrote")
    net = checkpoint.net
    return Augmenter(checkpoint.statistics, net.input_size, pixel_scale=net.spec.pixel_scale, **settings)


def probabilities(
    net: AlexNet,
    dataset: Dataset,
    augmenter: Augmenter,
    *,
    views: str = "centre",
    batch: int = 128,
    progress: Callable[[int], object] | None = None,
) -> Probabilities:
    """The net's class probabilities for every image, (N, K), averaged over its views: "centre" or "ten".

    progress: called with the number of images done, after each batch.
    """
    rows = []
    for images, labels in evaluation_batches(dataset, augmenter, batch, views):
        N, V = images.shape[:2]
        p = np.zeros((N, net.num_classes), images.dtype)
        for view in range(V):
            p += to_numpy(net.predict(images[:, view])) / V
        rows.append(p)
        if progress:
            progress(len(labels))
    return np.concatenate(rows)


def averaged(several: Sequence[Probabilities]) -> Probabilities:
    """The mean of the probabilities that several nets give (table 2: five nets, seven nets)."""
    if len({p.shape for p in several}) != 1:
        raise UsageError(
            f"nets with {sorted({p.shape[1] for p in several})} classes cannot be averaged: expected equals"
        )
    return np.asarray(np.mean(several, axis=0))


def scores(p: Probabilities, labels: NDArray[np.int64]) -> Scores:
    """The scores of probabilities p (N, K) for labels (N,)."""
    of_label = p[np.arange(len(labels)), labels]
    loss = -np.log(np.maximum(of_label, np.finfo(p.dtype).tiny)).mean()
    return Scores(float(loss), top_error(p, labels, 1), top_error(p, labels, 5))


def top_error(p: Probabilities, labels: NDArray[np.int64], k: int) -> float:
    """The fraction of images whose label is not among the k most probable classes.

    Classes that tie with the label share what is left of the k places, as in the released code: a net that gives all
    classes the same probability is right k / K of the time, not always.
    """
    of_label = p[np.arange(len(labels)), labels][:, None]  # (N, 1)
    better = (~(p <= of_label)).sum(axis=1)  # NaN too: a net that overflows is never right
    equal = (p == of_label).sum(axis=1)  # the label's own class among them
    share = (k - better) / np.maximum(equal, 1)
    return float(1 - np.clip(share, 0, 1).mean())
