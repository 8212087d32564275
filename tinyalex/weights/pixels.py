"""How a net that others trained reads pixels: what was published of it, and what the user says of it.

Few files say it. A net that reads pixels in another way than it was trained with answers, but wrongly, so nothing is
guessed: what is not known must be given.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from tinyalex.data.prepare import Preparation
from tinyalex.errors import CheckpointError, UsageError
from tinyalex.spec import Spec, stored_size
from tinyalex.weights.formats import Foreign
from tinyalex.weights.formats.caffe import read_mean
from tinyalex.weights.names import imagenet_names

Colour = tuple[float, float, float]
Order = Literal["RGB", "BGR"]


@dataclass(frozen=True)
class Given:
    """What the user says of a file that does not say it itself; None where it is known.

    variant: the name of the net, where the same names and shapes may be several.
    mean:    what is subtracted from the pixels: three numbers (RGB, 0 ... 255), or a file with a mean image, .npy or
             .binaryproto, whose colours are in the order of the net's.
    colours: the order in which the net reads the colours.
    scale:   what red, green and blue are divided by after that.
    rule:    how a picture becomes a square, see `tinyalex.data.prepare.Preparation`.   size: of the square.
    classes: the names of the classes.
    """

    variant: str | None = None
    mean: Colour | Path | None = None
    colours: Order | None = None
    scale: Colour | None = None
    rule: Literal["square", "scale", "warp"] | None = None
    size: int | None = None
    classes: tuple[str, ...] = ()

    def check_unneeded(self, what: str) -> None:
        """Raise UsageError for anything said of `what`, a net that was saved here: its file says all of it itself.

        All such nets read RGB, so that may be said.
        """
        said = [name for name, value in vars(self).items() if value not in (None, (), "RGB")]
        if said:
            raise UsageError(f"got --{said[0]} for {what}: expected no such option, as tinyalex's own files say it")


@dataclass(frozen=True)
class Published:
    """What is known of a published net.

    mean: RGB, 0 ... 255; None if it is an image, in a file of its own.   classes: their names, in order.
    """

    colours: Order
    mean: Colour | None
    preparation: Preparation
    classes: Callable[[], tuple[str, ...]] = imagenet_names


# Pixels in 0 ... 1, less (0.485, 0.456, 0.406), divided by (0.229, 0.224, 0.225).
TORCHVISION = Published(
    "RGB", (123.675, 116.28, 103.53), Preparation(256, "scale", "bilinear", (58.395, 57.12, 57.375))
)
# The mean colour of Caffe's mean image of ILSVRC-2012.
CAFFE = Published("BGR", (122.6789143, 116.6687676, 104.0069879), Preparation(256, "warp", "bilinear"))
# caffe-tensorflow, which made bvlc_alexnet.npy, has whole numbers.
CAFFE_TENSORFLOW = replace(CAFFE, mean=(124.0, 117.0, 104.0))
# The ONNX model zoo's copy of Caffe's net, as its published accuracy was measured: the whole picture, no crop.
ONNX_ZOO = Published("BGR", (123.68, 116.779, 103.939), Preparation(224, "warp", "bicubic"))
CAFFE_CIFAR = Published(
    "RGB",
    None,
    Preparation(32, "square", "bilinear"),
    lambda: ("airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck"),
)


@dataclass(frozen=True)
class Pixels:
    """How a net reads pixels.   mean: (S, S, 3) float32, RGB, 0 ... 255, S the size of prepared images."""

    colours: Order
    mean: NDArray[np.float32]
    preparation: Preparation


def pixels_of(spec: Spec, foreign: Foreign, published: Published | None, given: Given) -> Pixels:
    """How the net reads pixels: as is given, else as the file says, else as was published.

    Raises CheckpointError, naming the options, if that leaves something open, or if the sizes do not fit.
    """
    colours = given.colours or (published and published.colours)
    mean: Any = given.mean or foreign.mean or (published and published.mean)
    scale: Any = (
        given.scale or (foreign.scale and (1 / foreign.scale,) * 3) or (published and published.preparation.scale)
    )
    needed = {"mean": mean, "colours": colours, "scale": scale}
    if missing := [f"--{name}" for name, value in needed.items() if not value]:
        raise CheckpointError(
            f"got a net, and not how its images are prepared: expected it to be known; say {', '.join(missing)}"
        )
    assert colours
    if isinstance(mean, Path) or mean is foreign.mean:
        mean = read_mean(mean) if isinstance(mean, Path) else np.array(mean, np.float32)  # (3, S, S) or (3,)
        mean = np.moveaxis(mean if colours == "RGB" else mean[::-1], 0, -1)
    mean = np.asarray(mean, np.float32)
    how = published.preparation if published else Preparation(stored_size(spec.input_size))
    size = given.size or (len(mean) if mean.ndim == 3 else how.size)
    if size < spec.input_size or mean.shape not in ((3,), (size, size, 3)) or not np.isfinite(mean).all():
        raise CheckpointError(
            f"got a mean of shape {mean.shape} for prepared images of {size} x {size}, and crops of {spec.input_size}: "
            "expected finite numbers, in the size of the images, which is at least that of the crops"
        )
    try:
        how = replace(how, size=size, rule=given.rule or how.rule, scale=scale)
    except UsageError as error:
        raise CheckpointError(str(error)) from error
    return Pixels(colours, np.broadcast_to(mean, (size, size, 3)).copy(), how)
