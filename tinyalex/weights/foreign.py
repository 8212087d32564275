"""Other people's nets: from the arrays of a file to a net of ours.

Which net it is, the file says by names and shapes (see `tinyalex.weights.layouts`), or, if it is one of Caffe or ONNX,
by what its layers do (see `tinyalex.weights.topology`). How the net reads pixels is the third question (see
`tinyalex.weights.pixels`). All nets here read RGB: one that was trained on BGR gets the input channels of conv1 in the
other order, which is exact.
"""

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tinyalex.count import parameter_shapes
from tinyalex.data.statistics import PixelStatistics
from tinyalex.errors import CheckpointError
from tinyalex.files import one_line
from tinyalex.net import AlexNet
from tinyalex.spec import Flat
from tinyalex.weights.checkpoint import Checkpoint, blueprint_in
from tinyalex.weights.formats import Foreign
from tinyalex.weights.layouts import OWN, Layout, found_in
from tinyalex.weights.pixels import CAFFE, CAFFE_CIFAR, ONNX_ZOO, TORCHVISION, Given, pixels_of
from tinyalex.weights.topology import described

ROWS = 64  # of a matrix that are copied at a time

# Files that describe their layers, by their format. Their arrays have our axes.
DESCRIBED = {
    "Caffe": {"caffe": CAFFE, "caffenet": CAFFE, "cifar10-full": CAFFE_CIFAR, "cifar10-quick": CAFFE_CIFAR},
    "ONNX": {"torchvision": TORCHVISION},
    "ONNX model zoo": {"caffe": ONNX_ZOO},
}


def checkpoint_of(foreign: Foreign, given: Given) -> Checkpoint:
    """The net in a file, and how it reads pixels.

    Raises CheckpointError if the file holds no AlexNet, or does not say what `given` must then say.
    """
    if foreign.about:
        return _as_described(foreign.about, foreign.arrays)
    if foreign.layers:
        arrays, layout, named = foreign.arrays, Layout(published=DESCRIBED[foreign.format]), described(foreign)
    else:
        arrays = _without_prefix(foreign.arrays)
        layout, named = found_in(arrays, given.variant)
    if given.variant not in (None, named.spec.name):
        raise CheckpointError(
            f"got --variant {given.variant}: expected {named.spec.name}, as the file describes its layers"
        )
    published = layout.published.get(named.spec.name)
    pixels = pixels_of(named.spec, foreign, published, given)
    net = AlexNet(named.spec, num_classes=named.num_classes, cross_columns=named.cross_columns, seed=None)
    ours = {ours: layout.ours(arrays[theirs]) for ours, theirs in named.names.items()}
    _fill(net, _channels_first(net, ours) if layout.channels_last else ours)
    if pixels.colours == "BGR":
        w = net.params["conv1.w"]
        w[...] = w[:, ::-1].copy()
    classes = given.classes or (published.classes() if published else ())
    if given.classes and len(classes) != net.num_classes:
        raise CheckpointError(f"got {len(classes)} names of classes: expected {net.num_classes}")
    return Checkpoint(
        net,
        classes if len(classes) == net.num_classes else (),  # a net that was fine-tuned has others
        # No file tells the covariance of the colours of its training images.
        PixelStatistics(pixels.mean, np.zeros(3), np.eye(3)),
        preparation=pixels.preparation,
        missing=tuple(name for name in net.params if name not in named.names),
    )


def _as_described(text: str, arrays: Mapping[str, NDArray[Any]]) -> Checkpoint:
    """The net in a file that `tinyalex.save` wrote, with all its settings."""
    try:
        blueprint = blueprint_in(text)
    except Exception as error:  # a damaged text can raise almost any exception
        raise CheckpointError(f"got a text that describes no net ({one_line(error)}); use another file") from error
    names = next(filter(None, (layout.names_in(arrays, blueprint.spec) for layout in OWN)), None)
    if names is None:
        raise CheckpointError("got other arrays than those of the net that the file describes; use another file")
    for ours, shape in parameter_shapes(blueprint.rows).items():
        array, dtype = arrays[names[ours]], blueprint.about.settings.dtype
        if array.shape != shape or array.dtype != dtype:
            raise CheckpointError(
                f"got {ours} of shape {array.shape} and {array.dtype}: expected {shape} and {dtype}; use another file"
            )
    net = blueprint.net()
    _fill(net, {ours: arrays[theirs] for ours, theirs in names.items()})
    return Checkpoint(net, blueprint.about.classes, preparation=blueprint.about.preparation)


def _without_prefix(arrays: Mapping[str, NDArray[Any]]) -> dict[str, NDArray[Any]]:
    """The arrays without what wraps the net in their names: "module", for several GPUs, and what all begin with."""
    names = [[part for part in name.split(".") if part != "module"] for name in arrays]
    shared = 0
    while len({part for name in names for part in name[shared : shared + 1]}) == 1 < min(map(len, names)) - shared:
        shared += 1
    return {".".join(name[shared:]): array for name, array in zip(names, arrays.values(), strict=True)}


def _channels_first(net: AlexNet, arrays: Mapping[str, NDArray[Any]]) -> dict[str, NDArray[Any]]:
    """The arrays, in which the first fully connected layer no longer reads (H, W, C) in a row, but (C, H, W)."""
    [flatten] = [place for place, row in enumerate(net.rows) if isinstance(row.layer, Flat)]
    first = next(row.name for row in net.rows[flatten:] if row.kernel)
    C, H, W = net.rows[flatten].in_shape
    w = arrays[f"{first}.w"].reshape(-1, H, W, C).transpose(0, 3, 1, 2)
    return {**arrays, f"{first}.w": w}  # (U, C, H, W)


@np.errstate(over="ignore")  # a number that is too large for float32 is told as infinity
def _fill(net: AlexNet, arrays: Mapping[str, NDArray[Any]]) -> None:
    """Give the net its parameters, by our names, with our axes.

    An array that lies in memory as the net needs it becomes the net's own; another is copied.
    """
    own: list[NDArray[Any]] = []
    for name, array in arrays.items():
        layer, _, part = name.partition(".")
        w = net.layers[layer].params[part]
        if array.dtype.kind != "f":
            raise CheckpointError(f"got {array.dtype} in {name}: expected floating-point numbers")
        if array.dtype == w.dtype and array.flags.carray and not any(np.may_share_memory(array, one) for one in own):
            net.layers[layer].params[part] = w = array
            own.append(w)
        else:
            _copy(array, w.reshape(array.shape))
        if not np.isfinite([w.min(), w.max()]).all():
            raise CheckpointError(f"got NaN or infinity in {name}: expected finite numbers")


def _copy(array: NDArray[Any], into: NDArray[Any]) -> None:
    """Copy an array that may be transposed, some rows at a time: so many stay in the processor's cache."""
    for first in range(0, len(into), ROWS):
        into[first : first + ROWS] = array[first : first + ROWS]
