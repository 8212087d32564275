"""One pass through a net, forward and backward, with every array on the way kept to be looked at.

Recording changes nothing: the numbers are those of `net.forward` and `net.backward` bit for bit, and the net is after
it what it was before, its gradients and its random numbers included.

Axes: N images, 3 colours, H, W height and width, K classes.
"""

from __future__ import annotations

import copy
import time
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np

from tinyalex.backend import Array, computing, to_numpy
from tinyalex.columns import Pair
from tinyalex.errors import ShapeError, TinyAlexError
from tinyalex.layers import Layer, SoftmaxCrossEntropy
from tinyalex.layers.loss import softmax
from tinyalex.step.explain import explanation
from tinyalex.step.recording import Recording
from tinyalex.step.steps import Step

if TYPE_CHECKING:
    from tinyalex.net import AlexNet

R = TypeVar("R")


def record(
    net: AlexNet,
    x: Array,
    labels: Array | Sequence[int] | None = None,
    *,
    classes: Sequence[str] = (),
    pictures: Sequence[Array] | None = None,
) -> Recording:
    """The pass of images x (N, 3, H, W) through the net: see AlexNet.record."""
    if labels is not None:
        labels = np.asarray(labels)
    if pictures is not None and len(pictures) != len(x):
        raise ShapeError(f"{len(pictures)} pictures for {len(x)} images: expected one each")
    masks = net.masks.bit_generator.state
    try:
        tested, _ = _Pass(net).run(x, None)
        _Pass(net).run(x, labels)  # so that no step's time is that of compiling its kernel
        net.masks.bit_generator.state = masks
        steps, loss = _Pass(net).run(x, labels)
    finally:
        net.masks.bit_generator.state = masks
    return Recording(net, steps, labels, loss, softmax(tested[-1].y), classes, pictures)


class _Pass:
    """The net's layers with caches and gradients of their own, its parameters shared, and what they compute."""

    def __init__(self, net: AlexNet) -> None:
        self.net, self.layers = net, {name: _apart(layer) for name, layer in net.layers.items()}
        self.rows = {row.name: row for row in net.rows}

    def run(self, x: Array, labels: Array | None) -> tuple[list[Step], float | None]:
        """The steps, and the loss."""
        with computing(self.net.kernels, self.net.threads, self.net.device):
            forward, logits = self._forward(x, train=labels is not None)
            if labels is None:
                return forward, None
            turn, dlogits, loss = self._loss(logits, labels)
            return [*forward, turn, *self._backward(dlogits)], loss

    def _forward(self, x: Array, train: bool) -> tuple[list[Step], Array]:
        """The forward steps, and the logits where they were computed."""
        steps = []
        read, fed = x, self.net.taken_in(x)
        for name, layer in self.layers.items():
            try:
                fed, y, seconds = self._timed(layer.forward, fed, train=train)
            except TinyAlexError as error:
                raise type(error)(f"{name}: {error}") from None
            row = self.rows[name]
            whole, operations = _whole(layer), row.multiply_adds * len(x)
            kept = _kept(layer) if train else {}
            step = Step(
                name, "forward", whole, row, to_numpy(read), y, kept=kept, operations=operations, seconds=seconds
            )
            steps.append(step)
            read = y
        return steps, self._joined(fed)

    def _loss(self, logits: Array, labels: Array) -> tuple[Step, Array, float]:
        """The step in which the pass turns round, the gradient where it was computed, and the mean loss."""
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
        steps = []
        came, fed = dlogits, self.net.taken_back(dlogits)
        for name, layer in reversed(self.layers.items()):
            fed, dx, seconds = self._timed(layer.backward, fed)
            row = self.rows[name]
            whole, operations = _whole(layer), 2 * row.multiply_adds * len(dlogits)
            dy, grads = to_numpy(came), self._grads(layer)
            step = Step(name, "backward", whole, row, dy=dy, dx=dx, grads=grads, operations=operations, seconds=seconds)
            steps.append(step)
            came = dx
        return steps

    def _timed(self, compute: Callable[..., R], *given: Any, **options: Any) -> tuple[R, Array, float]:
        """What a layer computed, the same as one array on the host, and how long it took."""
        began = time.perf_counter()
        result = compute(*given, **options)
        return result, to_numpy(self._joined(result)), time.perf_counter() - began

    def _joined(self, result: Any) -> Array:
        """One array of what may lie in two columns."""
        return self.net.devices.join(result) if isinstance(result, list) and self.net.devices else result

    def _grads(self, layer: Layer) -> dict[str, Array]:
        devices = self.net.devices
        parts = [part.grads for part in _parts(layer)]
        if devices:
            return {key: to_numpy(devices.join([part[key] for part in parts], axis=0)) for key in parts[0]}
        return {key: to_numpy(array) for key, array in parts[0].items()}


def _apart(layer: Layer) -> Layer:
    """The layer with a cache and gradients of its own; the parameters are the same arrays."""
    twin = copy.copy(layer)
    if isinstance(twin, Pair):
        twin.halves = [copy.copy(half) for half in twin.halves]
    return twin


def _whole(layer: Layer) -> Layer:
    """The layer as on one device."""
    return layer.whole if isinstance(layer, Pair) else layer


def _parts(layer: Layer) -> list[Layer]:
    """The halves of a layer in two columns, or the layer itself."""
    return layer.halves if isinstance(layer, Pair) else [layer]


def _kept(layer: Layer) -> dict[str, int]:
    """Name -> bytes of the arrays that a layer keeps for its backward."""
    kept = dict.fromkeys(explanation(layer).kept, 0)
    for part in _parts(layer):
        cache = part._cache if isinstance(part._cache, tuple) else (part._cache,)
        arrays = [one for one in cache if hasattr(one, "nbytes")]
        for name, array in zip(kept, arrays, strict=True):
            kept[name] += array.nbytes
    return kept
