"""Other people's nets: from the arrays of a file to a net of ours, and to how that net reads pixels.

A file of arrays says by their names and shapes which net it is: `LAYOUTS` is the table of all names that are known. A
file of Caffe or ONNX also says what the layers do: see `tinyalex.weights.topology`. How pixels are prepared for a net,
few files say. It is known for the nets that were published; `Given` says it for others, as nothing is guessed.

All nets here read RGB. A net that was trained on BGR gets the input channels of conv1 in the other order, which is
exact.
"""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from tinyalex import spec as nets
from tinyalex.count import count, parameter_shapes
from tinyalex.data.prepare import Preparation
from tinyalex.data.statistics import PixelStatistics
from tinyalex.errors import CheckpointError, TinyAlexError
from tinyalex.net import AlexNet
from tinyalex.spec import VARIANTS, Spec, stored_size, variant
from tinyalex.typed import brief
from tinyalex.weights.checkpoint import Checkpoint
from tinyalex.weights.formats import Foreign
from tinyalex.weights.topology import Described, described

Colours = tuple[float, float, float]


@dataclass(frozen=True)
class Given:
    """What the user says of a file that does not say it itself; None where it is known.

    variant: the name of the net, where the same names and shapes may be several.
    mean:    what is subtracted from the pixels: three numbers (RGB, 0 ... 255), or a file with a mean image, .npy or
             .binaryproto, whose planes are in the order of `colours`.
    colours: the order in which the net reads the colours.
    scale:   what red, green and blue are divided by after that.
    rule:    how a picture becomes a square, see `tinyalex.data.prepare.Preparation`.   size: of the square.
    classes: the names of the classes.
    """

    variant: str | None = None
    mean: Colours | Path | None = None
    colours: Literal["RGB", "BGR"] | None = None
    scale: Colours | None = None
    rule: Literal["square", "scale", "warp"] | None = None
    size: int | None = None
    classes: tuple[str, ...] = ()


@dataclass(frozen=True)
class Pixels:
    """How a published net reads pixels.   mean: RGB, 0 ... 255; None if it is an image, which its authors published."""

    colours: Literal["RGB", "BGR"]
    mean: Colours | None
    preparation: Preparation


# torchvision: pixels in 0 ... 1, less (0.485, 0.456, 0.406), divided by (0.229, 0.224, 0.225).
_TORCHVISION = Pixels("RGB", (123.675, 116.28, 103.53), Preparation(256, "scale", "bilinear", (58.395, 57.12, 57.375)))
# Caffe: the mean colour of its mean image of ILSVRC-2012.
_CAFFE = Pixels("BGR", (122.6789143, 116.6687676, 104.0069879), Preparation(256, "warp", "bilinear"))
# caffe-tensorflow, which wrote bvlc_alexnet.npy, rounds it, and rounds red up.
_CAFFE_TENSORFLOW = replace(_CAFFE, mean=(124.0, 117.0, 104.0))
_CAFFE_CIFAR = Pixels("RGB", None, Preparation(32, "square", "bilinear"))

# The nets whose layers a file describes.
DESCRIBED = {"caffe": _CAFFE, "caffenet": _CAFFE, "cifar10-full": _CAFFE_CIFAR, "cifar10-quick": _CAFFE_CIFAR}


# ---------------------------------------------------------------- names


def positions(spec: Spec) -> Iterable[str]:
    """What PyTorch calls the layers with parameters: by their places, before and after the maps become a row."""
    part, first = "features", 0
    for place, layer in enumerate(spec.layers.values()):
        if isinstance(layer, nets.Flat):
            part, first = "classifier", place + 1
        elif isinstance(layer, nets.Conv | nets.Full):
            yield f"{part}.{place - first}"


def own_names(spec: Spec) -> Iterable[str]:
    """The names that the layers with parameters have here: conv1 ... fc8."""
    return (name for name, layer in spec.layers.items() if isinstance(layer, nets.Conv | nets.Full))


@dataclass(frozen=True)
class Layout:
    """A way to name the parameters in a file, and to order their axes.

    names:  of the layers with parameters, in order.   parts: of the weights and of the biases of a layer.
    conv:   which axes of the file's array our (OC, C, KH, KW) are.   full: the same of our (U, D).
    channels_last: the first fully connected layer reads the maps flattened as (H, W, C); ours reads (C, H, W).
    pixels: how the nets read pixels that have these names in a file, as far as it is known, by variant.
    """

    names: Callable[[Spec], Iterable[str]]
    parts: tuple[str, str] = ("weight", "bias")
    conv: tuple[int, ...] = (0, 1, 2, 3)
    full: tuple[int, ...] = (0, 1)
    channels_last: bool = False
    pixels: Mapping[str, Pixels] = field(default_factory=dict)

    def parameters(self, spec: Spec) -> dict[str, str]:
        """The name of each parameter of ours, such as "conv1.w" -> its name in the file."""
        theirs = zip(own_names(spec), self.names(spec), strict=True)
        return {f"{a}.{x}": f"{b}.{y}" for a, b in theirs for x, y in zip("wb", self.parts, strict=True)}

    def ours(self, array: NDArray[Any]) -> NDArray[Any]:
        """A view of the array with our axes; of a vector, itself."""
        axes = {4: self.conv, 2: self.full}.get(array.ndim)
        return array if axes is None else array.transpose(axes)


_TENSORFLOW = {"conv": (3, 2, 0, 1), "full": (1, 0), "channels_last": True, "pixels": {"caffe": _CAFFE_TENSORFLOW}}
LAYOUTS = (
    Layout(positions, pixels={"torchvision": _TORCHVISION}),  # torchvision and whoever follows it
    Layout(own_names),  # PyTorch, where a net has a name for each layer
    Layout(own_names, ("weights", "biases"), **_TENSORFLOW),  # bvlc_alexnet.npy: {"conv1": {"weights": ..., ...}, ...}
    Layout(own_names, ("0", "1"), **_TENSORFLOW),  # its other form: {"conv1": [weights, biases], ...}
)
ARRAYS_ONLY = Layout(own_names)  # of a file that describes its layers: the arrays have our axes


# ---------------------------------------------------------------- from a file to a checkpoint


def checkpoint_of(foreign: Foreign, given: Given) -> Checkpoint:
    """The net in a file with its statistics and preparation.

    Raises CheckpointError if the file holds no AlexNet, or does not say what `given` must then say.
    """
    arrays = _without_prefix(foreign.arrays)
    if foreign.layers:
        layout, net, pixels = ARRAYS_ONLY, described(foreign), DESCRIBED
    else:
        layout, net = _by_names(arrays, given.variant)
        pixels = layout.pixels
    read = _pixels(net.spec, pixels.get(net.spec.name), given)
    made = AlexNet(net.spec, num_classes=net.num_classes, cross_columns=net.cross_columns, seed=None)
    for ours, theirs in net.names.items():
        _fill(made, ours, layout.ours(arrays.pop(theirs)))
    if read.colours == "BGR":
        w = made.params["conv1.w"]
        w[...] = w[:, ::-1].copy()
    classes = given.classes
    if len(classes) not in (0, made.num_classes):
        raise CheckpointError(f"got {len(classes)} names of classes: expected {made.num_classes}")
    mean = np.broadcast_to(np.array(read.mean, np.float32), (read.preparation.size,) * 2 + (3,)).copy()
    statistics = PixelStatistics(mean, np.zeros(3), np.eye(3))  # no file tells the covariance of its training images
    return Checkpoint(made, classes, statistics, preparation=read.preparation)


def _without_prefix(arrays: Mapping[str, NDArray[Any]]) -> dict[str, NDArray[Any]]:
    """The arrays without what all names begin with, as with "module." where a net was trained on several GPUs."""
    firsts = {name.split(".")[0] for name in arrays}
    if len(firsts) != 1 or not all("." in name for name in arrays):
        return dict(arrays)
    return _without_prefix({name.split(".", 1)[1]: array for name, array in arrays.items()})


def _by_names(arrays: Mapping[str, NDArray[Any]], name: str | None) -> tuple[Layout, Described]:
    """The net that has these names and shapes.

    Raises CheckpointError if there is none, or several and `name` does not say which.
    """
    named = [
        (layout, spec)
        for layout in LAYOUTS
        for spec in VARIANTS.values()
        if set(layout.parameters(spec).values()) == arrays.keys()
    ]
    if not named:
        raise CheckpointError(
            f"got arrays named {', '.join(map(brief, sorted(arrays)[:3]))}, ...: expected those of an AlexNet, such as "
            "features.0.weight or conv1.weight"
        )
    if name is not None:
        wanted = variant(name).name
        named = [(layout, spec) for layout, spec in named if spec.name == wanted]
    fitting = [(layout, net) for layout, spec in named if (net := _fitted(spec, layout, arrays))]
    exact = [(layout, net) for layout, net in fitting if net.spec == VARIANTS[net.spec.name]]
    found = exact or fitting
    if len(found) == 1:
        return found[0]
    known = ", ".join(net.spec.name for _, net in found)
    if found:
        raise CheckpointError(f"got parameters that fit several nets: expected one; choose a variant out of {known}")
    shapes = ", ".join(f"{key[:40]} {array.shape}" for key, array in sorted(arrays.items())[:2])
    raise CheckpointError(f"got {shapes}, ...: expected the shapes of {name or 'an AlexNet'}; choose another variant")


def _fitted(spec: Spec, layout: Layout, arrays: Mapping[str, NDArray[Any]]) -> Described | None:
    """The net that is `spec` with the kernels, units and classes of these arrays; None if they do not fit it."""
    names = layout.parameters(spec)
    shapes = {ours: layout.ours(arrays[theirs]).shape for ours, theirs in names.items()}
    layers, cross, before = dict(spec.layers), [], 3
    for name in own_names(spec):
        layer, shape = spec.layers[name], shapes[f"{name}.w"]
        if isinstance(layer, nets.Conv) and len(shape) == 4:
            if shape[1] == before and spec.columns > 1 and name != "conv1":
                cross.append(int(name.removeprefix("conv")))
            layers[name] = replace(layer, kernels=max(1, shape[0]))
            before = shape[0]
        elif isinstance(layer, nets.Full) and layer.units is not None:
            layers[name] = replace(layer, units=max(1, shape[0]))
    *_, last = shapes.values()
    widened = replace(spec, layers=layers)
    crossing = tuple(cross) if spec.columns > 1 else (3,)
    try:
        rows = count(widened, last[0], cross_columns=crossing)
    except (TinyAlexError, IndexError):
        return None
    return Described(widened, last[0], crossing, names) if parameter_shapes(rows) == shapes else None


# ---------------------------------------------------------------- pixels


def _pixels(spec: Spec, known: Pixels | None, given: Given) -> Pixels:
    """How the net reads pixels: as is known of it, but for what is given."""
    if known is None:
        missing = [name for name in ("mean", "colours", "scale") if getattr(given, name) is None]
        if missing:
            raise CheckpointError(
                f"got a net that does not say how its images are prepared: expected --{', --'.join(missing)}"
            )
        known = Pixels("RGB", None, Preparation(stored_size(spec.input_size)))
    how = known.preparation
    changes = {"size": given.size, "rule": given.rule, "scale": given.scale}
    how = replace(how, **{name: value for name, value in changes.items() if value is not None})
    mean, colours = given.mean or known.mean, given.colours or known.colours
    if mean is None:
        raise CheckpointError("got a net whose images are prepared with a mean image of its own: expected --mean FILE")
    return Pixels(colours, mean, how)


# ---------------------------------------------------------------- parameters


def _fill(net: AlexNet, name: str, array: NDArray[Any]) -> None:
    """Give the net a parameter. An array that is as the net needs it becomes the net's own."""
    layer, _, part = name.partition(".")
    w = net.layers[layer].params[part]
    if array.dtype == w.dtype and array.flags.carray:
        net.layers[layer].params[part] = array
    else:
        w[...] = array
    if not np.isfinite([array.min(), array.max()]).all():
        raise CheckpointError(f"got NaN or infinity in {name}: expected finite numbers")
