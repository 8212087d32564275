"""Assignment 5: its data, five kinds of `shapes`, and the small net that students train on them and hand in.

Axes: N images, S = 24 their height and width, 3 colours (red, green, blue).
"""

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tinyalex.backend import use_kernels
from tinyalex.course.checks import CheckError, that
from tinyalex.course.guard import TimeLimitError, call
from tinyalex.data.shapes import CLASSES, Shapes
from tinyalex.net import AlexNet
from tinyalex.spec import Activation, Conv, Drop, Flat, Full, Initial, Pool, Spec

KINDS = ("cross", "disc", "heart", "star", "triangle")
SIZE = 24

_HE = Initial(None)
SMALL = Spec(
    "small",
    {
        "conv1": Conv(16, 5, pad=2, initial=_HE, reads_all=True),
        "relu1": Activation(),
        "pool1": Pool(),
        "conv2": Conv(32, 3, pad=1, initial=_HE),
        "relu2": Activation(),
        "pool2": Pool(),
        "conv3": Conv(32, 3, pad=1, initial=_HE),
        "relu3": Activation(),
        "pool3": Pool(),
        "flatten": Flat(),
        "fc4": Full(64, _HE),
        "relu4": Activation(),
        "dropout4": Drop(),
        "fc5": Full(None),
    },
    input_size=SIZE,
    columns=1,
)


def pictures(count: int, seed: int, split: str = "train") -> tuple[NDArray[np.uint8], NDArray[np.int64]]:
    """`count` pictures (count, S, S, 3) uint8, evenly spread over the kinds, and their labels (count,) int64, 0 ... 4.

    Each seed, and each split "train" or "val", gives other pictures. Raises UsageError for a count below 1.
    """
    shapes = Shapes(2 * count + 10, split=split, seed=seed, size=SIZE)  # half of its ten classes are used
    wanted = [CLASSES.index(kind) for kind in KINDS]
    indices = np.flatnonzero(np.isin(shapes.labels, wanted))[:count]
    return shapes.read(indices), np.searchsorted(wanted, shapes.labels[indices])


def small_net(seed: int = 0, dtype: str = "float32", kernels: str = "auto") -> AlexNet:
    """A small net for the five kinds: three convolutions, two fully connected layers, one of them with dropout."""
    return AlexNet(SMALL, num_classes=len(KINDS), seed=seed, dtype=dtype, kernels=kernels)


def prepared(images: NDArray[np.uint8], mean: NDArray[np.floating]) -> NDArray[np.float32]:
    """The net's input: (images - mean) / 64, (N, 3, S, S) float32; images (N, S, S, 3), mean (S, S, 3)."""
    return np.ascontiguousarray(((images - mean) / 64).transpose(0, 3, 1, 2), np.float32)


def arrays_of(net: AlexNet) -> dict[str, tuple[int, ...]]:
    """The names and shapes of the arrays to hand in: the parameters of the net, and the mean image of its training."""
    return {**{name: w.shape for name, w in net.params.items()}, "mean": (SIZE, SIZE, 3)}


def handed_in(trained_net: Callable[[], Any]) -> dict[str, NDArray[np.floating]]:
    """The arrays that a student's `trained_net` reads from net.npz, beside the notebook.

    Raises CheckError if they are not the arrays of a small net, or if the file is missing and training takes too long.
    """
    try:
        with use_kernels("reference"):  # interrupting Numba while it compiles would leave it locked
            arrays = call(
                trained_net, seconds=5, allow=("tinyalex",), hint="net.npz is missing, or np.savez did not write it"
            )
    except TimeLimitError:
        raise CheckError("net.npz is missing: train on your machine, and hand it in beside the notebook") from None
    that(isinstance(arrays, Mapping), f"got {type(arrays).__name__}: expected a dict of arrays; is there a return?")
    expected = arrays_of(small_net())
    missing, foreign = sorted(expected.keys() - arrays.keys()), sorted(map(str, arrays.keys() - expected.keys()))
    that(not missing, f"net.npz: {', '.join(missing)} missing: is it the file of a small net, with its mean image?")
    that(not foreign, f"net.npz: a small net has no {', '.join(foreign)}")
    for name, shape in expected.items():
        array = np.asarray(arrays[name])
        that(
            array.shape == shape, f"net.npz: {name} has the shape {array.shape}, expected {shape}: is it another net's?"
        )
        that(array.dtype.kind == "f", f"net.npz: {name} is {array.dtype}, expected float32 or float64")
        that(np.isfinite(array).all(), f"net.npz: {name} holds nan or inf: the training had diverged")
    return dict(arrays)


def share_right(arrays: Mapping[str, NDArray[np.floating]], count: int, seed: int) -> float:
    """The fraction of `count` validation pictures that a small net with these arrays classifies correctly, 0 ... 1."""
    net = small_net()
    for name in net.params:
        net.params[name] = arrays[name].astype(np.float32)
    images, labels = pictures(count, seed, "val")
    return float((net.predict(prepared(images, arrays["mean"])).argmax(axis=1) == labels).mean())
