"""The net: layers in a row, built from a spec (Krizhevsky, Sutskever & Hinton 2012, section 3.5 and figure 2).

Axes: N images, 3 colours, H, W height and width, K classes.
"""

from collections.abc import Callable, MutableMapping, Sequence
from itertools import pairwise
from typing import TYPE_CHECKING, Any, cast

from numpy.random import Generator, default_rng

from tinyalex import spec as nets
from tinyalex.backend import Array, computing, device_scope, to_device
from tinyalex.columns import Devices, Pair, halved, in_one, in_two
from tinyalex.count import Row, count, summary
from tinyalex.errors import TinyAlexError, UsageError
from tinyalex.layers import (
    Conv2D,
    Dropout,
    Flatten,
    Layer,
    Linear,
    LocalResponseNorm,
    MaxPool2D,
    ReLU,
    SoftmaxCrossEntropy,
    SpatialResponseNorm,
    Tanh,
)
from tinyalex.layers.loss import softmax
from tinyalex.parameters import Column, NamedArrays

if TYPE_CHECKING:
    from tinyalex.step import Recording


class AlexNet:
    """AlexNet: five convolutions and three fully connected layers between an image and K logits.

    variant: the name of a net in `tinyalex.spec` ("paper", "cuda-convnet", "caffe", "torchvision", "mini", ...), or a
        Spec of one's own.   input_size: height and width of the images, if other than the variant's.
    num_classes: K.   dropout: the probability that a hidden unit of fc6 and fc7 is dropped.
    cross_columns: the convolutions that read the maps of both columns (section 3.2).
    seed: the initial weights and, apart from them, the dropout masks are drawn from it.
    dtype: "float32", or "float64" for gradient checks; the initial weights are the same numbers in both.
    devices: None, the CPU; one name, such as "cuda:0" or ("cuda:0",), for the whole net; two names such as
        ("cuda:0", "cuda:1"), ("cuda:0", "cuda:0") or ("cpu:0", "cpu:1"), for a column each.
    kernels: "auto", "numba" or "reference", as in `tinyalex.backend.use_kernels`; "auto" follows what is in force.
    threads: how many threads the compiled kernels use; None: TINYALEX_THREADS, or the cores that the process may use.
    layers: name -> layer, in order.   criterion: the softmax cross-entropy that `loss` uses.
    masks: the random generator of the dropout masks.
    device: where images and labels are moved to and logits come from: the one device, or the first of two; else None.
    Raises UsageError or ShapeError for settings that no net fits.
    """

    def __init__(
        self,
        variant: str | nets.Spec = "paper",
        *,
        num_classes: int = 1000,
        input_size: int | None = None,
        seed: int = 0,
        dtype: str = "float32",
        dropout: float = 0.5,
        cross_columns: tuple[int, ...] = (3,),
        devices: str | Sequence[str] | None = None,
        kernels: str = "auto",
        threads: int | None = None,
    ) -> None:
        if dtype not in ("float32", "float64"):
            raise UsageError(f"dtype={dtype!r}: expected 'float32' or 'float64'")
        self.spec = nets.variant(variant) if isinstance(variant, str) else variant
        self.input_size = self.spec.input_size if input_size is None else input_size
        self.num_classes, self.dropout, self.dtype = num_classes, dropout, dtype
        self.cross_columns, self.kernels, self.threads = tuple(cross_columns), kernels, threads
        with computing(kernels, threads):  # so that what they do not know is refused here
            self.rows = count(self.spec, num_classes, self.input_size, self.cross_columns)
        self.masks = default_rng([seed, 1])
        weights = default_rng(seed)
        self.layers: dict[str, Layer] = {row.name: self._layer(row, weights) for row in self.rows}
        self.criterion = SoftmaxCrossEntropy()
        self.devices: Devices | None = None
        self.device: str | None = None
        self.place(devices)

    def _layer(self, row: Row, weights: Generator) -> Layer:
        """The layer that a row of the counted spec describes."""
        match row.layer:
            case nets.Conv() as conv:
                return Conv2D(
                    row.in_shape[0],
                    conv.kernels,
                    conv.size,
                    stride=conv.stride,
                    pad=conv.pad,
                    groups=row.groups,
                    ceil_mode=conv.ceil_mode,
                    **self._initial(row, conv.initial),
                    rng=weights,
                    dtype=self.dtype,
                )
            case nets.Full() as full:
                return Linear(
                    row.in_shape[0],
                    row.out_shape[0],
                    **self._initial(row, full.initial),
                    rng=weights,
                    dtype=self.dtype,
                )
            case nets.Pool() as pool:
                return MaxPool2D(pool.size, pool.stride, ceil_mode=pool.ceil_mode)
            case nets.Norm() as norm:
                return LocalResponseNorm(
                    norm.size,
                    norm.alpha,
                    norm.beta,
                    norm.k,
                    groups=row.groups,
                    alpha_over_size=norm.alpha_over_size,
                )
            case nets.SpatialNorm() as norm:
                return SpatialResponseNorm(norm.size, norm.alpha, norm.beta)
            case nets.Drop() as drop:
                return Dropout(self.dropout, rng=self.masks, scale_at=drop.scale_at)
            case nets.Flat():
                return Flatten()
            case nets.Activation() as activation:
                return Tanh() if activation.kind == "tanh" else ReLU()

    def _initial(self, row: Row, initial: nets.Initial) -> dict[str, float]:
        fan_in = row.parameters // row.out_shape[0] - 1  # the weights of one kernel or unit, without its bias
        return {"init_std": initial.std_for(fan_in), "init_bias": initial.bias}

    # ------------------------------------------------------------ forward and backward

    def forward(self, x: Array, *, train: bool = False, upto: str | None = None) -> Array:
        """The logits: x (N, 3, H, W) -> (N, K); or, with `upto`, the output of the layer of that name."""
        if upto is not None and upto not in self.layers:
            raise UsageError(f"no layer is called {upto!r}: expected one of {', '.join(self.layers)}")
        fused = self._relu_after_conv()
        x = self.taken_in(x)
        with computing(self.kernels, self.threads, self.device):
            for name, layer in self.layers.items():
                try:
                    if _is(layer, Conv2D):  # it does the work of its ReLU too, unless it is looked at alone
                        x = cast(Conv2D, layer).forward(x, train=train, relu=name in fused and name != upto)
                    elif name in fused.values():
                        x = cast(ReLU, layer).keep(x, train=train)
                    else:
                        x = layer.forward(x, train=train)
                except TinyAlexError as error:
                    raise type(error)(f"{name}: {error}") from None
                if name == upto:
                    break
        return self.devices.join(x) if self.devices else x

    def taken_in(self, x: Array) -> Any:
        """x where the first layer reads it: as it is, on the net's device, or on both of two."""
        if self.devices:
            return self.devices.copies(x)
        return to_device(x, self.device) if self.device else x

    def taken_back(self, dlogits: Array) -> Any:
        """dlogits where the last layer reads them: as they are, on the net's device, or a half on each of two."""
        if self.devices:
            return self.devices.spread(dlogits, halved(dlogits.shape[1]))
        return to_device(dlogits, self.device) if self.device else dlogits

    def _relu_after_conv(self) -> dict[str, str]:
        """The names of the convolutions that a ReLU follows, each with that of the ReLU."""
        pairs = pairwise(self.layers.items())
        return {one: two for (one, conv), (two, relu) in pairs if _is(conv, Conv2D) and _is(relu, ReLU)}

    def backward(
        self, dlogits: Array, *, input_gradient: bool = True, done: Callable[[Layer], None] | None = None
    ) -> Array:
        """dlogits (N, K) -> dx (N, 3, H, W), and dL/dparams in `grads`; after `forward(x, train=True)`.

        With input_gradient=False the first layer leaves dx out, as training needs none of the images.
        done: called with each layer, last one first, as soon as its gradients are there.
        """
        dy = self.taken_back(dlogits)
        with computing(self.kernels, self.threads, self.device):
            for layer in reversed(self.layers.values()):
                if layer is self.layers["conv1"]:
                    dy = cast(Conv2D, layer).backward(dy, input_gradient=input_gradient)
                else:
                    dy = layer.backward(dy)
                if done:
                    done(layer)
        return dy

    def loss(self, x: Array, labels: Array, *, train: bool = False) -> Any:
        """The mean cross-entropy of images x (N, 3, H, W) with labels (N,), in nats: a float, on a GPU an array of one.

        With `train=True`, `net.backward(net.criterion.backward())` then gives the gradients.
        """
        return self.criterion.forward(self.forward(x, train=train), labels)

    def predict(self, x: Array) -> Array:
        """The probability of each class: x (N, 3, H, W) -> (N, K), rows that sum to 1."""
        logits = self.forward(x)
        with computing(self.kernels, self.threads, self.device):
            return softmax(logits)

    def record(
        self,
        x: Array,
        labels: Array | Sequence[int] | None = None,
        *,
        classes: Sequence[str] = (),
        pictures: Sequence[Array] | None = None,
    ) -> "Recording":
        """A pass of images x (N, 3, H, W) with every array on the way, to step through (`tinyalex.step`).

        With labels (N,) a training pass, dropout at work: forward, the loss, and backward. Without, forward as when
        testing. Nothing is changed by it: the next pass of the net computes the same numbers.
        classes: the names of the classes.   pictures: what people see in place of x, N of (H, W, 3) uint8.
        """
        from tinyalex.step import record

        return record(self, x, labels, classes=classes, pictures=pictures)

    # ------------------------------------------------------------ where it lives

    def place(self, devices: str | Sequence[str] | None) -> None:
        """Move the parameters: all to one device, to two a column each, or with None to the CPU.

        Gradients go along, but begin anew where columns come apart or together; an optimiser of before stays behind.
        Raises UsageError for another number of devices, one that is not there, or a net that does not come apart.
        """
        names = (devices,) if isinstance(devices, str) else tuple(devices or ())
        if devices is not None and not 1 <= len(names) <= 2:
            raise UsageError(f"devices={names}: expected one, or two for a column each, such as ('cuda:0', 'cuda:1')")
        for name in names:
            device_scope(name)  # raises for one that is not there, before anything moves
        target = Devices(names) if len(names) == 2 else None
        layers = in_one(self.layers) if self.devices else self.layers
        if target:
            self.layers = in_two(layers, self.rows, target)
        else:
            self.layers = layers
            for layer in layers.values():
                layer.move_to(names[0] if names else "cpu")
        self.devices, self.device = target, names[0] if names else None
        self.params: MutableMapping[str, Array] = NamedArrays(self.layers, "params")

    @property
    def columns(self) -> "list[AlexNet | Column]":
        """What an optimiser updates: the net itself, or each of its columns on its own device."""
        if not self.devices:
            return [self]
        return [
            Column({name: cast(Pair[Layer], pair).halves[number] for name, pair in self.layers.items()})
            for number in (0, 1)
        ]

    # ------------------------------------------------------------ looking at it

    @property
    def grads(self) -> MutableMapping[str, Array]:
        """The gradients of the last backward, named and ordered as `params`."""
        return NamedArrays(self.layers, "grads")

    @property
    def last_hidden(self) -> str:
        """The name of the layer whose output, 4,096 numbers in the paper, feeds the logits (figure 4, right)."""
        return [row.name for row in self.rows if isinstance(row.layer, nets.Activation)][-1]

    def summary(self) -> str:
        """A table of the layers: kernel, output shape, parameters, multiply-adds, and their sums."""
        return summary(self.rows)


def _is(layer: Layer, kind: type[Layer]) -> bool:
    """Is the layer, or each half of it, of that kind?"""
    return isinstance(layer.whole if isinstance(layer, Pair) else layer, kind)
