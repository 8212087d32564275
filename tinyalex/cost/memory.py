"""How many bytes training takes, on each device, before anybody trains: a step played with sizes alone.

The paper's net was cut in two because its cards had 3 GB each (section 3.2). What a step holds is parameters, their
velocities and gradients; activations, kept from the forward pass for the backward pass; and workspace: gradients of
activations, scratch of the kernels, and what the allocator keeps between two uses.

The step is played as tinyalex.net takes it: each array is asked for where a layer makes it, of the allocator that the
kernels use, on paper; and it is dropped where the net drops it, with the last name that refers to it.

Axes: N images, C, H, W what a layer reads, OC, OH, OW what it makes; on two devices a column's half of C and OC.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

from tinyalex.backend import (
    SMALLEST_KEPT,
    cpu_kernels,
    gpu_kernels,
    is_cpu,
    kernels_in_use,
    thread_count,
    use_threads,
)
from tinyalex.columns import halved
from tinyalex.count import Row, across_columns, conv_window
from tinyalex.errors import UsageError
from tinyalex.spec import Activation, Conv, Drop, Flat, Full, Norm, Pool, SpatialNorm

STEPS = 3  # until the allocator asks for nothing new


@dataclass(frozen=True)
class Memory:
    """Bytes that training takes on one device, at the most, by what they are for.

    activations: what the forward pass keeps for the backward pass; the images only on a GPU, which has a copy of them.
    workspace: what there is besides, when there is most.
    """

    device: str
    parameters: int
    momentum: int
    gradients: int
    activations: int
    workspace: int

    @property
    def total(self) -> int:
        """All kinds together."""
        return self.parameters + self.momentum + self.gradients + self.activations + self.workspace


def predicted(
    rows: Sequence[Row], batch: int, devices: Sequence[str] | None = None, dtype: str = "float32"
) -> list[Memory]:
    """What training on `batch` images takes, of a net on one device, or a column of it on each of two.

    A GPU need not be there. Raises UsageError where the definitions run instead of the compiled kernels, as their
    workspace is not known; for three devices or more; for two and a net that does not come apart.
    """
    devices = ("cpu",) if devices is None else tuple(devices)
    on_cpu = sum(map(is_cpu, devices))
    if kernels_in_use() == "reference" or (on_cpu and cpu_kernels() is None):
        raise UsageError("memory is predicted for the compiled kernels: install numba, or leave TINYALEX_KERNELS out")
    if batch < 1:
        raise UsageError(f"batch={batch}: expected 1 image or more")
    if len(devices) == 1:
        return [_Rehearsal(rows, batch, devices[0], None, dtype).memory()]
    if len(devices) != 2:
        raise UsageError(f"devices={devices}: expected one, or two, one for each column")
    if across := across_columns(rows):
        raise UsageError(f"{across[0]} looks across the maps of both columns: the net does not run on two devices")
    with use_threads(max(1, thread_count() // max(1, on_cpu))):
        return [_Rehearsal(rows, batch, name, column, dtype).memory() for column, name in enumerate(devices)]


class _Bytes:
    """An array of so many bytes: it lies in memory of the pool, or in the system's, until nothing refers to it."""

    def __init__(self, size: int, device: "_Rehearsal", pooled: bool) -> None:
        self.size, self._system = size, None if pooled else device
        if self._system:
            device.system += size
        else:
            self._held = device.pool.memory(size)
        device.peak = max(device.peak, device.system + device.pool.held)

    def __del__(self) -> None:
        if self._system:
            self._system.system -= self.size


class _Rehearsal:
    """Training steps on one device, played with sizes alone.

    column: 0 or 1, or None for the whole net.   system: bytes of arrays that NumPy took from the system.
    """

    def __init__(self, rows: Sequence[Row], batch: int, name: str, column: int | None, dtype: str) -> None:
        self.rows, self.N, self.name, self.column = rows, batch, name, column
        self.itemsize = {"float32": 4, "float64": 8}[dtype]
        self.system = self.peak = 0
        self.on_gpu = not is_cpu(name)
        kernels: Any = gpu_kernels() if self.on_gpu else cpu_kernels()
        self.pool, self._workspace = kernels.pool_on_paper(), kernels.workspace
        self._kept: dict[str, list[_Bytes]] = {}  # for the backward pass, by layer
        self._grads: dict[str, _Bytes] = {}

    def memory(self) -> Memory:
        """What the steps take."""
        parameters = sum(self._parameters(row) for row in self.rows) * self.itemsize
        held = [self._array(parameters, pooled=False) for _ in ("parameters", "momentum")]
        self._grads = {row.name: self._array(self._parameters(row) * self.itemsize, pooled=False) for row in self.rows}
        for _ in range(STEPS):
            logits = self._forward()
            kept = {id(array): array.size for arrays in self._kept.values() for array in arrays}
            self._backward(logits)
        used = parameters * (len(held) + 1) + sum(kept.values())
        return Memory(self.name, parameters, parameters, parameters, sum(kept.values()), self.peak - used)

    # ------------------------------------------------------------ shapes

    def _own(self, maps: int) -> int:
        """How many of a layer's maps or units are this device's."""
        return maps if self.column is None else halved(maps)[self.column]

    def _made(self, row: Row) -> int:
        """Numbers of the layer's output."""
        return self.N * self._own(row.out_shape[0]) * math.prod(row.out_shape[1:])

    def _meets(self, row: Row) -> bool:
        """Does the layer read the maps of both columns?"""
        return self.column is not None and row is not self.rows[0] and row.kernel is not None and row.groups == 1

    def _seen(self, row: Row) -> int:
        """Numbers of the layer's input."""
        whole = self._meets(row) or row is self.rows[0]
        return self.N * (row.in_shape[0] if whole else self._own(row.in_shape[0])) * math.prod(row.in_shape[1:])

    def _parameters(self, row: Row) -> int:
        return row.parameters // row.out_shape[0] * self._own(row.out_shape[0])

    # ------------------------------------------------------------ arrays

    def _array(self, size: int, pooled: bool = True) -> _Bytes:
        return _Bytes(size, self, self.on_gpu or (pooled and size >= SMALLEST_KEPT))

    def _numbers(self, count: int, pooled: bool = True) -> _Bytes:
        return self._array(count * self.itemsize, pooled)

    def _scratch(self, row: Row, direction: str, **given: bool) -> list[_Bytes]:
        """What the kernel of a convolution needs while it runs."""
        assert isinstance(row.layer, Conv)
        assert row.kernel
        groups = row.groups if self.column is None else 1
        maps = row.in_shape[0] if self._meets(row) or row is self.rows[0] else self._own(row.in_shape[0])
        x = (self.N, *row.in_shape[1:], maps)
        w = (self._own(row.out_shape[0]), *row.kernel[1:])
        sizes = getattr(self._workspace, direction)(x, w, conv_window(row.layer), groups, self.itemsize, **given)
        return [self._array(size) for size in sizes]

    # ------------------------------------------------------------ a step

    def _forward(self) -> _Bytes:
        """The logits; what the layers keep is in `_kept`."""
        x = self._numbers(self._seen(self.rows[0]) if self.on_gpu else 0)  # the images are the caller's, a copy is not
        fused = {two.name for one, two in pairwise(self.rows) if isinstance(one.layer, Conv) and _is_relu(two)}
        for row in self.rows:
            x = self._layer_forward(row, x, row.name in fused)
        return x

    def _layer_forward(self, row: Row, x: _Bytes, fused: bool) -> _Bytes:
        if self._meets(row):
            received = self._numbers(x.size // self.itemsize if self.on_gpu else 0)  # as large as the own half
            x = self._numbers(self._seen(row), pooled=False)  # gathered
            del received
        made = self._made(row)
        match row.layer:
            case Conv():
                y, self._kept[row.name] = self._numbers(made), [x]
                self._scratch(row, "conv_forward")
            case Full():
                y, self._kept[row.name] = self._numbers(made), [x]
                self._numbers(made, pooled=False)  # a product, on its way into y
            case Activation():
                y = x if fused else self._numbers(made, pooled=_is_relu(row))
                self._kept[row.name] = [y]
            case Norm():
                y, self._kept[row.name] = self._numbers(made), [x]
            case SpatialNorm():
                squares, *sums = [self._numbers(made, pooled=False) for _ in range(3)]
                del squares, sums[1:]
                y = self._numbers(made, pooled=False)
                self._kept[row.name] = [x, y, *sums]
            case Pool():
                y = self._numbers(made)
                self._kept[row.name] = [self._array(made)]  # a byte each: which cell won
            case Drop():
                drawn = self._array(4 * made, pooled=False)  # uniform numbers, of float32 whatever the dtype
                mask = self._array(made, pooled=False)
                del drawn
                y, self._kept[row.name] = self._numbers(made), [mask]
            case Flat():
                y = self._numbers(made, pooled=False)
        return y

    def _backward(self, dy: _Bytes) -> None:
        for row in reversed(self.rows):
            dy = self._layer_backward(row, dy)

    def _layer_backward(self, row: Row, dy: _Bytes) -> _Bytes:
        kept = self._kept.pop(row.name, None)
        seen = self._seen(row)
        match row.layer:
            case Conv():
                first = row is self.rows[0]
                del self._grads[row.name]
                dx = self._numbers(0 if first else seen)
                self._scratch(row, "conv_backward", input_gradient=not first)
                self._grads[row.name] = self._numbers(self._parameters(row), pooled=False)
            case Full():
                del self._grads[row.name]
                dx = self._numbers(seen)
                self._grads[row.name] = self._numbers(self._parameters(row))
            case Activation() | SpatialNorm() if not _is_relu(row):
                scratch = [self._numbers(seen, pooled=False) for _ in range(3)]
                dx = scratch[0]
            case Flat():
                dx = dy
            case _:
                dx = self._numbers(seen)
        del kept
        if self._meets(row):
            half = seen * self._own(row.in_shape[0]) // row.in_shape[0]
            copies = [self._numbers(half) for _ in ("what is sent, in one piece", "received") if self.on_gpu]
            dx = self._numbers(half, pooled=False)  # own half, summed
            del copies
        return dx


def _is_relu(row: Row) -> bool:
    return isinstance(row.layer, Activation) and row.layer.kind == "relu"
