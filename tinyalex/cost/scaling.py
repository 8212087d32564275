"""What a step of training costs on machines that are not here: four ways to share it out to 1 to 64 devices.

    data              every device has the whole net and its share of the images; gradients are added up (MPI)
    columns           the paper's own way: two devices, a column of the net each (section 3.2)
    columns x data    pairs of devices: a column each within a pair, a share of the images for each pair
    one weird trick   convolutions as in `data`; of the fully connected layers every device has a share of the units

Axes: N images of a step, all devices together; K devices; D features that a fully connected layer reads.

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
BOTH_WAYS = 2  # what crosses forward crosses backward again, as a gradient


POSSIBLE = {  # the numbers that a machine may have, and their units
    "rate": (1e-3, 1e9, "images/s"),
    "update": (0.0, 1e3, "s"),
    "bandwidth": (1.0, math.inf, "bytes/s"),
    "latency": (0.0, 1e3, "s"),
    "loading": (1e-3, math.inf, "images/s"),
}


@dataclass(frozen=True)
class Machine:
    """Devices that are all alike, and what connects them.

    rate: images a second that one device computes forward and backward.   update: seconds in which it then updates all
    parameters.   bandwidth: bytes a second that a device can send, and receive at the same time.
    latency: seconds that a message takes besides.   loading: images a second that one process prepares.
    overlap: do sums of gradients get on while the backward pass goes on?
    Raises UsageError for numbers that no machine has.
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
                raise UsageError(f"{name} is {getattr(self, name):g} {unit}: expected {least:g} ... {most:g}")

    def gather(self, size: float, devices: int) -> float:
        """Seconds until all devices have all of `size` bytes, of which each had one part: a ring of K - 1 messages.

        As long as the sums of K arrays take, each device keeping one part (reduce-scatter).
        """
        return (devices - 1) * (self.latency + size / devices / self.bandwidth)

    def sum(self, size: float, devices: int) -> float:
        """Seconds until all devices have the sum of their arrays of `size` bytes: a reduce-scatter, then a gather."""
        return 2 * self.gather(size, devices)


@dataclass(frozen=True)
class Step:
    """A step of training of N images on K devices, and where its seconds go.

    compute: forward and backward.   update: of the parameters.   exchange: of activations, while all wait.
    waiting: for sums of gradients, once the backward pass is over.   sent: bytes that each device sends.
    loading: for images, if they come too slowly.
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
        """Of the whole step."""
        return self.compute + self.update + self.exchange + self.waiting + self.loading

    @property
    def images_per_s(self) -> float:
        """Images that all devices together train in a second."""
        return self.images / self.seconds


def steps(rows: Sequence[Row], machine: Machine, images: int, devices: int) -> list[Step]:
    """A step of `images` images on so many devices, by each way that there is to share it out.

    Columns take two devices, pairs of them an even number from four on, and a net that comes apart.
    Raises UsageError for fewer images than devices.
    """
    if not 1 <= devices <= MOST:
        raise UsageError(f"devices is {devices}: expected 1 ... {MOST:,}")
    if images < devices:
        raise UsageError(f"{images} images for {devices} devices: use a larger batch, or fewer devices")
    found = [data(rows, machine, images, devices)]
    if devices % 2 == 0 and not across_columns(rows):
        found.append(columns(rows, machine, images, devices))
    if devices > 1:
        found.append(weird_trick(rows, machine, images, devices))
    return found


def data(rows: Sequence[Row], machine: Machine, images: int, devices: int) -> Step:
    """Data parallel: each device computes N/K images; the gradients of all P parameters are added up.

    Each device sends 2 (K - 1)/K * 4 P bytes, whatever N is.
    """
    own = math.ceil(images / devices)
    waiting = _waiting(rows, machine, own / machine.rate, lambda row: machine.sum(NUMBER * row.parameters, devices))
    sent = 2 * (devices - 1) / devices * NUMBER * total_parameters(rows)
    return _fed(Step("data", devices, images, own / machine.rate, machine.update, 0.0, waiting, sent), machine, own)


def columns(rows: Sequence[Row], machine: Machine, images: int, devices: int) -> Step:
    """K/2 pairs: each computes N/(K/2) images, half of the net on each device; with K = 2 the paper's two columns.

    Before each layer that reads both columns a device receives the other's half of what it reads, and backward the
    other's part of its gradient. Then each half of the gradients is added up between the pairs.
    """
    pairs = devices // 2
    own = math.ceil(images / pairs)
    meets = crossing(rows, own)
    exchange = sum(BOTH_WAYS * machine.latency + size / 2 / machine.bandwidth for size in meets.values())
    compute = own / machine.rate / 2
    waiting = _waiting(rows, machine, compute, lambda row: machine.sum(NUMBER * row.parameters / 2, pairs))
    sent = sum(meets.values()) / 2 + 2 * (pairs - 1) / pairs * NUMBER * total_parameters(rows) / 2
    name = "columns" if pairs == 1 else "columns x data"
    return _fed(Step(name, devices, images, compute, machine.update / 2, exchange, waiting, sent), machine, own)


def weird_trick(rows: Sequence[Row], machine: Machine, images: int, devices: int) -> Step:
    """Convolutions data parallel, fully connected layers model parallel: each device 1/K of the units, for all images.

    Before a fully connected layer every device gathers what the layer reads, N*D numbers; backward their gradients
    come back as sums. Only the gradients of the convolutions, 4 % of the paper's net, are added up.
    """
    own = math.ceil(images / devices)
    full = [row for row in rows if isinstance(row.layer, Full)]
    read = [NUMBER * images * row.in_shape[0] for row in full]
    exchange = sum(BOTH_WAYS * machine.gather(size, devices) for size in read)

    def adding(row: Row) -> float:
        return machine.sum(NUMBER * row.parameters, devices) if isinstance(row.layer, Conv) else 0.0

    waiting = _waiting(rows, machine, own / machine.rate, adding)
    shared = total_parameters(full)
    everywhere = total_parameters(rows) - shared
    update = machine.update * (everywhere + shared / devices) / (everywhere + shared)
    sent = (devices - 1) / devices * (BOTH_WAYS * sum(read) + 2 * NUMBER * everywhere)
    step = Step("one weird trick", devices, images, own / machine.rate, update, exchange, waiting, sent)
    return _fed(step, machine, own)


def _fed(step: Step, machine: Machine, own: int) -> Step:
    """The step, with the time that it waits for the `own` images that each process prepares meanwhile."""
    return replace(step, loading=max(0.0, own / machine.loading - step.seconds))


def _waiting(rows: Sequence[Row], machine: Machine, compute: float, adding: Callable[[Row], float]) -> float:
    """Seconds that the sums of gradients last beyond the backward pass; they are added one after the other.

    compute: seconds forward and backward.   adding: seconds that it takes to add up a layer's gradients.
    The layers take their time in proportion to their multiply-adds: as many for the weights as forward, and as many
    again for the input, which the first layer leaves out. The last layer's gradients are there first.
    """
    weighted = [row for row in rows if row.kernel]
    if not machine.overlap:
        return sum(map(adding, weighted))
    backward = {row.name: row.multiply_adds * (1 if row is weighted[0] else 2) for row in weighted}
    second = compute / (sum(backward.values()) + sum(row.multiply_adds for row in weighted))  # a multiply-add
    computed = added = 0.0  # seconds into the backward pass
    for row in reversed(weighted):
        computed += backward[row.name] * second
        added = max(added, computed) + adding(row)
    return max(0.0, added - computed)


def table(found: Sequence[Step]) -> str:
    """The steps as text: images a second, how many times one device's, and where the milliseconds go."""
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
