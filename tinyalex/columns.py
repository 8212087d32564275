"""The net in two columns on two devices (Krizhevsky, Sutskever & Hinton 2012, section 3.2 and figure 2).

Half of the kernels of each layer, and half of the units, live on each device: a column. The columns compute side by
side and do not see each other, but for a few meeting points: conv3 and the fully connected layers read both columns.
There each column receives the other's half of the maps (all-gather); on the way back each has a gradient for all maps,
and receives the other's part of the gradient of its own half, to be added (reduce-scatter). Nothing else crosses.

Axes: N images, C maps or units of the whole layer; a column holds the first or the second half of them.
"""

import copy
import math
from collections.abc import Callable, Iterator, MutableMapping, Sequence
from concurrent.futures import ThreadPoolExecutor, wait
from contextvars import copy_context
from typing import Any, Generic, TypeVar

from tinyalex.backend import Array, device_scope, get_array_module, is_cpu, thread_count, to_device, use_threads
from tinyalex.backend.devices import Mark, mark, new_stream, wait_for
from tinyalex.count import Row
from tinyalex.errors import ShapeError, UsageError
from tinyalex.layers import Conv2D, Dropout, Layer, Linear, LocalResponseNorm

R = TypeVar("R")
L = TypeVar("L", bound=Layer)
Halves = Sequence[Array]  # two arrays, each on its device: the first and the second half along axis 1


class Devices:
    """Two devices, each with a thread, and on a GPU a stream, that computes on it; what passes between them is counted.

    names: "cpu:0", "cuda:1", ...; the same twice puts both columns on one device, on a GPU side by side in two streams.
    Two CPU devices have half of the cores each.   moved: bytes that went from one column to the other so far.
    """

    def __init__(self, names: Sequence[str]) -> None:
        self.names = column_names(names)
        self.moved = 0
        self._threads = [ThreadPoolExecutor(1, thread_name_prefix=f"tinyalex-{name}") for name in names]
        self._streams = [new_stream(name) for name in names]
        self._gpus = sorted({name for name in names if not is_cpu(name)})

    def each(self, work: Callable[[int], R]) -> list[R]:
        """[work(0), work(1)], each in the thread of its device, at the same time.

        For a GPU that is the time when the work has been queued. To whoever calls, `each` is like any other operation
        on the current streams: both columns' streams begin when those have come to this place, and those go on when
        both columns' have come to the end. So what a column computed may be read by the other column in the next
        `each`, and by the caller after this one; and memory given up meanwhile is not used again too soon.
        """
        share = max(1, thread_count() // max(1, sum(is_cpu(name) for name in self.names)))
        begun, ended = self._marks(), []

        def on_device(column: int) -> R:
            with device_scope(self.names[column]), self._streams[column], use_threads(share):
                self._wait_for(begun)
                try:
                    return work(column)
                finally:
                    ended.extend(self._marks())

        calls = [self._threads[column].submit(copy_context().run, on_device, column) for column in (0, 1)]
        wait(calls)  # also after an error: nobody may still be computing when this returns
        self._wait_for(ended)
        return [call.result() for call in calls]

    def _marks(self) -> list[Mark]:
        """How far this thread's current streams are filled, of each GPU here."""
        return [mark(name) for name in self._gpus]

    def _wait_for(self, marks: Sequence[Mark]) -> None:
        """Let this thread's current streams, of each GPU here, wait for the marks."""
        for name in self._gpus:
            wait_for(marks, name)

    # ------------------------------------------------------------ between the columns

    def gather(self, halves: Halves) -> list[Array]:
        """The whole array on both devices: each receives the other's half. (N, C/2, ...) twice -> (N, C, ...) twice."""
        self.moved += halves[0].nbytes + halves[1].nbytes
        return self.each(lambda column: self._joined(halves, column))

    def scatter_sum(self, wholes: Sequence[Array], sizes: tuple[int, int]) -> list[Array]:
        """The sum of both arrays, a half on each device: (N, C, ...) twice -> (N, C/2, ...) twice.

        Each device sends the half of its array that belongs to the other. It is the transpose of `gather`.
        """
        parts = [self.halves(whole, sizes) for whole in wholes]
        self.moved += parts[0][1].nbytes + parts[1][0].nbytes
        return self.each(
            lambda column: _sum(parts[column][column], to_device(parts[1 - column][column], self.names[column]))
        )

    @staticmethod
    def halves(whole: Array, sizes: tuple[int, int]) -> list[Array]:
        """The two halves of an array along axis 1, not copied."""
        return [whole[:, : sizes[0]], whole[:, sizes[0] : sizes[0] + sizes[1]]]

    # ------------------------------------------------------------ in and out

    def copies(self, x: Array) -> list[Array]:
        """x on both devices."""
        return self.each(lambda column: to_device(x, self.names[column]))

    def spread(self, whole: Array, sizes: tuple[int, int]) -> list[Array]:
        """The halves of an array (N, C, ...), each on its device."""
        parts = self.halves(whole, sizes)
        return self.each(lambda column: to_device(parts[column], self.names[column]))

    def join(self, halves: Halves, axis: int = 1) -> Array:
        """The whole array on the first device."""
        with device_scope(self.names[0]):
            return self._joined(halves, 0, axis)

    def joined(self, halves: "Callable[[], Sequence[MutableMapping[str, Array]]]") -> "Joined":
        """Arrays by name that lie in the two halves of now, as one mapping."""
        return Joined(halves, self)

    def add(self, arrays: Sequence[Array]) -> Array:
        """The sum of two arrays, on the first device."""
        with device_scope(self.names[0]):
            return _sum(*(to_device(array, self.names[0]) for array in arrays))

    def _joined(self, halves: Halves, column: int, axis: int = 1) -> Array:
        here = [to_device(half, self.names[column]) for half in halves]
        xp = get_array_module(*here)
        if here[0].ndim == 4 and axis == 1:  # images lie channels last in memory: (N, H, W, C)
            return xp.concatenate([half.transpose(0, 2, 3, 1) for half in here], axis=3).transpose(0, 3, 1, 2)
        return xp.concatenate(here, axis=axis)


def _sum(one: Array, other: Array) -> Array:
    """one + other, channels last in memory."""
    if one.ndim == 4:
        return (one.transpose(0, 2, 3, 1) + other.transpose(0, 2, 3, 1)).transpose(0, 3, 1, 2)
    return one + other


class Pair(Layer, Generic[L]):
    """One layer in two columns: its halves on two devices, an array for each of them in and out.

    reads_both: each half reads the maps of both columns, so the columns meet before it.
    reads_image: it is the first, and each half reads the whole image.
    whole: the layer that was cut, without its arrays.   params, grads: joined anew at each reading, first half first.
    """

    def __init__(self, whole: L, row: Row, devices: Devices, reads_image: bool) -> None:
        super().__init__()
        self.devices, self.reads_image = devices, reads_image
        self.reads_both = not reads_image and _reads_both(whole)
        self._seen, self._made = halved(row.in_shape[0]), halved(row.out_shape[0])
        self.halves: list[L] = devices.each(lambda column: self._half(whole, column))
        self.whole = copy.copy(whole)
        self.whole.params, self.whole.grads = {}, {}
        self.params = devices.joined(lambda: [half.params for half in self.halves])
        self.grads = devices.joined(lambda: [half.grads for half in self.halves])

    def _half(self, whole: L, column: int) -> L:
        """The half of `whole` that lives on the device of `column`."""
        half = copy.copy(whole)
        first = column * self._made[0]
        for kind in ("params", "grads"):
            arrays = {
                key: _copy(array[first : first + self._made[column]], self.devices.names[column])
                for key, array in getattr(whole, kind).items()
            }
            setattr(half, kind, arrays)
        if isinstance(half, Conv2D):
            half.out_channels = self._made[column]
            half.groups = 1
            half.in_channels = half.params["w"].shape[1]
        elif isinstance(half, Linear):
            half.out_features = self._made[column]
        elif isinstance(half, LocalResponseNorm):
            half.groups //= 2
        return half

    def forward(self, x: Halves, *, train: bool = False, **given: Any) -> Halves:
        """The halves of y for the halves of x, or for two copies of the image."""
        xs = self.devices.gather(x) if self.reads_both else x
        if isinstance(self.whole, Dropout) and train:  # one mask for the whole layer, as on one device
            mask = self.whole.draw((len(x[0]), sum(self._made)))
            masks = self.devices.spread(mask, self._made)
            return self._each(lambda column, half: half.forward(xs[column], train=True, mask=masks[column]))
        return self._each(lambda column, half: half.forward(xs[column], train=train, **given))

    def keep(self, y: Halves, *, train: bool = False) -> Halves:
        """As ReLU.keep."""
        return self._each(lambda column, half: half.keep(y[column], train=train))

    def backward(self, dy: Halves, **given: Any) -> Any:
        """The halves of dx for the halves of dy; of the image, whose gradient both columns add to, the whole dx."""
        dxs = self._each(lambda column, half: half.backward(dy[column], **given))
        if self.reads_image:
            return None if dxs[0] is None else self.devices.add(dxs)
        return self.devices.scatter_sum(dxs, self._seen) if self.reads_both else dxs

    def _each(self, work: Callable[[int, Any], Array]) -> list[Array]:
        return self.devices.each(lambda column: work(column, self.halves[column]))


class Joined(MutableMapping[str, Array]):
    """Arrays that lie in two halves, by name: each reading joins the halves, writing goes into both.

    What is read is a copy, and cannot be written to: that would change nothing.
    """

    def __init__(self, halves: Callable[[], Sequence[MutableMapping[str, Array]]], devices: Devices) -> None:
        self._halves, self._devices = halves, devices

    def __getitem__(self, name: str) -> Array:
        whole = self._devices.join([half[name] for half in self._halves()], axis=0)
        if hasattr(whole, "setflags"):
            whole.setflags(write=False)
        return whole

    def __setitem__(self, name: str, value: Array) -> None:
        halves = [half[name] for half in self._halves()]
        first = len(halves[0])
        shape = (first + len(halves[1]), *halves[0].shape[1:])
        if value.shape != shape:
            raise ShapeError(f"{name} has the shape {shape}, not {value.shape}")
        parts = value[:first], value[first:]

        def write(column: int) -> None:
            halves[column][...] = to_device(parts[column], self._devices.names[column])

        self._devices.each(write)

    def __delitem__(self, name: str) -> None:
        raise UsageError(f"{name} cannot be removed")

    def __iter__(self) -> Iterator[str]:
        return iter(self._halves()[0])

    def __len__(self) -> int:
        return len(self._halves()[0])


def in_two(layers: dict[str, Layer], rows: Sequence[Row], devices: Devices) -> dict[str, Layer]:
    """The layers of a net in two columns. Raises UsageError where a layer does not come apart."""
    for row in rows:
        layer = layers[row.name]
        if isinstance(layer, LocalResponseNorm) and layer.groups % 2:
            raise UsageError(f"{row.name} looks across the maps of both columns: this net does not run on two devices")
        if isinstance(layer, Conv2D) and layer.groups > 2:
            raise UsageError(f"{row.name} has {layer.groups} groups: expected 1 or 2 of a net on two devices")
    return {row.name: Pair(layers[row.name], row, devices, reads_image=row is rows[0]) for row in rows}


def in_one(layers: dict[str, Layer]) -> dict[str, Layer]:
    """The layers of a net that was in two columns, whole again on the first device, with their parameters."""
    whole: dict[str, Layer] = {}
    for name, pair in layers.items():
        assert isinstance(pair, Pair)
        layer = whole[name] = copy.copy(pair.whole)
        with device_scope(pair.devices.names[0]):
            layer.params = {key: array.copy() for key, array in pair.params.items()}
            layer.grads = {key: get_array_module(array).zeros_like(array) for key, array in layer.params.items()}
    return whole


def _copy(array: Array, device: str) -> Array:
    """A copy of `array` on `device`, wherever it was."""
    moved = to_device(array, device)
    return moved.copy() if moved is array else moved


def column_names(names: Sequence[str]) -> tuple[str, str]:
    """The names of two devices. Raises UsageError for another number of them, or what is no name."""
    if len(names) != 2:
        raise UsageError(f"devices={tuple(names)}: expected two, one for each column, such as ('cuda:0', 'cuda:1')")
    for name in names:
        is_cpu(name)
    return names[0], names[1]


def crossing(rows: Sequence[Row], batch: int, itemsize: int = 4) -> dict[str, int]:
    """Bytes that go from column to column in one step, by the layer before which the columns meet.

    Forward each column receives the other's half of what the layer reads, N*C/2 numbers a column and so N*C in all;
    backward the gradients of the same come back.
    """
    meets = {}
    for row in rows[1:]:
        if row.kernel and row.groups == 1:
            meets[row.name] = 2 * batch * math.prod(row.in_shape) * itemsize
    return meets


def _reads_both(layer: Layer) -> bool:
    return isinstance(layer, Linear) or (isinstance(layer, Conv2D) and layer.groups == 1)


def halved(count: int) -> tuple[int, int]:
    """How many of the maps or units each column has: a half, or of an odd number the first one less."""
    return count // 2, count - count // 2
