"""The errors of a net: top-1 and top-5, on the central crop or ten crops, of one net or several (sections 4.1 and 6).

Axes: N images, V views (crops) of each, K classes.
"""

from collections.abc import Callable, Sequence
from contextlib import closing
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tinyalex.backend import Array, to_numpy
from tinyalex.data import Augmenter, Dataset, evaluation_batches
from tinyalex.data.prepare import Preparation
from tinyalex.data.statistics import PixelStatistics
from tinyalex.errors import CheckpointError, UsageError
from tinyalex.net import AlexNet
from tinyalex.weights.checkpoint import Checkpoint

Probabilities = NDArray[np.floating[Any]]


@dataclass(frozen=True)
class Scores:
    """loss: the mean of -log p[label], in nats.   top1_error, top5_error: fractions of the images, 0 ... 1."""

    loss: float
    top1_error: float
    top5_error: float


def augmenter_for(checkpoint: Checkpoint, **settings: Any) -> Augmenter:
    """The augmenter that prepares images for the net of `checkpoint`.   settings: keyword arguments of an Augmenter.

    Raises CheckpointError if the net was saved without the statistics of its training images.
    """
    scale = preparation_for(checkpoint).scale
    return Augmenter(_statistics(checkpoint), checkpoint.net.input_size, pixel_scale=scale, **settings)


def preparation_for(checkpoint: Checkpoint) -> Preparation:
    """How images are prepared for the net of `checkpoint`; `augmenter_for` does the rest. Raises the same error."""
    ours = Preparation(len(_statistics(checkpoint).mean), scale=(checkpoint.net.spec.pixel_scale,) * 3)
    return checkpoint.preparation or ours


def _statistics(checkpoint: Checkpoint) -> PixelStatistics:
    if checkpoint.statistics is None:
        raise CheckpointError("got a checkpoint without a mean image: expected one that a training run wrote")
    return checkpoint.statistics


def probabilities(
    net: AlexNet,
    dataset: Dataset,
    augmenter: Augmenter,
    *,
    views: str = "centre",
    batch: int = 128,
    workers: int | None = None,
    progress: Callable[[int], object] | None = None,
    seen: Callable[[str, Any], None] | None = None,
) -> Probabilities:
    """The net's class probabilities for every image, averaged over its views -> (N, K), in the net's dtype.

    views: "centre", the central crop, or "ten", the ten crops of section 4.1.   batch: images of a forward pass.
    workers: the number of threads that prepare them, as for `tinyalex.data.batches`.
    progress: called after each batch, with its number of images.   seen: as for `AlexNet.forward`.
    Raises UsageError for other views.
    """
    rows = []
    made = evaluation_batches(dataset, augmenter, batch, views, device=net.device, workers=workers)
    with closing(made):
        for images, labels in made:
            rows.append(_over_views(net, images, seen))
            if progress:
                progress(len(labels))
    return np.concatenate(rows)


def _over_views(net: AlexNet, images: Array, seen: Callable[[str, Any], None] | None = None) -> Probabilities:
    """The net's class probabilities for the views of images (n, V, 3, H, W), averaged over these -> (n, K)."""
    n, V = images.shape[:2]
    p = np.zeros((n, net.num_classes), images.dtype)
    for view in range(V):
        p += to_numpy(net.predict(images[:, view], seen=seen)) / V
    return p


@np.errstate(over="ignore", invalid="ignore")  # `check_finite` tells it
def probabilities_of(
    net: AlexNet, augmenter: Augmenter, images: NDArray[np.uint8], views: str = "centre"
) -> Probabilities:
    """As `probabilities`, for stored images (n, S, S, 3) -> (n, K)."""
    return _over_views(net, augmenter.ten_crops(images) if views == "ten" else augmenter.centre(images)[:, None])


@np.errstate(over="ignore", invalid="ignore")  # `check_finite` tells it
def outputs(net: AlexNet, augmenter: Augmenter, images: NDArray[np.uint8], layer: str | None = None) -> NDArray[Any]:
    """The output of a layer for the central crops of stored images (n, S, S, 3) -> (n, D), a row for each image.

    layer: its name; None: the last hidden layer, after its ReLU.
    """
    y: NDArray[Any] = to_numpy(net.forward(augmenter.centre(images), upto=layer or net.last_hidden))
    return y.reshape(len(images), -1)


def check_finite(outputs: NDArray[Any]) -> None:
    """Raise CheckpointError if outputs of a net hold NaN or infinity: its parameters are too large."""
    if not np.isfinite(outputs).all():
        raise CheckpointError(
            "got NaN or infinity from the net: expected finite numbers; its parameters are too large, use another "
            "checkpoint"
        )


def averaged(several: Sequence[Probabilities]) -> Probabilities:
    """The mean over several nets of their probabilities (N, K) -> (N, K); table 2 averages five nets, and seven.

    Raises UsageError if the nets do not have the same number of classes.
    """
    if len({p.shape for p in several}) != 1:
        raise UsageError(
            f"got nets with {sorted({p.shape[1] for p in several})} classes: expected the same number in each"
        )
    return np.asarray(np.mean(several, axis=0))


def scores(p: Probabilities, labels: NDArray[np.int64]) -> Scores:
    """The loss and the errors of probabilities p (N, K) for labels (N,)."""
    of_label = p[np.arange(len(labels)), labels]
    loss = -np.log(np.maximum(of_label, np.finfo(p.dtype).tiny)).mean()
    return Scores(float(loss), top_error(p, labels, 1), top_error(p, labels, 5))


def top_error(p: Probabilities, labels: NDArray[np.int64], k: int) -> float:
    """The fraction of images whose label is not among the k most probable classes; p (N, K), labels (N,).

    Ties, as in the released code: if m classes have the label's probability and n of the k places are left for them,
    the image counts as right by n / m. So a net that gives all K classes the same probability is right k / K of the
    time.
    """
    of_label = p[np.arange(len(labels)), labels][:, None]  # (N, 1)
    better = (~(p <= of_label)).sum(axis=1)  # counts NaN as better: a net that overflows is never right
    equal = (p == of_label).sum(axis=1)  # the label's own class among them
    share = (k - better) / np.maximum(equal, 1)
    return float(1 - np.clip(share, 0, 1).mean())
