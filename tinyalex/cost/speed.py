"""How fast a net trains or infers on this machine, and where the time goes: each layer against the machine's limits.

Two limits, or roofs, bound every layer: the operations that the cores can do in a second, and the bytes that the memory
can move in a second. Both are measured here.

Source: S. Williams, A. Waterman and D. Patterson, Roofline: an insightful visual performance model (2009).
"""

import math
import statistics
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, NamedTuple, assert_never

import numpy as np

from tinyalex import spec as nets
from tinyalex.backend import Array, computing, device_names, is_cpu, synchronize, to_device
from tinyalex.cost.engines.child import peak_memory
from tinyalex.cost.stopwatch import HostStopwatch, Stopwatch, stopwatch
from tinyalex.count import Row
from tinyalex.errors import UsageError, at_least
from tinyalex.layers.linear import linear_forward
from tinyalex.net import AlexNet
from tinyalex.optim import SGD, sgd_update
from tinyalex.parallel.ranks import Ranks

WARM_UP = 2  # steps that do not count: the first ones compile kernels and allocate memory
SIDE, GPU_SIDE = 2048, 8192  # rows and columns of the matrices whose product measures operations a second
WEIGHTS = 1 << 24  # weights whose update measures bytes a second: 200 MB, more than a cache holds


@dataclass(frozen=True)
class Pace:
    """How fast a net went: images a second of the fastest step and of the median step.

    peak_rss_mb: the most memory that the process has held, in MB of 2**20 bytes; None if the system does not tell.
    waiting_share: the share of the time that a rank spent on summing gradients and waiting for the other ranks.
    """

    images_per_s: float
    median_images_per_s: float
    peak_rss_mb: float | None
    waiting_share: float = 0.0


@dataclass(frozen=True)
class Cost:
    """One layer in one direction: its median time in seconds, and its work (see `layer_work`).

    layer: its name, or "all" for the update.   direction: "forward", "backward" or "update".
    """

    layer: str
    direction: str
    seconds: float
    operations: float
    bytes: float


class Roofs(NamedTuple):
    """The machine's limits: float32 operations a second, measured in a matrix product, and bytes a second."""

    operations: float
    bytes: float


class Bench:
    """Training steps ("train") or forward passes ("infer") of a net on random images, timed.

    variant, threads, devices: as for AlexNet.   batch: images a step, of all ranks together.
    ranks: the processes that train together; each takes its share of the images.
    Raises UsageError for another mode, or fewer than 1 image.
    """

    def __init__(
        self,
        variant: str | nets.Spec,
        mode: str,
        batch: int,
        threads: int | None = None,
        devices: str | Sequence[str] | None = None,
        ranks: Ranks | None = None,
    ) -> None:
        if mode not in ("train", "infer"):
            raise UsageError(f"got mode={mode!r}: expected 'train' or 'infer'")
        at_least(1, batch=batch)
        spec = nets.variant(variant) if isinstance(variant, str) else variant
        self.net = AlexNet(spec, num_classes=nets.usual_classes(spec), threads=threads, devices=devices)
        self.mode, self.batch = mode, batch
        self._ranks = Ranks() if ranks is None else ranks
        self._own = len(range(batch)[self._ranks.share(batch)])
        self._x, self._labels = random_images(self.net, self._own)
        if self.net.device:
            self._x = to_device(self._x, self.net.device)
        names = device_names(devices)
        self._wait, self._stopwatch = partial(synchronize, *names), partial(stopwatch, *names)
        self._sgd = SGD(self.net) if mode == "train" else None

    def step(self) -> Array | float:
        """One training step -> its loss; or one forward pass -> the logits (N, K)."""
        if self._sgd is None:
            return self.net.forward(self._x)
        loss = self.net.loss(self._x, self._labels, train=True)
        self.net.backward(self.net.criterion.backward(), input_gradient=False, done=self._ranks.begin_sums)
        self._ranks.end_sums()
        self._sgd.step()
        return loss

    def pace(self, steps: int) -> Pace:
        """Time `steps` steps, after WARM_UP that do not count. Raises UsageError for fewer than 1."""
        at_least(1, steps=steps)
        watch = HostStopwatch(self._wait)
        step = watch.timed(self.step)
        for _ in range(WARM_UP):
            step()
        self._ranks.waited = 0.0
        for _ in range(steps):
            step()
        counted = watch.seconds()[WARM_UP:]
        waiting = self._ranks.waited / sum(counted)
        return Pace(self.batch / min(counted), self.batch / statistics.median(counted), peak_memory(), waiting)

    def costs(self, steps: int) -> list[Cost]:
        """Time each layer in each direction, over `steps` steps on this rank's images; in the order of a step.

        The loss is missing, as its time is negligible; so is a ReLU that the convolution before it applies.
        """
        timed: list[tuple[str, str, Stopwatch, Work]] = []

        def time_calls(owner: Any, method: str, layer: str, direction: str, work: Work) -> None:
            watch = self._stopwatch()
            setattr(owner, method, watch.timed(getattr(owner, method)))  # the net is the bench's own
            timed.append((layer, direction, watch, work))

        rows = self.net.rows
        works = {row.name: layer_work(row, self._own, input_gradient=row is not rows[0]) for row in rows}
        for name, (forward, _) in works.items():
            time_calls(self.net.layers[name], "forward", name, "forward", forward)
        for name, (_, backward) in reversed(works.items()):
            time_calls(self.net.layers[name], "backward", name, "backward", backward)
        if self._sgd is not None:
            time_calls(self._sgd, "step", "all", "update", update_work(rows))
        self.pace(steps)
        return [
            Cost(layer, direction, statistics.median(seconds[WARM_UP:]), work.operations, work.bytes)
            for layer, direction, watch, work in timed
            if (seconds := watch.seconds())
        ]


def random_images(net: AlexNet, number: int) -> tuple[Array, Array]:
    """Images (number, 3, H, W) of N(0, 1), channels last in memory as the loader returns them, and labels (number,)."""
    rng = np.random.default_rng(0)
    images = rng.standard_normal((number, net.input_size, net.input_size, 3), dtype="float32")
    return images.transpose(0, 3, 1, 2), rng.integers(0, net.num_classes, number)


def roofs(
    threads: int | None = None, device: str = "cpu", side: int | None = None, weights: int | None = None
) -> Roofs:
    """Measure the limits of `device`: the fastest of a few large matrix products, and of a few updates of weights.

    threads: how many the CPU uses; None: as many as `AlexNet` would.   side: of the matrices.   weights: how many are
    updated; by default they do not fit in a cache.   All numbers are random, as a GPU multiplies zeros faster.
    """
    side = side or (SIDE if is_cpu(device) else GPU_SIDE)
    rng, weights = np.random.default_rng(0), weights or WEIGHTS
    x, w = (to_device(matrix, device) for matrix in rng.standard_normal((2, side, side), dtype="float32"))
    random = rng.standard_normal(weights, dtype="float32")
    updated, velocity, gradient = (to_device(random.copy(), device) for _ in range(3))
    b = to_device(np.zeros(side, "float32"), device)
    with computing(threads=threads, device=device):
        product = _fastest(partial(linear_forward, x, w, b), device)
        update = _fastest(partial(sgd_update, updated, velocity, gradient, 0.1, 0.9, 0.0), device)
    return Roofs(2 * side**3 / product, 20 * weights / update)


def _fastest(call: Callable[[], Any], device: str, rounds: int = 5) -> float:
    """The seconds of the fastest of a few calls, which compute on `device`."""
    watch = stopwatch(device)
    timed = watch.timed(call)
    for _ in range(rounds):
        timed()
    return min(watch.seconds())


def table(costs: list[Cost], roofs: Roofs) -> str:
    """The costs as text: each layer's time, operations and bytes a second, and these as shares of the two roofs."""
    total = sum(cost.seconds for cost in costs)
    lines = [
        f"roofs, measured here: {roofs.operations / 1e9:.0f} GFLOP/s in a matrix product, "
        f"{roofs.bytes / 1e9:.0f} GB/s of memory",
        "",
        f"{'layer':<10}{'direction':<10}{'ms':>8}{'time':>6}{'GFLOP/s':>10}{'of roof':>9}"
        f"{'MB':>8}{'GB/s':>8}{'of roof':>9}",
    ]
    for cost in costs:
        speed, traffic = cost.operations / cost.seconds, cost.bytes / cost.seconds
        lines.append(
            f"{cost.layer:<10}{cost.direction:<10}{cost.seconds * 1e3:>8.2f}{cost.seconds / total:>6.0%}"
            f"{speed / 1e9:>10.1f}{speed / roofs.operations:>9.0%}"
            f"{cost.bytes / 1e6:>8.1f}{traffic / 1e9:>8.1f}{traffic / roofs.bytes:>9.0%}"
        )
    lines += [
        f"{'sum':<20}{total * 1e3:>8.2f}",
        "",
        "GFLOP/s count the operations of the definition, MB the bytes to move if no cache helps. Above 100 % of the",
        "first roof a convolution multiplies less than its definition (Winograd); above 100 % of the second roof a",
        "layer finds its numbers in a cache.",
    ]
    return "\n".join(lines)


# ---------------------------------------------------------------- what a layer has to do


class Work(NamedTuple):
    """Operations as the definition counts them, and bytes if every number is moved once and no cache helps."""

    operations: float
    bytes: float


def layer_work(row: Row, batch: int, input_gradient: bool = True) -> tuple[Work, Work]:
    """The work of a layer forward, and backward, for `batch` images of float32 numbers, 4 bytes each.

    Forward, x and the parameters are read; y is written, and what the layer keeps. Backward, that and dy are read; dx
    and the gradients of the parameters are written. Without `input_gradient` a convolution computes no dx.
    """
    x, y = math.prod(row.in_shape), math.prod(row.out_shape)  # numbers of an image
    forward: tuple[float, float]  # operations and moved numbers, of an image
    backward: tuple[float, float]
    match row.layer:
        case nets.Conv() | nets.Full():
            products = 1 + input_gradient  # each as large as that of the forward pass
            forward, backward = (2 * row.multiply_adds, x + y), (2 * row.multiply_adds * products, y + x * products)
        case nets.Norm(size=size):
            forward, backward = ((2 * size + 6) * x, x + y), (2 * (2 * size + 6) * x, y + 2 * x)
        case nets.SpatialNorm(size=size):
            forward, backward = ((4 * size + 6) * x, x + y), (2 * (4 * size + 6) * x, y + 2 * x)
        case nets.Pool(size=size):
            assert row.window is not None
            cells = y * np.dtype(row.window.number_dtype).itemsize / 4  # for each output the one that was the largest
            forward = backward = (size**2 * y, x + y + cells)
        case nets.AveragePool(size=size):
            forward = backward = (size**2 * y, x + y)
        case nets.Drop():
            forward = backward = (y, x + y + y / 4)  # y/4: a byte each, the mask
        case nets.Activation():
            forward, backward = (y, x + y), (y, 3 * y)
        case nets.Flat():
            forward = backward = (y, x + y)
        case _:
            assert_never(row.layer)
    return (
        Work(batch * forward[0], 4 * (batch * forward[1] + row.parameters)),
        Work(batch * backward[0], 4 * (batch * backward[1] + 2 * row.parameters)),
    )


def update_work(rows: Sequence[Row]) -> Work:
    """Six operations a weight; w, its velocity and its gradient are read, w and the velocity written."""
    weights = sum(row.parameters for row in rows)
    return Work(6 * weights, 20 * weights)
