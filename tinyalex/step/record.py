"""One pass through a net, forward and backward, with every array on the way kept to be looked at.

Recording changes nothing: the numbers are those of `net.forward` and `net.backward` bit for bit, and the net is after
it what it was before, its gradients and its random numbers included.

Axes: N images, 3 colours, H, W height and width, K classes.
"""

from __future__ import annotations

import copy
import math
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, NamedTuple, TypeVar

import numpy as np

from tinyalex.backend import Array, computing, to_numpy
from tinyalex.columns import Pair, halved
from tinyalex.errors import ShapeError, TinyAlexError, UsageError
from tinyalex.layers import Layer, SoftmaxCrossEntropy
from tinyalex.layers.loss import softmax
from tinyalex.step.explain import Explanation, Formula, explanation
from tinyalex.step.field import Box, receptive_field
from tinyalex.step.picture import as_picture

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from tinyalex.count import Row
    from tinyalex.net import AlexNet

Direction = Literal["forward", "backward"]
R = TypeVar("R")


class Statistics(NamedTuple):
    """Of all numbers of an array: the least, the largest, the mean, the Euclidean norm, and the share that is 0."""

    min: float
    max: float
    mean: float
    norm: float
    zeros: float


@dataclass(frozen=True, eq=False)
class Step:
    """One layer in one direction.

    name: of the layer, "loss" for the loss.   layer: its settings, as on one device.   row: the layer, counted
        (None for the loss).
    x, y: what went in and came out, (N, C, H, W) or (N, D); of the loss, the logits and the probabilities.
    dy, dx: the gradients that came in and went out, shaped as y and x; of a forward step None, but the loss has dx.
    grads: of a backward step, the gradients of "w" and "b".
    kept: the arrays that wait for the backward step, name -> bytes; empty where there is none to come.
    operations: multiply-adds for all N images; backward twice those of forward, for dx and for dw.
    seconds: how long it took, until the result was there on the host.
    """

    name: str
    direction: Direction
    layer: Any
    row: Row | None
    x: Array = None
    y: Array = None
    dy: Array = None
    dx: Array = None
    grads: dict[str, Array] = field(default_factory=dict)
    kept: dict[str, int] = field(default_factory=dict)
    operations: int = 0
    seconds: float = 0.0

    @property
    def explanation(self) -> Explanation:
        """What there is to say about this kind of layer."""
        return explanation(self.layer)

    @property
    def section(self) -> str:
        """The section of the paper."""
        return self.explanation.section

    @property
    def _said(self) -> Formula:
        return self.explanation.forward if self.direction == "forward" else self.explanation.backward

    @property
    def formula(self) -> str:
        """What is computed, as plain text."""
        return self._said.text

    @property
    def latex(self) -> str:
        """What is computed, in LaTeX."""
        return self._said.latex

    @property
    def meaning(self) -> str:
        """What happens, in a sentence."""
        return self._said.meaning

    @property
    def arrays(self) -> dict[str, Array]:
        """All arrays of the step by name: x, y, dy, dx, and the gradients as dw and db."""
        found = {"x": self.x, "y": self.y, "dy": self.dy, "dx": self.dx}
        found |= {f"d{key}": array for key, array in self.grads.items()}
        return {name: array for name, array in found.items() if array is not None}

    @property
    def shapes(self) -> dict[str, tuple[int, ...]]:
        """The shape of each array."""
        return {name: array.shape for name, array in self.arrays.items()}

    @cached_property
    def statistics(self) -> dict[str, Statistics]:
        """What the numbers of each array are like; computed when first asked for."""
        return {name: statistics(array) for name, array in self.arrays.items()}

    def __repr__(self) -> str:
        shapes = ", ".join(f"{name} {shape}" for name, shape in self.shapes.items())
        return f"<{self.name} {self.direction}: {shapes}>"


class Both(NamedTuple):
    """A layer's two steps. The loss is one step, the turning point; without labels nothing comes back."""

    forward: Step
    backward: Step | None


class Recording(Sequence[Step]):
    """A recorded pass: its steps in the order in which they happened, forward, the loss, and backward.

    pass_[3]: a step by its number; pass_["conv2"]: the two steps of a layer, `.forward` and `.backward`.
    labels: (N,), or None; then there are forward steps only.   loss: the mean loss in nats, None without labels.
    probabilities: of each class, (N, K), when testing: without dropout, unlike the `y` of the loss.
    classes: the names of the classes, if known.   pictures: what people see in place of x, N of (H, W, 3) uint8.
    rows, params: of the net: its layers, counted, and its parameters by name, as they were.
    """

    def __init__(
        self,
        net: AlexNet,
        steps: Sequence[Step],
        labels: Array | None,
        loss: float | None,
        probabilities: Array,
        classes: Sequence[str],
        pictures: Sequence[Array] | None,
    ) -> None:
        self.rows, self.variant = net.rows, net.spec.name
        self.params = {name: np.array(to_numpy(array)) for name, array in net.params.items()}
        self.steps, self.labels, self.loss, self.probabilities = tuple(steps), labels, loss, probabilities
        self.classes = tuple(classes) or tuple(str(k) for k in range(net.num_classes))
        self.pictures = [as_picture(one) for one in self.x] if pictures is None else list(pictures)
        self._by_name: dict[str, Both] = {}
        for step in self.steps:
            if step.direction == "forward":
                self._by_name[step.name] = Both(step, None)
            else:
                self._by_name[step.name] = self._by_name[step.name]._replace(backward=step)

    def __len__(self) -> int:
        return len(self.steps)

    def __getitem__(self, key: Any) -> Any:
        if isinstance(key, str):
            if key not in self._by_name:
                raise UsageError(f"no layer is called {key!r}: expected one of {', '.join(self._by_name)}")
            return self._by_name[key]
        return self.steps[key]

    def __iter__(self) -> Iterator[Step]:
        return iter(self.steps)

    @property
    def names(self) -> tuple[str, ...]:
        """The layers, and the loss if there is one, in forward order."""
        return tuple(self._by_name)

    @property
    def x(self) -> Array:
        """The images (N, 3, H, W)."""
        return self.steps[0].x

    def field(self, name: str, cell: tuple[int, int] | None = None) -> Box:
        """The pixels of the image that a cell of a layer depends on; see `tinyalex.step.field.receptive_field`."""
        return receptive_field(self.rows, name, cell)

    def show(
        self,
        layer: str,
        cell: tuple[int, int] | None = None,
        channel: int | None = None,
        direction: Direction = "forward",
        *,
        other: int | None = None,
        image: int = 0,
    ) -> Figure:
        """Draw a layer's step about one cell: its receptive field, the maps and the kernel, and why it has its number.

        cell: (row, column) of the output, or backward of the input's gradient.   channel: its map, or the unit.
        other: for a convolution, the map of the other side: the input map, or backward the kernel.
        What is not given is the strongest. Raises UsageError or ShapeError for what the pass does not have.
        """
        from tinyalex.step.look import look
        from tinyalex.step.show import show

        return show(look(self, layer, cell=cell, channel=channel, other=other, direction=direction, image=image))

    def widget(self, *, image: int = 0) -> Any:
        """The pass in a notebook: buttons, a map to click, and the figure that `show` draws of the cell.

        Raises UsageError where ipywidgets and anywidget are not installed.
        """
        try:
            from tinyalex.step.widget import PassWidget
        except ImportError as error:
            raise UsageError(
                f"the widget needs {error.name}: pip install 'tinyalex[notebooks]'; `show` draws the same without it"
            ) from None
        return PassWidget(self, image)

    def to_html(self, path: str | Path, *, image: int = 0) -> Path:
        """Write the pass of one image as a page of its own; see `tinyalex.step.page.to_html`."""
        from tinyalex.step.page import to_html

        return to_html(self, path, image=image)

    def __repr__(self) -> str:
        way = "forward" if self.loss is None else f"forward and backward, loss {self.loss:.4g}"
        return f"<a pass through {self.variant}: {len(self.x)} images, {len(self)} steps, {way}>"


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
        _Pass(net).run(x, labels)  # so that no step's time is that of compiling its kernel
        net.masks.bit_generator.state = masks
        steps, loss = _Pass(net).run(x, labels)
    finally:
        net.masks.bit_generator.state = masks
    return Recording(net, steps, labels, loss, to_numpy(net.predict(x)), classes, pictures)


class _Pass:
    """The net's layers with caches and gradients of their own, its parameters shared, and what they compute."""

    def __init__(self, net: AlexNet) -> None:
        self.net, self.layers = net, {name: _apart(layer) for name, layer in net.layers.items()}
        self.rows = {row.name: row for row in net.rows}

    def run(self, x: Array, labels: Array | None) -> tuple[list[Step], float | None]:
        """The steps, and the loss."""
        with computing(self.net.kernels, self.net.threads):
            forward = self._forward(x, train=labels is not None)
            if labels is None:
                return forward, None
            turn, loss = self._loss(forward[-1].y, labels)
            return [*forward, turn, *self._backward(turn.dx)], loss

    def _forward(self, x: Array, train: bool) -> list[Step]:
        steps = []
        read, fed = x, self.net.devices.copies(x) if self.net.devices else x
        for name, layer in self.layers.items():
            try:
                fed, y, seconds = self._timed(layer.forward, fed, train=train)
            except TinyAlexError as error:
                raise type(error)(f"{name}: {error}") from None
            row = self.rows[name]
            kept, operations = _kept(layer) if train else {}, row.multiply_adds * len(x)
            whole = layer.whole if isinstance(layer, Pair) else layer
            step = Step(name, "forward", whole, row, read, y, kept=kept, operations=operations, seconds=seconds)
            steps.append(step)
            read = y
        return steps

    def _loss(self, logits: Array, labels: Array) -> tuple[Step, float]:
        began = time.perf_counter()
        criterion = SoftmaxCrossEntropy()
        loss = criterion.forward(logits, labels)
        p = softmax(logits)
        dlogits = criterion.backward()
        seconds = time.perf_counter() - began
        kept = {"p": p.nbytes}
        return Step("loss", "forward", criterion, None, logits, p, dx=dlogits, kept=kept, seconds=seconds), loss

    def _backward(self, dlogits: Array) -> list[Step]:
        steps, devices = [], self.net.devices
        came, fed = dlogits, devices.spread(dlogits, halved(dlogits.shape[1])) if devices else dlogits
        for name, layer in reversed(self.layers.items()):
            fed, dx, seconds = self._timed(layer.backward, fed)
            row = self.rows[name]
            whole, grads = layer.whole if isinstance(layer, Pair) else layer, self._grads(layer)
            operations = 2 * row.multiply_adds * len(dlogits)
            steps.append(
                Step(name, "backward", whole, row, dy=came, dx=dx, grads=grads, operations=operations, seconds=seconds)
            )
            came = dx
        return steps

    def _timed(self, compute: Callable[..., R], *given: Any, **options: Any) -> tuple[R, Array, float]:
        """What a layer computed, the same as one array on the host, and how long it took."""
        began = time.perf_counter()
        result = compute(*given, **options)
        whole = self.net.devices.join(result) if isinstance(result, list) and self.net.devices else result
        return result, to_numpy(whole), time.perf_counter() - began

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


def statistics(array: Array) -> Statistics:
    """What the numbers of an array are like; sums are of float64."""
    numbers = array.ravel(order="K")
    norm = math.sqrt(float(np.einsum("i,i", numbers, numbers, dtype="float64")))  # nothing as large again is made
    zeros = 1 - np.count_nonzero(numbers) / numbers.size
    return Statistics(float(numbers.min()), float(numbers.max()), float(numbers.mean(dtype="float64")), norm, zeros)
