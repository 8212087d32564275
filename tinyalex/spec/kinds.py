"""The kinds of layers as data, and a net as a list of them with a recipe for its training."""

import math
from dataclasses import dataclass, field
from typing import Literal

from tinyalex.errors import UsageError, at_least


@dataclass(frozen=True)
class Initial:
    """Weights drawn from N(0, std**2), or, with std None, from N(0, gain / fan-in); biases all `bias`."""

    std: float | None = 0.01
    bias: float = 0.0
    gain: float = 2.0

    def __post_init__(self) -> None:
        at_least(0, std=self.std, gain=self.gain)

    def std_for(self, fan_in: int) -> float:
        """The standard deviation for a unit that sums fan_in inputs."""
        return math.sqrt(self.gain / fan_in) if self.std is None else self.std


@dataclass(frozen=True)
class Conv:
    """A convolution. In a net of two columns each column reads its own maps only, unless `reads_all`."""

    kernels: int
    size: int
    stride: int = 1
    pad: int = 0
    initial: Initial = Initial()
    ceil_mode: bool = False
    reads_all: bool = False  # conv1 reads the whole image; `cross_columns` names the others

    def __post_init__(self) -> None:
        at_least(1, kernels=self.kernels, size=self.size, stride=self.stride)
        at_least(0, pad=self.pad)


@dataclass(frozen=True)
class Pool:
    """Max-pooling."""

    size: int = 3
    stride: int = 2
    ceil_mode: bool = True

    def __post_init__(self) -> None:
        at_least(1, size=self.size, stride=self.stride)


@dataclass(frozen=True)
class AveragePool:
    """Average pooling, which Krizhevsky's nets for CIFAR-10 have; the paper does not."""

    size: int = 3
    stride: int = 2
    ceil_mode: bool = True

    def __post_init__(self) -> None:
        at_least(1, size=self.size, stride=self.stride)


@dataclass(frozen=True)
class Norm:
    """Local response normalisation across maps; within the maps of one column, if the net has columns."""

    alpha: float = 1e-4
    k: float = 2.0
    size: int = 5
    beta: float = 0.75
    alpha_over_size: bool = False
    within_columns: bool = True

    def __post_init__(self) -> None:
        at_least(1, size=self.size)
        at_least(0, alpha=self.alpha, k=self.k)


@dataclass(frozen=True)
class SpatialNorm:
    """cuda-convnet's normalisation within a map, over size x size cells; the paper does not have it."""

    alpha: float = 1e-3
    size: int = 5
    beta: float = 0.75

    def __post_init__(self) -> None:
        at_least(1, size=self.size)
        at_least(0, alpha=self.alpha)


@dataclass(frozen=True)
class Activation:
    """max(0, x), or tanh(x) for the comparison of figure 1."""

    kind: Literal["relu", "tanh"] = "relu"


@dataclass(frozen=True)
class Flat:
    """Puts the maps of each image into one row of features."""


@dataclass(frozen=True)
class Full:
    """A fully connected layer; units None stands for the number of classes."""

    units: int | None
    initial: Initial = Initial()

    def __post_init__(self) -> None:
        at_least(1, units=self.units)


@dataclass(frozen=True)
class Drop:
    """Dropout, scaled when testing (the paper) or when training (inverted)."""

    scale_at: Literal["test", "train"] = "test"


LayerSpec = Conv | Pool | AveragePool | Norm | SpatialNorm | Activation | Flat | Full | Drop


@dataclass(frozen=True)
class Recipe:
    """How a net is trained by default: as in section 5, or as a small net needs it."""

    epochs: int = 90
    lr: float = 0.01
    momentum: float = 0.9
    weight_decay: float = 0.0005
    batch: int = 128
    drops: tuple[float, ...] = (0.27, 0.56, 0.87)  # the rate is divided by 10 after these shares of the epochs

    def __post_init__(self) -> None:
        at_least(1, epochs=self.epochs, batch=self.batch)
        at_least(
            0, lr=self.lr, momentum=self.momentum, weight_decay=self.weight_decay, drops=min(self.drops, default=0)
        )


@dataclass(frozen=True)
class Spec:
    """A net: its layers by name, in order, and the images that it takes.

    layers:      conv1 first; the other convolutions are conv2, conv3, ...: `cross_columns` holds these numbers.
    input_size:  height and width of the crop that the net sees.
    columns:     how many parts the kernels of a convolution are divided into; two in the paper.
    pixel_scale: what pixels (0 ... 255, minus their mean) are divided by; 1 in the paper.
    bias_lr:     the learning rate of biases, as a multiple of that of weights.
    bias_decay:  does weight decay shrink biases too?
    Raises UsageError, as its layers do, for numbers out of range and for names of layers that are no names.
    """

    name: str
    layers: dict[str, LayerSpec]
    input_size: int = 224
    columns: int = 2
    pixel_scale: float = 1.0
    bias_lr: float = 1.0
    bias_decay: bool = True
    recipe: Recipe = field(default_factory=Recipe)

    def __post_init__(self) -> None:
        at_least(1, input_size=self.input_size, columns=self.columns)
        at_least(0, bias_lr=self.bias_lr)
        if not self.pixel_scale > 0:
            raise UsageError(f"got pixel_scale={self.pixel_scale}: expected a number above 0")
        for name in self.layers:
            if not name.isidentifier():
                raise UsageError(f"got the layer name {name[:40]!r}: expected letters, digits and _, such as conv1")


def stored_size(input_size: int) -> int:
    """The size of the images that crops of input_size are taken from: 8/7 of it, in steps of 4 (section 4.1).

    256 for crops of 224 as in the paper, and of 227 as in Caffe; 36 for 32, 72 for 64.
    """
    return max(input_size, input_size * 8 // 7 // 4 * 4)


def usual_classes(spec: Spec) -> int:
    """The classes of the images that a net is made for: 10 as in CIFAR-10, of 32 x 32 images; else ImageNet's 1000."""
    return 10 if spec.input_size == 32 else 1000
