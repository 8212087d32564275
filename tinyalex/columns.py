"""The net in two columns on two devices (Krizhevsky, Sutskever & Hinton 2012, section 3.2 and figure 2).

Half of the kernels of each layer, and half of the units, live on each device: a column. The columns compute side by
side and do not see each other, but for a few meeting points: conv3 and the fully connected layers read both columns.
There each column receives the other's half of the maps (all-gather). On the way back each column has a gradient for all
maps; it receives the other's gradient for its own half and adds the two (reduce-scatter). Nothing else crosses.

Axes: N images, C maps or units of the whole layer; a column holds the first or the second half of them.
"""

import copy
import math
from collections.abc import Callable, Iterator, MutableMapping, Sequence
from concurrent.futures import ThreadPoolExecutor, wait
from contextvars import copy_context
from typing import Any, Generic, Self, TypeVar

from tinyalex.backend import (
    Array,
    Event,
    device_scope,
    get_array_module,
    is_cpu,
    new_stream,
    record_event,
    thread_count,
    to_device,
    use_threads,
    wait_for_events,
)
from tinyalex.count import Row
from tinyalex.errors import ShapeError, UsageError
from tinyalex.layers import Conv2D, Dropout, Layer, LocalResponseNorm

R = TypeVar("R")
L = TypeVar("L", bound=Layer)
Halves = Sequence[Array]  # two arrays, each on its device: the first and the second half along axis 1


class TwoDevices:
    """Two devices, one for each column: on the CPU each has a thread that computes, on a GPU a stream.

    names: "cpu:0", "cuda:1", ...; the same name twice puts both columns on one device, on a GPU in two streams.
    Two CPU devices have half of the cores each.   moved: the bytes that went from one column to the other so far.
    """

    def __init__(self, names: Sequence[str]) -> None:
        self.names = column_names(names)
        self.moved = 0
        self._threads = [ThreadPoolExecutor(1, thread_name_prefix=f"tinyalex-{name}") for name in names]
        self._streams = [new_stream(name) for name in names]
        self._gpus = sorted({name for name in names if not is_cpu(name)})

    def each(self, work: Callable[[int], R]) -> list[R]:
        """[work(0), work(1)], each on its device, at the same time.

        On a GPU it returns when the work has been queued, not when it has been done. For the caller it is like any
        other operation on the current streams: the columns' streams first wait for the current streams, and at the end
        the current streams wait for the columns'. So the other column may read in the next `each`, and the caller after
        this one, what a column has computed; and no buffer that was freed in between is reused too early.
        """
        share = max(1, thread_count() // max(1, sum(is_cpu(name) for name in self.names)))
        begun, ended = self._events(), []

        def on_device(column: int) -> R:
            with device_scope(self.names[column]), self._streams[column], use_threads(share):
                self._wait_for(begun)
                try:
                    return work(column)
                finally:
                    ended.extend(self._events())

        if not any(map(is_cpu, self.names)):  # one thread queues for both: two would wait for each other's Python lock
            try:
                return [on_device(column) for column in (0, 1)]
            finally:
                self._wait_for(ended)
        calls = [self._threads[column].submit(copy_context().run, on_device, column) for column in (0, 1)]
        wait(calls)  # also after an error: no thread may still be computing when this returns
        self._wait_for(ended)
        return [call.result() for call in calls]

    def _events(self) -> list[Event]:
        """An event of each GPU here, recorded in its current stream."""
        return [record_event(name) for name in self._gpus]

    def _wait_for(self, events: Sequence[Event]) -> None:
        """Make the current stream of each GPU here wait for these events."""
        for name in self._gpus:
            wait_for_events(events, name)

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
        """Arrays by name, as one mapping, whose halves `halves()` gives; it is asked anew at each reading."""
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


class SplitLayer(Layer, Generic[L]):
    """One layer in two columns: a half on each of two devices. It takes two arrays, and returns two.

    reads_both: each half reads the maps of both columns, so the columns meet before it.
    reads_image: it is the first layer, and each half reads the whole image.
    whole: the layer that was split, without its arrays.
    params, grads: each reading joins the halves, the first column's first.
    """

    def __init__(self, whole: L, row: Row, devices: TwoDevices, reads_image: bool) -> None:
        super().__init__()
        self.devices, self.reads_image, self.reads_both = devices, reads_image, row.reads_both
        self._seen, self._made = halved(row.in_shape[0]), halved(row.out_shape[0])
        self.halves: list[L] = devices.each(lambda column: self._half(whole, column))
        self._whole = copy.copy(whole)
        self._whole.params, self._whole.grads = {}, {}
        self.params = devices.joined(lambda: [half.params for half in self.halves])
        self.grads = devices.joined(lambda: [half.grads for half in self.halves])

    @property
    def whole(self) -> L:
        """The layer as on one device, without its arrays."""
        return self._whole

    def parts(self) -> Sequence[L]:
        """The half on the first device, and the half on the second."""
        return self.halves

    def apart(self) -> Self:
        """A layer with caches and gradients of its own, which shares the parameters' arrays with this one."""
        twin = super().apart()
        twin.halves = [half.apart() for half in self.halves]
        twin.grads = self.devices.joined(lambda: [half.grads for half in twin.halves])
        return twin

    def _half(self, whole: L, column: int) -> L:
        """The half of `whole` that lives on the device of `column`."""
        half = whole.for_column(self._made[column])
        first = column * self._made[0]
        for mine, arrays in ((half.params, whole.params), (half.grads, whole.grads)):
            for key, array in arrays.items():
                mine[key] = _copy(array[first : first + self._made[column]], self.devices.names[column])
        return half

    def forward(self, x: Halves, *, train: bool = False, **given: Any) -> Halves:
        """The halves of y, for the halves of x or for two copies of the image."""
        xs = self.devices.gather(x) if self.reads_both else x
        if isinstance(self._whole, Dropout) and train:  # one mask for the whole layer, as on one device
            mask = self._whole.draw((len(x[0]), sum(self._made), *x[0].shape[2:]))
            masks = self.devices.spread(mask, self._made)
            return self._each(lambda column, half: half.forward(xs[column], train=True, mask=masks[column]))
        return self._each(lambda column, half: half.forward(xs[column], train=train, **given))

    def keep(self, y: Halves, *, train: bool = False) -> Halves:
        """As ReLU.keep."""
        return self._each(lambda column, half: half.keep(y[column], train=train))

    def backward(self, dy: Halves, **given: Any) -> Any:
        """The halves of dx for the halves of dy; for the first layer dx as a whole, the sum over both columns."""
        dxs = self._each(lambda column, half: half.backward(dy[column], **given))
        if self.reads_image:
            return None if dxs[0] is None else self.devices.add(dxs)
        return self.devices.scatter_sum(dxs, self._seen) if self.reads_both else dxs

    def _each(self, work: Callable[[int, Any], Array]) -> list[Array]:
        return self.devices.each(lambda column: work(column, self.halves[column]))


class Joined(MutableMapping[str, Array]):
    """Arrays by name that lie in two halves: reading joins the halves, writing goes into both.

    A reading returns a copy, which is read-only: to write into it would not change the halves.
    """

    def __init__(self, halves: Callable[[], Sequence[MutableMapping[str, Array]]], devices: TwoDevices) -> None:
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
            raise ShapeError(f"got an array of shape {value.shape} for {name}: expected {shape}")
        parts = value[:first], value[first:]

        def write(column: int) -> None:
            halves[column][...] = to_device(parts[column], self._devices.names[column])

        self._devices.each(write)

    def __delitem__(self, name: str) -> None:
        raise UsageError(f"got del of {name}: a net keeps its arrays; assign a new value to it")

    def __iter__(self) -> Iterator[str]:
        return iter(self._halves()[0])

    def __len__(self) -> int:
        return len(self._halves()[0])


def in_two(layers: dict[str, Layer], rows: Sequence[Row], devices: TwoDevices) -> dict[str, Layer]:
    """The layers of a net, each split into two columns. Raises UsageError for a layer that cannot be split."""
    for row in rows:
        layer = layers[row.name]
        if isinstance(layer, LocalResponseNorm) and layer.groups % 2:
            raise UsageError(f"{row.name} normalises across the maps of both columns: use one device for this net")
        if isinstance(layer, Conv2D) and layer.groups > 2:
            raise UsageError(f"{row.name}: got {layer.groups} groups: expected 1 or 2 for two devices; use one device")
    return {row.name: SplitLayer(layers[row.name], row, devices, reads_image=row is rows[0]) for row in rows}


def in_one(layers: dict[str, Layer]) -> dict[str, Layer]:
    """The split layers of a net, joined again on the first device, with their parameters and zero gradients."""
    joined: dict[str, Layer] = {}
    for name, split in layers.items():
        assert isinstance(split, SplitLayer)
        layer = joined[name] = copy.copy(split.whole)
        with device_scope(split.devices.names[0]):
            layer.params = {key: array.copy() for key, array in split.params.items()}
            layer.grads = {key: get_array_module(array).zeros_like(array) for key, array in layer.params.items()}
    return joined


def _copy(array: Array, device: str) -> Array:
    """A copy of `array` on `device`, wherever it was."""
    moved = to_device(array, device)
    return moved.copy() if moved is array else moved


def column_names(names: Sequence[str]) -> tuple[str, str]:
    """The names of two devices. Raises UsageError for another number of names, or for a name of no device."""
    if len(names) != 2:
        raise UsageError(f"got devices={tuple(names)}: expected two, one for each column, such as ('cuda:0', 'cuda:1')")
    for name in names:
        is_cpu(name)
    return names[0], names[1]


def crossing(rows: Sequence[Row], batch: int, itemsize: int = 4) -> dict[str, int]:
    """Bytes that go from column to column in one step, by the layer before which the columns meet.

    Forward each column receives the other's half of what the layer reads: N*C/2 numbers a column, N*C in all. Backward
    as many gradients come back.
    """
    return {row.name: 2 * batch * math.prod(row.in_shape) * itemsize for row in rows if row.reads_both}


def halved(count: int) -> tuple[int, int]:
    """How many of the maps or units each column has: half of them; the second has one more of an odd number."""
    return count // 2, count - count // 2
