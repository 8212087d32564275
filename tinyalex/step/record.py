"""Recording: one pass through a net, forward and backward, that keeps every array on the way.

The numbers are those of `net.forward` and `net.backward`, bit for bit. Recording does not change the net: its
parameters, gradients and random numbers are the same before and after.

Axes: N images, 3 colours, H, W height and width, K classes.
"""

import time
from collections.abc import Callable, Sequence
from typing import Any, TypeVar

import numpy as np

from tinyalex.backend import Array, to_numpy
from tinyalex.errors import ShapeError, TinyAlexError
from tinyalex.layers import Layer, SoftmaxCrossEntropy
from tinyalex.layers.loss import softmax
from tinyalex.net import AlexNet
from tinyalex.plan import forward_plan
from tinyalex.step.explain import explanation
from tinyalex.step.recording import Recording
from tinyalex.step.steps import Step

R = TypeVar("R")


def record(
    net: AlexNet,
    x: Array,
    labels: Array | Sequence[int] | None = None,
    *,
    classes: Sequence[str] = (),
    pictures: Sequence[Array] | None = None,
) -> Recording:
    """Run images x (N, 3, H, W) through the net and keep every array on the way, to step through.

    With labels (N,) it is a training pass: forward with dropout, the loss, backward. Without labels it is a forward
    pass as in testing, without dropout. The net stays as it was: its parameters, gradients and random numbers.
    classes: the K names of the classes.   pictures: the same crops as people see them, N of (H, W, 3) uint8; without
    them x itself is shown, its range stretched from black to white.
    Raises ShapeError for images that do not fit the net, for names or pictures of another number, and for pictures that
    are not (H, W, 3) uint8 of its size; LabelError for labels that are not among the K classes.
    """
    if labels is not None:
        labels = np.asarray(labels)
    if pictures is not None and len(pictures) != len(x):
        raise ShapeError(f"got {len(pictures)} pictures for {len(x)} images: expected one for each image")
    if len(classes) not in (0, net.num_classes):
        raise ShapeError(f"got {len(classes)} names of classes: expected {net.num_classes}, one for each class")
    for picture in () if pictures is None else pictures:
        if picture.shape != (*x.shape[2:], 3) or picture.dtype != "uint8":
            raise ShapeError(
                f"got a picture {picture.shape} in {picture.dtype}: expected {(*x.shape[2:], 3)} in uint8, the crop "
                "that the net sees"
            )
    random_state = net.mask_rng.bit_generator.state  # so that every pass draws the same dropout masks
    try:
        tested, _ = _Pass(net).run(x, None)
        _Pass(net).run(x, labels)  # the first pass compiles kernels, so only the second one is timed
        net.mask_rng.bit_generator.state = random_state
        steps, loss = _Pass(net).run(x, labels)
    finally:
        net.mask_rng.bit_generator.state = random_state
    return Recording(net, steps, labels, loss, softmax(tested[-1].y), classes, pictures)


class _Pass:
    """One pass through copies of the net's layers, which share the parameters but have their own caches and gradients.

    plan: a call for each layer in forward order; no convolution applies its ReLU, so every layer has its own output.
    """

    def __init__(self, net: AlexNet) -> None:
        self.net, self.plan = net, forward_plan(net.rows, fused={})
        self.layers = {name: layer.apart() for name, layer in net.layers.items()}

    def run(self, x: Array, labels: Array | None) -> tuple[list[Step], float | None]:
        """The steps, and the mean loss; None without labels."""
        with self.net.computing():
            forward, logits = self._forward(x, train=labels is not None)
            if labels is None:
                return forward, None
            turn, dlogits, loss = self._loss(logits, labels)
            return [*forward, turn, *self._backward(dlogits)], loss

    def _forward(self, x: Array, train: bool) -> tuple[list[Step], Array]:
        """The forward steps, and the logits on the net's own device."""
        steps = []
        read, fed = to_numpy(x), self.net.images_to_devices(x)  # a layer's input: on the host, on the net's devices
        for call in self.plan:
            layer = self.layers[call.name]
            try:
                fed, y, seconds = self._timed(layer.forward, fed, train=train)
            except TinyAlexError as error:
                raise type(error)(f"{call.name}: {error}") from None
            steps.append(
                Step(
                    call.name,
                    "forward",
                    layer.whole,
                    call.row,
                    read,
                    y,
                    kept=_kept(layer) if train else {},
                    operations=call.row.multiply_adds * len(x),
                    seconds=seconds,
                )
            )
            read = y
        return steps, self._joined(fed)

    def _loss(self, logits: Array, labels: Array) -> tuple[Step, Array, float]:
        """The step of the loss, the gradient of the logits on the net's own device, and the mean loss."""
        began = time.perf_counter()
        criterion = SoftmaxCrossEntropy()
        loss = float(criterion.forward(logits, labels))
        p = softmax(logits)
        dlogits = criterion.backward()
        seconds = time.perf_counter() - began
        x, y, dx = (to_numpy(array) for array in (logits, p, dlogits))
        step = Step("loss", "forward", criterion, None, x, y, dx=dx, kept={"p": p.nbytes}, seconds=seconds)
        return step, dlogits, loss

    def _backward(self, dlogits: Array) -> list[Step]:
        """The backward steps, from the last layer to the first."""
        steps = []
        dy, fed = to_numpy(dlogits), self.net.gradient_to_devices(dlogits)
        for call in reversed(self.plan):
            layer = self.layers[call.name]
            fed, dx, seconds = self._timed(layer.backward, fed)
            steps.append(
                Step(
                    call.name,
                    "backward",
                    layer.whole,
                    call.row,
                    dy=dy,
                    dx=dx,
                    grads={key: to_numpy(array) for key, array in layer.grads.items()},
                    operations=2 * call.row.multiply_adds * len(dlogits),
                    seconds=seconds,
                )
            )
            dy = dx
        return steps

    def _timed(self, compute: Callable[..., R], *given: Any, **options: Any) -> tuple[R, Array, float]:
        """The result of a layer, the same as one array on the host, and the seconds until it was there."""
        began = time.perf_counter()
        result = compute(*given, **options)
        return result, to_numpy(self._joined(result)), time.perf_counter() - began

    def _joined(self, result: Any) -> Array:
        """The result as one array; from two devices the halves are joined."""
        return self.net.devices.join(result) if isinstance(result, list) and self.net.devices else result


def _kept(layer: Layer) -> dict[str, int]:
    """Name -> bytes of each array that the layer keeps for its backward step."""
    kept = dict.fromkeys(explanation(layer.whole).kept, 0)
    for part in layer.parts():
        cache = part._cache if isinstance(part._cache, tuple) else (part._cache,)
        arrays = [one for one in cache if hasattr(one, "nbytes")]
        for name, array in zip(kept, arrays, strict=True):
            kept[name] += array.nbytes
    return kept
