"""A new last layer on a trained net whose other layers stay as they are: softmax regression on its features.

The layers that stay give the same features in each epoch. They are computed once, for several views of each image.

Axes: N images, V views of each, D features, K classes.
"""

import math
import re
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tinyalex.backend import to_numpy
from tinyalex.count import Row
from tinyalex.data import Augmenter, Dataset, evaluation_batches
from tinyalex.errors import CheckpointError, DivergenceError, UsageError, at_least, below
from tinyalex.layers import Linear, SoftmaxCrossEntropy
from tinyalex.layers.linear import linear_forward
from tinyalex.layers.loss import softmax
from tinyalex.net import AlexNet
from tinyalex.optim import SGD, drop_epochs, stepped_rate
from tinyalex.parallel.ranks import Ranks
from tinyalex.spec import Flat, Full
from tinyalex.training.evaluate import check_finite, scores
from tinyalex.training.history import Record, epoch_record
from tinyalex.training.position import Position
from tinyalex.weights.checkpoint import Checkpoint

CROPS = 40  # of a forward pass
MEMORY = 2**31  # bytes that the features of the training images may take
DROPS = (0.6, 0.85)  # the rate is divided by 10 after these shares of the epochs

Floats = NDArray[np.floating[Any]]


def with_new_head(trained: Checkpoint, layer: str, classes: tuple[str, ...]) -> Checkpoint:
    """The net up to `layer`, with one new layer above it: fully connected, a unit for each class, all zeros.

    Raises UsageError for a layer that the net does not have, CheckpointError if parameters up to it are missing.
    """
    net = trained.net
    kept = _kept_rows(trained, layer)
    layers = {
        row.name: replace(row.layer, units=row.out_shape[0]) if isinstance(row.layer, Full) else row.layer
        for row in kept
    }
    if len(kept[-1].out_shape) == 3:
        layers["flatten"] = Flat()
    number = max(int(digits) for name in layers for digits in re.findall(r"\d+$", name))
    layers[f"fc{number + 1}"] = Full(None)
    new = AlexNet(
        replace(net.spec, name=f"{net.spec.name}-{kept[-1].name}", layers=layers),
        num_classes=len(classes),
        input_size=net.input_size,
        seed=None,
        dtype=net.dtype,
        dropout=net.dropout,
        cross_columns=tuple(number for number in net.cross_columns if f"conv{number}" in layers),
        kernels=net.kernels,
        threads=net.threads,
    )
    for name in new.params:
        if name in net.params and name.partition(".")[0] != head_of(new):
            new.params[name] = net.params[name]
    return Checkpoint(new, classes, trained.statistics, preparation=trained.preparation)


def head_of(net: AlexNet) -> str:
    """The name of the net's last layer."""
    return net.rows[-1].name


def _kept_rows(trained: Checkpoint, layer: str) -> list[Row]:
    """The layers up to the one of that name. Raises the errors of `with_new_head`."""
    rows = trained.net.rows
    names = [row.name for row in rows]
    if layer not in names:
        raise UsageError(f"got features={layer}: expected one of {', '.join(names)}")
    lacking = {name.partition(".")[0] for name in trained.missing}
    whole = next((place for place, name in enumerate(names) if name in lacking), len(names))
    kept = rows[: names.index(layer) + 1]
    if len(kept) > whole:
        usable = [row.name for row in rows[:whole] if not isinstance(row.layer, Flat)]
        raise CheckpointError(
            f"got a part of a net, without {', '.join(trained.missing)}: expected all parameters up to {layer}; "
            + (f"use --features {usable[-1]}" if usable else "use a file that has them")
        )
    return kept


# ---------------------------------------------------------------- features


def view_features(
    net: AlexNet,
    augmenter: Augmenter,
    dataset: Dataset,
    views: str = "centre",
    progress: Callable[[int], object] | None = None,
) -> Floats:
    """What the last layer reads, for the views of each image -> (N, V, D), in the net's dtype, on the CPU.

    views: "centre" or "ten", as for `tinyalex.data.evaluation_batches`.
    progress: called after each batch, with its number of images.
    Raises UsageError for other views, and for features that take more than MEMORY; CheckpointError if they are not
    finite.
    """
    V, below = (10 if views == "ten" else 1), net.rows[-2]
    shape = (len(dataset), V, math.prod(below.out_shape))
    bytes_needed = math.prod(shape) * np.dtype(net.dtype).itemsize
    if bytes_needed > MEMORY:
        raise UsageError(
            f"got {len(dataset):,} images: the features of {V} views of each take {bytes_needed / 2**30:,.1f} GiB, and "
            f"{MEMORY / 2**30:,.1f} may be used; use {'--views centre, ' if V > 1 else ''}--limit or a later layer"
        )
    features = np.empty(shape, net.dtype)
    first = 0
    with closing(evaluation_batches(dataset, augmenter, CROPS // V, views, device=net.device)) as made:
        for images, labels in made:
            crops = images.reshape(-1, *images.shape[2:])  # (n*V, 3, H, W)
            y = to_numpy(net.forward(crops, upto=below.name))
            check_finite(y)
            features[first : first + len(labels)] = y.reshape(len(labels), V, -1)
            first += len(labels)
            if progress:
                progress(len(labels))
    return features


# ---------------------------------------------------------------- the new layer


@dataclass(frozen=True)
class HeadSettings:
    """How the new layer is trained.

    lr: the learning rate, for features whose mean is 0 and whose mean squared length is 1; it is divided by 10 twice.
    batch: images of a step, at most.   seed: of the order of the images and the choice of views.
    Raises UsageError for numbers out of range.
    """

    epochs: int = 60
    lr: float = 1.0
    momentum: float = 0.9
    weight_decay: float = 1e-4
    batch: int = 32
    seed: int = 0

    def __post_init__(self) -> None:
        at_least(1, epochs=self.epochs, batch=self.batch)
        at_least(0, lr=self.lr, momentum=self.momentum, weight_decay=self.weight_decay, seed=self.seed)
        below(1, momentum=self.momentum)
        below(math.inf, lr=self.lr, weight_decay=self.weight_decay)


class Head:
    """The new layer while it is trained, on features (N, V, D) of images with labels (N,), for K classes.

    It reads z = (x - mean) / size: over all images and views the mean of z is 0, and that of its squared length is 1.
    So one learning rate suits the 9,216 features of pool5 and the 4,096 of fc7. `parameters` are those for x itself.
    squared_length: of x, its mean over all images and views.
    """

    def __init__(self, features: Floats, labels: NDArray[np.int64], K: int, settings: HeadSettings) -> None:
        self._features, self._labels, self._settings = features, labels, settings
        N, V, D = features.shape
        self.mean: Floats = features.mean(axis=(0, 1))  # (D,)
        self.squared_length: float = float(np.vdot(features, features)) / (N * V)
        spread = self.squared_length - float(np.vdot(self.mean, self.mean))
        self.size = math.sqrt(max(spread, 0.0)) or 1.0  # a float: it changes no dtype
        self._linear = Linear(D, K, init_std=0.0, dtype=str(features.dtype))
        self._criterion = SoftmaxCrossEntropy()
        self._sgd = SGD(self._linear, momentum=settings.momentum, weight_decay=settings.weight_decay, lr=settings.lr)

    @property
    def parameters(self) -> tuple[Floats, Floats]:
        """w (K, D) and b (K,) of the layer that reads x: w = u / size, b = c - w mean, with the layer's own u and c."""
        w = self._linear.params["w"] / self.size
        return w, self._linear.params["b"] - w @ self.mean

    def epochs(self, val: Floats, val_labels: NDArray[np.int64]) -> Iterator[Record]:
        """Train; after each epoch its record, as in `tinyalex.training.history.EpochRecord`.

        val, val_labels: features (M, D) of the validation images, and their labels (M,).
        Raises DivergenceError if the loss is no longer finite.
        """
        settings = self._settings
        drops = drop_epochs(settings.epochs, DROPS)
        for epoch in range(settings.epochs):
            self._sgd.lr = stepped_rate(settings.lr, epoch, drops)
            record = self._epoch(epoch)
            found = scores(softmax(linear_forward(val, *self.parameters)), val_labels)
            check_loss(found.loss, epoch)
            yield record | {f"val_{name}": value for name, value in vars(found).items()}

    def _epoch(self, epoch: int) -> Record:
        """One pass over the images, each in one of its views."""
        N, V, _ = self._features.shape
        rng = np.random.default_rng([self._settings.seed, epoch])
        position, began = Position(epoch=epoch, lr=self._sgd.lr), time.perf_counter()
        for rows in np.array_split(rng.permutation(N), math.ceil(N / self._settings.batch)):
            views = rng.integers(0, V, len(rows))
            z = (self._features[rows, views] - self.mean) / self.size  # (n, D)
            logits = self._linear.forward(z, train=True)
            loss = self._criterion.forward(logits, self._labels[rows])
            check_loss(loss, epoch)
            self._linear.backward(self._criterion.backward())
            self._sgd.step()
            position.add(len(rows), loss, float(np.count_nonzero(logits.argmax(axis=1) != self._labels[rows])))
        position.seconds = time.perf_counter() - began
        return epoch_record(position, Ranks())


def check_loss(loss: float, epoch: int) -> None:
    """Raise DivergenceError for a loss of NaN or infinity."""
    if not math.isfinite(loss):
        raise DivergenceError(f"got a loss of {loss} in epoch {epoch + 1}: expected finite numbers; use a lower --lr")
