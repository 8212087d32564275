"""The net: layers in a row, built from a spec (Krizhevsky, Sutskever & Hinton 2012, section 3.5 and figure 2).

Axes: N images, 3 colours, H, W height and width, K classes.
"""

from collections.abc import Callable, MutableMapping, Sequence
from contextlib import AbstractContextManager
from typing import Any, TypeVar

from numpy.random import default_rng

from tinyalex import spec as nets
from tinyalex.backend import Array, check_choices, computing, device_names, device_scope, to_device
from tinyalex.columns import TwoDevices, halved, in_one, in_two
from tinyalex.count import count, summary
from tinyalex.errors import TinyAlexError, UsageError
from tinyalex.layers import Conv2D, Layer, ReLU, SoftmaxCrossEntropy
from tinyalex.layers.build import build_layer
from tinyalex.layers.loss import softmax
from tinyalex.layers.trainable import Arrays, Trainable
from tinyalex.parameters import Column, NamedArrays
from tinyalex.plan import Call, forward_plan, fused_relus

R = TypeVar("R")


class AlexNet(Trainable):
    """AlexNet: five convolutions and three fully connected layers between an image and K logits.

    variant: the name of a net in `tinyalex.spec` ("paper", "cuda-convnet", "caffe", "torchvision", "mini", ...), or a
        Spec of your own.   input_size: height and width of the images, if other than the variant's.
    num_classes: K.   dropout: the probability that a hidden unit of fc6 and fc7 is dropped.
    cross_columns: the convolutions that read the maps of both columns (section 3.2).
    seed: the initial weights and, apart from them, the dropout masks are drawn from it. None: no weights are drawn, all
        parameters are zero; for a reader of a file, who fills them in.
    dtype: "float32", or "float64" for gradient checks; the initial weights are the same numbers in both.
    devices: None, the CPU; one name, such as "cuda:0" or ("cuda:0",), for the whole net; two names such as
        ("cuda:0", "cuda:1"), ("cuda:0", "cuda:0") or ("cpu:0", "cpu:1"), for a column each.
    kernels: "auto", "numba" or "reference", as in `tinyalex.backend.use_kernels`; "auto" follows what is in force.
    threads: how many threads the compiled kernels use; None: TINYALEX_THREADS, or the cores that the process may use.
    params, grads: the parameters, and the gradients of the last backward, by name: "conv1.w", "conv1.b", ...
    layers: name -> layer, in order.   criterion: the softmax cross-entropy that `loss` uses.
    rows: the layers, counted.   mask_rng: the generator of the dropout masks.
    device: where the net moves images to and returns logits from: the one device, or the first of two; else None.
    Raises UsageError or ShapeError for settings that contradict each other.
    """

    def __init__(
        self,
        variant: str | nets.Spec = "paper",
        *,
        num_classes: int = 1000,
        input_size: int | None = None,
        seed: int | None = 0,
        dtype: str = "float32",
        dropout: float = 0.5,
        cross_columns: tuple[int, ...] = (3,),
        devices: str | Sequence[str] | None = None,
        kernels: str = "auto",
        threads: int | None = None,
    ) -> None:
        if dtype not in ("float32", "float64"):
            raise UsageError(f"got dtype={dtype!r}: expected 'float32' or 'float64'")
        self.spec = nets.variant(variant) if isinstance(variant, str) else variant
        self.input_size = self.spec.input_size if input_size is None else input_size
        self.num_classes, self.dropout, self.dtype = num_classes, dropout, dtype
        self.cross_columns, self.kernels, self.threads = tuple(cross_columns), kernels, threads
        self.bias_lr, self.bias_decay = self.spec.bias_lr, self.spec.bias_decay
        self.devices: TwoDevices | None = None
        self.device: str | None = None
        check_choices(kernels, threads)
        self.rows = count(self.spec, num_classes, self.input_size, self.cross_columns)
        self.mask_rng, weight_rng = default_rng([seed or 0, 1]), None if seed is None else default_rng(seed)
        self.layers: dict[str, Layer] = {
            row.name: build_layer(row, dropout=dropout, dtype=dtype, weight_rng=weight_rng, mask_rng=self.mask_rng)
            for row in self.rows
        }
        self.criterion = SoftmaxCrossEntropy()
        self.place(devices)

    # ------------------------------------------------------------ forward and backward

    def forward(
        self,
        x: Array,
        *,
        train: bool = False,
        upto: str | None = None,
        seen: Callable[[str, Any], None] | None = None,
    ) -> Array:
        """The logits: x (N, 3, H, W) -> (N, K); or, with `upto`, the output of the layer of that name.

        seen: called with the name and the output of each layer, as soon as it is there; on two devices both halves.
        """
        x = self.images_to_devices(x)
        with self.computing():
            for call in self._calls(upto):
                try:
                    x = self._run_layer(call, x, train)
                except TinyAlexError as error:
                    raise type(error)(f"{call.name}: {error}") from None
                if seen:
                    seen(call.name, x)
        return self.devices.join(x) if self.devices else x

    def _calls(self, upto: str | None) -> list[Call]:
        """The plan of a forward pass; with `upto` the last layer of it does its own work only.

        A layer that somebody has replaced by one of another kind is not fused.
        """
        rows = self.rows
        if upto is not None:
            if upto not in self.layers:
                raise UsageError(f"got the layer name {upto!r}: expected one of {', '.join(self.layers)}")
            rows = rows[: list(self.layers).index(upto) + 1]
        kinds = {name: type(layer.whole) for name, layer in self.layers.items()}
        fused = fused_relus(rows).items()
        return forward_plan(rows, {conv: relu for conv, relu in fused if (kinds[conv], kinds[relu]) == (Conv2D, ReLU)})

    def _run_layer(self, call: Call, x: Any, train: bool) -> Any:
        """The output of one layer for x, called as the plan says."""
        layer: Any = self.layers[call.name]
        if call.takes_relu:
            return layer.forward(x, train=train, relu=True)
        if call.taken:
            return layer.keep(x, train=train)
        return layer.forward(x, train=train)

    def images_to_devices(self, x: Array) -> Any:
        """x as the first layer reads it: on the net's device, or a copy on each of two; unmoved for devices=None."""
        if self.devices:
            return self.devices.copies(x)
        return to_device(x, self.device) if self.device else x

    def gradient_to_devices(self, dlogits: Array) -> Any:
        """dlogits as the last layer reads them: on the net's device, or halved on two; unmoved for devices=None."""
        if self.devices:
            return self.devices.spread(dlogits, halved(dlogits.shape[1]))
        return to_device(dlogits, self.device) if self.device else dlogits

    def backward(
        self, dlogits: Array, *, input_gradient: bool = True, done: Callable[[Layer], None] | None = None
    ) -> Array:
        """dlogits (N, K) -> dx (N, 3, H, W), and dL/dparams in `grads`; after `forward(x, train=True)`.

        input_gradient=False: return None and save the work, as training needs no gradient of the images.
        done: called with each layer, last one first, as soon as its gradients are there.
        """
        dy = self.gradient_to_devices(dlogits)
        with self.computing():
            for row in reversed(self.rows):
                layer: Any = self.layers[row.name]
                first = row is self.rows[0]
                dy = layer.backward(dy, input_gradient=input_gradient) if first else layer.backward(dy)
                if done:
                    done(layer)
        return dy

    def loss(self, x: Array, labels: Array, *, train: bool = False) -> Any:
        """The mean cross-entropy of images x (N, 3, H, W) with labels (N,), in nats: a float, on a GPU an array of one.

        With `train=True`, `net.backward(net.criterion.backward())` then gives the gradients.
        """
        return self.criterion.forward(self.forward(x, train=train), labels)

    def predict(self, x: Array, *, seen: Callable[[str, Any], None] | None = None) -> Array:
        """The probability of each class: x (N, 3, H, W) -> (N, K), rows that sum to 1.   seen: as for `forward`."""
        logits = self.forward(x, seen=seen)
        with self.computing():
            return softmax(logits)

    # ------------------------------------------------------------ where it lives

    def place(self, devices: str | Sequence[str] | None) -> None:
        """Move the parameters: all to one device, a column each to two devices, or with None to the CPU.

        Gradients move too; those of two columns start at zero where the columns are joined or placed anew. Make a new
        optimiser then: an old one still updates the old arrays.
        Raises UsageError for another number of devices, a device that does not exist, or a net that cannot be split.
        """
        names = device_names(devices)
        if devices is not None and not 1 <= len(names) <= 2:
            raise UsageError(f"got devices={names}: expected one, or one for each column, as in ('cuda:0', 'cuda:1')")
        for name in names:
            device_scope(name)  # raises for a device that does not exist, before anything moves
        target = TwoDevices(names) if len(names) == 2 else None
        layers = in_one(self.layers) if self.devices else self.layers
        if target:
            self.layers = in_two(layers, self.rows, target)
        else:
            self.layers = layers
            for layer in layers.values():
                layer.move_to(names[0] if names else "cpu")
        self.devices, self.device = target, names[0] if names else None
        self.params, self.grads = NamedArrays(self.layers, "params"), NamedArrays(self.layers, "grads")

    # ------------------------------------------------------------ what an optimiser asks for

    @property
    def columns(self) -> Sequence[Arrays]:
        """What an optimiser updates: the net itself, or each of its columns on its own device."""
        if not self.devices:
            return [self]
        return [Column({name: layer.parts()[number] for name, layer in self.layers.items()}) for number in (0, 1)]

    def each(self, work: Callable[[int], R]) -> list[R]:
        """work(number) for each column, on its own device and at the same time."""
        return self.devices.each(work) if self.devices else [work(0)]

    def joined(self, parts: Sequence[MutableMapping[str, Array]]) -> MutableMapping[str, Array]:
        """Arrays by name, of the whole net, where `parts` holds those of each column."""
        return self.devices.joined(lambda: parts) if self.devices else parts[0]

    def computing(self) -> AbstractContextManager[None]:
        """The block in which the net computes: with its kernels, threads and device."""
        return computing(self.kernels, self.threads, self.device)

    # ------------------------------------------------------------ looking at it

    @property
    def last_hidden(self) -> str:
        """The name of the layer whose output feeds the logits, dropout aside: 4,096 numbers in the paper (figure 4).

        Raises UsageError for a net that does not end in a fully connected layer.
        """
        *before, last = (row for row in self.rows if not isinstance(row.layer, nets.Drop))
        if not isinstance(last.layer, nets.Full):
            raise UsageError(f"got {self.spec.name}, which ends in {last.name}: expected a fully connected layer there")
        return before[-1].name

    def summary(self) -> str:
        """A table of the layers: kernel, output shape, parameters, multiply-adds, and their sums."""
        return summary(self.rows)
