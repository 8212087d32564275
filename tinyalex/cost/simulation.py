"""What each layer allocates in a training step, simulated with sizes alone: no array is made.

A simulated layer allocates in the same order as the real one, and from the same allocator: the pool of the kernels, or
the system. It frees where the real one frees. So the bytes that are held at any moment are those of a real step.

Axes: N images, C, H, W input maps, height and width, OC output maps. On two devices each has half of C and OC.
"""

import math
from dataclasses import dataclass
from typing import Any, assert_never

import numpy as np

from tinyalex.backend import SMALLEST_KEPT, cpu_kernels, gpu_kernels, is_cpu
from tinyalex.columns import halved
from tinyalex.count import Row, conv_window
from tinyalex.plan import Call
from tinyalex.spec import Activation, AveragePool, Conv, Drop, Flat, Full, Norm, Pool, SpatialNorm


class DeviceMemory:
    """The memory of one device: a simulated pool, and what is allocated by the system.

    name: "cpu:0", "cuda:1", ...   itemsize: bytes of a number.   system: bytes in use that the system allocated.
    peak: the most bytes held at once, the pool's free blocks included.
    """

    def __init__(self, name: str, itemsize: int) -> None:
        self.name, self.itemsize, self.on_gpu = name, itemsize, not is_cpu(name)
        kernels: Any = gpu_kernels() if self.on_gpu else cpu_kernels()
        self.pool, self.workspace = kernels.simulated_pool(), kernels.workspace
        self.system = self.peak = 0
        self._patches: Allocation | None = None

    def allocate_bytes(self, size: int, pooled: bool = True) -> "Allocation":
        """Memory for `size` bytes. On a GPU it always comes from the pool, on the CPU only if large and `pooled`."""
        return Allocation(size, self, self.on_gpu or (pooled and size >= SMALLEST_KEPT))

    def keep_patches(self, size: int) -> None:
        """The memory that a GPU's stream keeps for patches: it is replaced if `size` bytes are more than it has."""
        if self._patches is None or self._patches.size < size:
            self._patches = None
            self._patches = self.allocate_bytes(size)

    def allocate(self, numbers: int, pooled: bool = True) -> "Allocation":
        """Memory for so many numbers."""
        return self.allocate_bytes(numbers * self.itemsize, pooled)


class Allocation:
    """The memory of one array of `size` bytes. Like an array's, it is freed when nothing refers to it any more."""

    def __init__(self, size: int, memory: DeviceMemory, pooled: bool) -> None:
        self.size, self._memory, self._pooled = size, memory, pooled
        if pooled:
            self._block = memory.pool.memory(size)  # the pool sees when this reference goes
        else:
            memory.system += size
        memory.peak = max(memory.peak, memory.system + memory.pool.held)

    def __del__(self) -> None:
        if not self._pooled:
            self._memory.system -= self.size


@dataclass(frozen=True)
class Part:
    """What one device computes of a layer for N images: all of it, or the half in one of two columns.

    column: 0 or 1, or None for the whole layer.   first: the layer reads the images, which are whole on each device.
    """

    row: Row
    N: int
    column: int | None
    first: bool

    def _own(self, maps: int) -> int:
        return maps if self.column is None else halved(maps)[self.column]

    @property
    def gathers(self) -> bool:
        """Does it receive the other column's half of the input before it computes?"""
        return self.column is not None and self.row.reads_both

    @property
    def x_shape(self) -> tuple[int, ...]:
        """The shape of the input, channels last: (N, H, W, C), or (N, D)."""
        maps, *size = self.row.in_shape
        return (self.N, *size, maps if self.gathers or self.first else self._own(maps))

    @property
    def w_shape(self) -> tuple[int, ...]:
        """The shape of the weights, (OC, C/G, KH, KW) or (OC, D), of a layer that has some."""
        assert self.row.kernel
        return (self._own(self.row.kernel[0]), *self.row.kernel[1:])

    @property
    def groups(self) -> int:
        """G: within a column there is one group."""
        return self.row.groups if self.column is None else 1

    @property
    def inputs(self) -> int:
        """Numbers of the input."""
        return math.prod(self.x_shape)

    @property
    def own_inputs(self) -> int:
        """Numbers of the input that this device's column made."""
        return self.N * self._own(self.row.in_shape[0]) * math.prod(self.row.in_shape[1:])

    @property
    def outputs(self) -> int:
        """Numbers of the output."""
        return self.N * self._own(self.row.out_shape[0]) * math.prod(self.row.out_shape[1:])

    @property
    def parameters(self) -> int:
        """Weights and biases."""
        return self.row.parameters // self.row.out_shape[0] * self._own(self.row.out_shape[0])


class SimulatedLayer:
    """One layer on one device. This class allocates what a Norm does; the other kinds override what differs.

    kept: what the forward pass keeps for the backward pass.   gradients: of the parameters.
    """

    def __init__(self, part: Part, memory: DeviceMemory) -> None:
        self.part, self.memory = part, memory
        self.kept: list[Allocation] = []
        self.gradients = [memory.allocate(part.parameters, pooled=False)]

    def forward(self, x: Allocation) -> Allocation:
        """The output y, for the input x."""
        self.kept = [x]
        return self.memory.allocate(self.part.outputs)

    def backward(self, dy: Allocation) -> Allocation:  # noqa: ARG002, as Flatten returns it
        """dx, for dy. The caller clears `kept` afterwards."""
        return self.memory.allocate(self.part.inputs)


class SimulatedConv(SimulatedLayer):
    """A convolution; its kernels need workspace while they run."""

    def _workspace(self, direction: str, **options: bool) -> list[Allocation]:
        layer, memory = self.part.row.layer, self.memory
        assert isinstance(layer, Conv)
        x, w, window, groups = self.part.x_shape, self.part.w_shape, conv_window(layer), self.part.groups
        sizes = getattr(memory.workspace, direction)(x, w, window, groups, memory.itemsize, **options)
        allocated = [memory.allocate_bytes(size) for size in sizes]
        if memory.on_gpu:
            memory.keep_patches(memory.workspace.patches(x, window, groups, memory.itemsize))
        return allocated

    def forward(self, x: Allocation) -> Allocation:
        """y, then the workspace, freed at once."""
        y = super().forward(x)
        self._workspace("conv_forward")
        return y

    def backward(self, dy: Allocation) -> Allocation:  # noqa: ARG002
        """dx, of no bytes for the first layer; the workspace; new gradients in place of the old ones."""
        self.gradients = []
        dx = self.memory.allocate(0 if self.part.first else self.part.inputs)
        self._workspace("conv_backward", input_gradient=not self.part.first)
        self.gradients = [self.memory.allocate(self.part.parameters, pooled=False)]
        return dx


class SimulatedLinear(SimulatedLayer):
    """A fully connected layer."""

    def forward(self, x: Allocation) -> Allocation:
        """y, and for a moment the product x w' that is copied into it."""
        y = super().forward(x)
        self.memory.allocate(self.part.outputs, pooled=False)
        return y

    def backward(self, dy: Allocation) -> Allocation:
        """dx, and new gradients in place of the old ones: those of the weights from the pool."""
        self.gradients = []
        dx = super().backward(dy)
        weights = math.prod(self.part.w_shape)
        biases = self.part.parameters - weights
        self.gradients = [self.memory.allocate(weights), self.memory.allocate(biases, pooled=False)]
        return dx


class SimulatedReLU(SimulatedLayer):
    """A ReLU. `taken`: the convolution before it has made its output already."""

    def __init__(self, part: Part, memory: DeviceMemory, taken: bool) -> None:
        super().__init__(part, memory)
        self.taken = taken

    def forward(self, x: Allocation) -> Allocation:
        """y, which it keeps: the backward pass asks where it is above zero."""
        y = x if self.taken else self.memory.allocate(self.part.outputs)
        self.kept = [y]
        return y


class SimulatedExpressions(SimulatedLayer):
    """A layer without compiled kernels, whose NumPy expressions allocate intermediate results by the system."""

    def backward(self, dy: Allocation) -> Allocation:  # noqa: ARG002
        """dx, and for a moment two intermediate results."""
        dx, *_ = [self.memory.allocate(self.part.inputs, pooled=False) for _ in range(3)]
        return dx


class SimulatedTanh(SimulatedExpressions):
    """Tanh."""

    def forward(self, x: Allocation) -> Allocation:  # noqa: ARG002
        """y, which it keeps, as its derivative is 1 - y**2."""
        y = self.memory.allocate(self.part.outputs, pooled=False)
        self.kept = [y]
        return y


class SimulatedSpatialNorm(SimulatedExpressions):
    """cuda-convnet's normalisation within a map."""

    def forward(self, x: Allocation) -> Allocation:
        """y; the squares of x and two sums of them come before it, and one of the sums is kept."""
        squares, *sums = [self.memory.allocate(self.part.outputs, pooled=False) for _ in range(3)]
        del squares, sums[1:]
        y = self.memory.allocate(self.part.outputs, pooled=False)
        self.kept = [x, y, *sums]
        return y


class SimulatedPool(SimulatedLayer):
    """Max-pooling."""

    def forward(self, x: Allocation) -> Allocation:  # noqa: ARG002
        """y; it keeps a number for each output: which cell of the window was the largest."""
        y = self.memory.allocate(self.part.outputs)
        window = self.part.row.window
        assert window is not None
        self.kept = [self.memory.allocate_bytes(self.part.outputs * np.dtype(window.number_dtype).itemsize)]
        return y


class SimulatedAveragePool(SimulatedLayer):
    """Average pooling."""

    def forward(self, x: Allocation) -> Allocation:  # noqa: ARG002
        """y; nothing is kept, as the backward pass asks for the shape of x only."""
        return self.memory.allocate(self.part.outputs)


class SimulatedDropout(SimulatedLayer):
    """Dropout."""

    def forward(self, x: Allocation) -> Allocation:  # noqa: ARG002
        """y; it keeps the mask, a byte for each unit, that it draws from uniform numbers of float32."""
        uniform = self.memory.allocate_bytes(4 * self.part.outputs, pooled=False)
        mask = self.memory.allocate_bytes(self.part.outputs, pooled=False)
        del uniform
        self.kept = [mask]
        return self.memory.allocate(self.part.outputs)


class SimulatedFlatten(SimulatedLayer):
    """Flatten: images lie channels last in memory, so that forward it copies; backward it returns a view."""

    def forward(self, x: Allocation) -> Allocation:  # noqa: ARG002
        """y; nothing is kept."""
        return self.memory.allocate(self.part.outputs, pooled=False)

    def backward(self, dy: Allocation) -> Allocation:
        """dy itself."""
        return dy


def simulated_layer(call: Call, part: Part, memory: DeviceMemory) -> SimulatedLayer:
    """The simulation of the layer that `call` calls."""
    match call.row.layer:
        case Conv():
            return SimulatedConv(part, memory)
        case Full():
            return SimulatedLinear(part, memory)
        case Norm():
            return SimulatedLayer(part, memory)
        case SpatialNorm():
            return SimulatedSpatialNorm(part, memory)
        case Activation(kind="tanh"):
            return SimulatedTanh(part, memory)
        case Activation():
            return SimulatedReLU(part, memory, call.taken)
        case Pool():
            return SimulatedPool(part, memory)
        case AveragePool():
            return SimulatedAveragePool(part, memory)
        case Drop():
            return SimulatedDropout(part, memory)
        case Flat():
            return SimulatedFlatten(part, memory)
        case _:
            assert_never(call.row.layer)
