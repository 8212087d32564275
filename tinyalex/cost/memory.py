"""How many bytes training takes on each device, predicted before anybody trains: a few steps simulated with sizes.

The paper's net was cut in two because its cards had 3 GB each (section 3.2). A training step holds parameters, their
velocities and gradients; activations, kept from the forward pass for the backward pass; and workspace: gradients of
activations, temporary arrays of the kernels, and free blocks that the allocator keeps for later.

The simulation calls the layers in the order of `tinyalex.plan.forward_plan`, as the net itself does.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from tinyalex.backend import cpu_kernels, device_names, is_cpu, kernels_in_use, thread_count, use_threads
from tinyalex.cost.simulation import Allocation, DeviceMemory, Part, SimulatedLayer, simulated_layer
from tinyalex.count import Row, across_columns
from tinyalex.errors import UsageError, at_least
from tinyalex.plan import forward_plan

STEPS = 4  # after so many the allocator needs nothing new
ITEMSIZE = {"float32": 4, "float64": 8}  # bytes of a number


@dataclass(frozen=True)
class Memory:
    """The most bytes that training takes on one device, by purpose.

    activations: what the forward pass keeps for the backward pass; on a GPU also the copy of the images there.
    workspace: everything else, at the moment when most is held.
    """

    device: str
    parameters: int
    momentum: int
    gradients: int
    activations: int
    workspace: int

    @property
    def total(self) -> int:
        """The sum over all purposes."""
        return self.parameters + self.momentum + self.gradients + self.activations + self.workspace


def predicted(
    rows: Sequence[Row], batch: int, devices: str | Sequence[str] | None = None, dtype: str = "float32"
) -> list[Memory]:
    """The bytes that training on `batch` images takes: of a net on one device, or of a column on each of two.

    rows: the counted net.   devices: None for the CPU, one name, or two; a GPU need not be present.
    Raises UsageError for fewer images than 1, for a dtype other than float32 and float64, for more than two devices,
    for two and a net that cannot be split, and where the definitions run instead of compiled kernels, as their
    workspace is not known.
    """
    devices = device_names(devices) or ("cpu",)
    on_cpu = sum(map(is_cpu, devices))
    if kernels_in_use() == "reference" or (on_cpu and cpu_kernels() is None):
        raise UsageError("got no compiled kernels: expected them, to predict memory; install numba, use kernels='auto'")
    at_least(1, batch=batch)
    if dtype not in ITEMSIZE:
        raise UsageError(f"got dtype={dtype!r}: expected {' or '.join(map(repr, ITEMSIZE))}")
    if len(devices) == 1:
        return [_simulate(rows, batch, devices[0], None, dtype)]
    if len(devices) != 2:
        raise UsageError(f"got devices={devices}: expected one, or two, one for each column")
    if across := across_columns(rows):
        raise UsageError(f"{across[0]} looks across the maps of both columns: the net does not run on two devices")
    with use_threads(max(1, thread_count() // max(1, on_cpu))):
        return [_simulate(rows, batch, name, column, dtype) for column, name in enumerate(devices)]


def _simulate(rows: Sequence[Row], batch: int, device: str, column: int | None, dtype: str) -> Memory:
    """Simulate a few training steps on one device: of the whole net with column=None, else of column 0 or 1."""
    memory = DeviceMemory(device, ITEMSIZE[dtype])
    parts = [Part(row, batch, column, row is rows[0]) for row in rows]
    parameters = sum(part.parameters for part in parts)
    held = [memory.allocate(parameters, pooled=False) for _ in ("parameters", "momentum")]
    layers = [simulated_layer(call, part, memory) for call, part in zip(forward_plan(rows), parts, strict=True)]
    for _ in range(STEPS):
        logits = _forward(layers, memory)
        kept = {id(array): array.size for layer in layers for array in layer.kept}  # two layers may keep one array
        _backward(layers, memory, logits)
    of_parameters, activations = held[0].size, sum(kept.values())
    workspace = memory.peak - 3 * of_parameters - activations
    return Memory(device, of_parameters, of_parameters, of_parameters, activations, workspace)


def _forward(layers: Sequence[SimulatedLayer], memory: DeviceMemory) -> Allocation:
    """The logits; each layer keeps what its backward pass needs."""
    x = memory.allocate(layers[0].part.inputs if memory.on_gpu else 0)  # the copy of the images on a GPU
    for layer in layers:
        x = _layer_forward(layer, x, memory)
    return x


def _layer_forward(layer: SimulatedLayer, x: Allocation, memory: DeviceMemory) -> Allocation:
    """A layer's output; if it reads both columns, this column's half of the input is joined to the other's first."""
    if layer.part.gathers:
        received = memory.allocate(layer.part.own_inputs if memory.on_gpu else 0)
        x = memory.allocate(layer.part.inputs, pooled=False)  # both halves
        del received
    return layer.forward(x)


def _backward(layers: Sequence[SimulatedLayer], memory: DeviceMemory, dy: Allocation) -> None:
    """The gradients of all layers, last layer first."""
    for layer in reversed(layers):
        dy = _layer_backward(layer, dy, memory)


def _layer_backward(layer: SimulatedLayer, dy: Allocation, memory: DeviceMemory) -> Allocation:
    """A layer's dx; if it reads both columns, the other column's part of the own half's gradient is added to it."""
    dx = layer.backward(dy)
    layer.kept = []
    if layer.part.gathers:
        copies = [memory.allocate(layer.part.own_inputs) for _ in ("sent", "received") if memory.on_gpu]
        dx = memory.allocate(layer.part.own_inputs, pooled=False)  # the sum
        del copies
    return dx
