"""A model of what a training step would cost on 1 to 64 devices, for four ways to share the work.

    data              each device has the whole net and a share of the images; gradients are summed (MPI)
    columns           the paper's way: two devices, each with a column of the net (section 3.2)
    columns x data    pairs of devices: each pair has a share of the images, each device of a pair a column of the net
    one weird trick   convolutions as in `data`; each device has a share of the units of the fully connected layers

Axes: N images of a step on all devices together; K devices; D features that a fully connected layer reads.

Source of the last: A. Krizhevsky, One weird trick for parallelizing convolutional neural networks (2014).
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from tinyalex.columns import crossing
from tinyalex.count import Row, across_columns, total_parameters
from tinyalex.errors import UsageError
from tinyalex.spec import Conv, Full

NUMBER = 4  # bytes of a float32
MOST = 10**6  # devices
BOTH_WAYS = 2  # what is sent forward is sent back as a gradient of the same size

POSSIBLE = {  # the least and the most that a machine's numbers may be, and their units
    "rate": (1e-3, 1e9, "images/s"),
    "update": (0.0, 1e3, "s"),
    "bandwidth": (1.0, math.inf, "bytes/s"),
    "latency": (0.0, 1e3, "s"),
    "loading": (1e-3, math.inf, "images/s"),
}


@dataclass(frozen=True)
class Machine:
    """Identical devices and the network that connects them.

    rate: images a second that one device computes, forward and backward.   update: seconds that one device takes to
    update all parameters.   bandwidth: bytes a second that a device sends while it receives as many.
    latency: seconds that a message takes whatever its size.   loading: images a second that one process prepares.
    overlap: gradients are summed while the backward pass goes on.
    Raises UsageError for numbers outside POSSIBLE.
    """

    rate: float
    update: float = 0.0
    bandwidth: float = 12.5e9
    latency: float = 20e-6
    loading: float = math.inf
    overlap: bool = True

    def __post_init__(self) -> None:
        for name, (least, most, unit) in POSSIBLE.items():
            if not least <= getattr(self, name) <= most:  # NaN fails too
                raise UsageError(f"got {name}={getattr(self, name):g} {unit}: expected {least:g} ... {most:g}")

    def gather(self, size: float, devices: int) -> float:
        """Seconds of an all-gather: each device has a K-th of `size` bytes and receives the others, in K - 1 messages.

        (K - 1) (latency + size/K / bandwidth). A reduce-scatter of K arrays of `size` bytes takes as long.
        """
        return (devices - 1) * (self.latency + size / devices / self.bandwidth)

    def sum(self, size: float, devices: int) -> float:
        """Seconds of an all-reduce, a reduce-scatter and an all-gather: each device gets the sum of all K arrays."""
        return 2 * self.gather(size, devices)


@dataclass(frozen=True)
class StepCost:
    """What a training step of N images on K devices costs, in seconds but for `sent`.

    scheme: how the work is shared.   compute: forward and backward.   update: of the parameters.
    exchange: sending activations and their gradients, while nothing is computed.
    waiting: for sums of gradients, after the backward pass.   sent: bytes that each device sends.
    loading: waiting for images, if they are prepared too slowly.
    """

    scheme: str
    devices: int
    images: int
    compute: float
    update: float
    exchange: float
    waiting: float
    sent: float
    loading: float = 0.0

    @property
    def seconds(self) -> float:
        """Seconds of the whole step."""
        return self.compute + self.update + self.exchange + self.waiting + self.loading

    @property
    def images_per_s(self) -> float:
        """Images a second of all devices together."""
        return self.images / self.seconds


def steps(rows: Sequence[Row], machine: Machine, images: int, devices: int) -> list[StepCost]:
    """The cost of a step of `images` images on `devices` devices, for each way to share the work that is possible.

    Columns need an even number of devices and a net that can be split; one weird trick needs two devices or more.
    Raises UsageError for fewer than 1 or more than MOST devices, and for fewer images than devices.
    """
    if not 1 <= devices <= MOST:
        raise UsageError(f"got devices={devices}: expected 1 ... {MOST:,}")
    if images < devices:
        raise UsageError(f"got {images} images for {devices} devices: expected 1 or more each; use a larger batch")
    found = [data(rows, machine, images, devices)]
    if devices % 2 == 0 and not across_columns(rows):
        found.append(columns(rows, machine, images, devices))
    if devices > 1:
        found.append(weird_trick(rows, machine, images, devices))
    return found


def data(rows: Sequence[Row], machine: Machine, images: int, devices: int) -> StepCost:
    """Data parallel: each device computes N/K images; the gradients of all P parameters are summed over the devices.

    Each device sends 2 (K - 1)/K * 4 P bytes, whatever N is.
    """
    own = math.ceil(images / devices)
    waiting = _waiting(rows, machine, own / machine.rate, lambda row: machine.sum(NUMBER * row.parameters, devices))
    sent = 2 * (devices - 1) / devices * NUMBER * total_parameters(rows)
    return _fed(StepCost("data", devices, images, own / machine.rate, machine.update, 0.0, waiting, sent), machine, own)


def columns(rows: Sequence[Row], machine: Machine, images: int, devices: int) -> StepCost:
    """K/2 pairs: each pair computes N/(K/2) images, each of its devices a column; K = 2 is the paper's net.

    Before a layer that reads both columns, each device receives the other's half of the input; backward it receives the
    other's part of its half of the gradient. Then each column's gradients of parameters are summed over the pairs.
    """
    pairs = devices // 2
    own = math.ceil(images / pairs)
    meets = crossing(rows, own)
    exchange = sum(BOTH_WAYS * machine.latency + size / 2 / machine.bandwidth for size in meets.values())
    compute = own / machine.rate / 2
    waiting = _waiting(rows, machine, compute, lambda row: machine.sum(NUMBER * row.parameters / 2, pairs))
    sent = sum(meets.values()) / 2 + 2 * (pairs - 1) / pairs * NUMBER * total_parameters(rows) / 2
    name = "columns" if pairs == 1 else "columns x data"
    return _fed(StepCost(name, devices, images, compute, machine.update / 2, exchange, waiting, sent), machine, own)


def weird_trick(rows: Sequence[Row], machine: Machine, images: int, devices: int) -> StepCost:
    """Convolutions data parallel; fully connected layers model parallel: each device has 1/K of the units, for all N.

    Before a fully connected layer each device gathers the layer's whole input, N*D numbers; backward the gradients of
    the input are summed (reduce-scatter). Of the parameters only the convolutions' gradients, 4 % in the paper's net,
    are summed over the devices.
    """
    own = math.ceil(images / devices)
    full = [row for row in rows if isinstance(row.layer, Full)]
    read = [NUMBER * images * row.in_shape[0] for row in full]
    exchange = sum(BOTH_WAYS * machine.gather(size, devices) for size in read)

    def summing(row: Row) -> float:
        return machine.sum(NUMBER * row.parameters, devices) if isinstance(row.layer, Conv) else 0.0

    waiting = _waiting(rows, machine, own / machine.rate, summing)
    divided = total_parameters(full)
    copied = total_parameters(rows) - divided  # to each device
    update = machine.update * (copied + divided / devices) / (copied + divided)
    sent = (devices - 1) / devices * (BOTH_WAYS * sum(read) + 2 * NUMBER * copied)
    step = StepCost("one weird trick", devices, images, own / machine.rate, update, exchange, waiting, sent)
    return _fed(step, machine, own)


def _fed(step: StepCost, machine: Machine, own: int) -> StepCost:
    """The step with its `loading`: each process prepares `own` images during the step before."""
    return replace(step, loading=max(0.0, own / machine.loading - step.seconds))


def _waiting(rows: Sequence[Row], machine: Machine, compute: float, summing: Callable[[Row], float]) -> float:
    """Seconds from the end of the backward pass to the end of the last sum of gradients; sums run one after another.

    compute: seconds forward and backward.   summing: seconds to sum a layer's gradients over the devices.
    A layer takes time in proportion to its multiply-adds. Backward has as many as forward for the weights, and as many
    for the input, except in the first layer. The last layer's gradients are ready first.
    """
    weighted = [row for row in rows if row.kernel]
    if not machine.overlap:
        return sum(map(summing, weighted))
    backward = {row.name: row.multiply_adds * (1 if row is weighted[0] else 2) for row in weighted}
    seconds = compute / (sum(backward.values()) + sum(row.multiply_adds for row in weighted))  # of a multiply-add
    computed = summed = 0.0  # seconds into the backward pass at which the last gradients, and their sum, were ready
    for row in reversed(weighted):
        computed += backward[row.name] * seconds
        summed = max(summed, computed) + summing(row)
    return max(0.0, summed - computed)


def table(found: Sequence[StepCost]) -> str:
    """The steps as text: images a second, also as a multiple of one device's, and where the milliseconds go."""
    one = next((step.images_per_s for step in found if step.devices == 1), None)
    lines = [
        f"{'devices':<8}{'scheme':<17}{'images':>7}{'images/s':>11}{'times one':>10}"
        f"{'ms':>10}{'compute':>10}{'update':>8}{'exchange':>9}{'waiting':>9}{'loading':>9}{'MB sent':>9}"
    ]
    for step in found:
        times = f"{step.images_per_s / one:.2f}" if one else ""
        parts = (step.compute, step.update, step.exchange, step.waiting, step.loading)
        shares = "".join(
            f"{part / step.seconds:>{width}.0%}" for part, width in zip(parts, (10, 8, 9, 9, 9), strict=True)
        )
        lines.append(
            f"{step.devices:<8}{step.scheme:<17}{step.images:>7,}{step.images_per_s:>11,.1f}{times:>10}"
            f"{step.seconds * 1e3:>10,.2f}{shares}{step.sent / 1e6:>9,.1f}"
        )
    return "\n".join(lines)
