"""How fast a net trains or infers here, and where the time goes: each layer against what the machine can do.

Two roofs bound every layer: the operations that the cores can do in a second, and the bytes that the memory can move
(the roofline model: Williams, Waterman and Patterson, 2009). Both are measured on the spot.
"""

import math
import statistics
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, NamedTuple

import numpy as np

from tinyalex import spec as nets
from tinyalex.backend import computing, to_device
from tinyalex.backend.devices import synchronize
from tinyalex.count import Row
from tinyalex.errors import UsageError
from tinyalex.layers.linear import linear_forward
from tinyalex.net import AlexNet
from tinyalex.optim import SGD, sgd_update
from tinyalex.parallel.ranks import Ranks

WARM_UP = 2  # steps before those that count: in the first one kernels are compiled, and memory is fetched
SIDE = 2048  # of the matrices whose product measures the operations
WEIGHTS = 1 << 24  # whose update measures the memory: 200 MB, more than a cache holds


@dataclass(frozen=True)
class Pace:
    """Images a second: of the best step, and of the median one; and the most memory the process has held, in MB.

    waiting_share: of the time, what several ranks spent on adding up, and on waiting for each other.
    """

    images_per_s: float
    median_images_per_s: float
    peak_rss_mb: float | None
    waiting_share: float = 0.0


@dataclass(frozen=True)
class Cost:
    """One layer in one direction: its median time, its operations (of the definition), and the bytes it must move."""

    layer: str
    direction: str
    seconds: float
    operations: float
    bytes: float


class Roofs(NamedTuple):
    """The most that was measured of float32 operations a second, in a matrix product, and of bytes a second."""

    operations: float
    bytes: float


class Bench:
    """A net at work on random images: forward, backward and update (mode "train"), or forward alone ("infer").

    threads, devices: as in AlexNet.   ranks: processes that train together, a share of the images each.
    Raises UsageError for another mode, or fewer than 1 image.
    """

    def __init__(
        self,
        variant: str,
        mode: str,
        batch: int,
        threads: int | None = None,
        devices: str | Sequence[str] | None = None,
        ranks: Ranks | None = None,
    ) -> None:
        if mode not in ("train", "infer"):
            raise UsageError(f"mode={mode!r}: expected 'train' or 'infer'")
        if batch < 1:
            raise UsageError(f"batch={batch}: expected 1 image or more")
        classes = 10 if variant == "mini" else 1000
        self.net = AlexNet(variant, num_classes=classes, threads=threads, devices=devices)
        self.mode, self.batch = mode, batch
        self._ranks = Ranks() if ranks is None else ranks
        own = self._own = len(range(batch)[self._ranks.share(batch)])
        rng = np.random.default_rng(0)
        images = rng.standard_normal((own, self.net.input_size, self.net.input_size, 3), dtype="float32")
        self._x = images.transpose(0, 3, 1, 2)  # as the loader hands them out: (N, 3, H, W), channels last in memory
        if self.net.device:
            self._x = to_device(self._x, self.net.device)
        self._wait = partial(synchronize, *((devices,) if isinstance(devices, str) else devices or ()))
        self._labels = rng.integers(0, self.net.num_classes, own)
        self._sgd = SGD(self.net) if mode == "train" else None

    def step(self) -> None:
        """One step of training, or one inference."""
        if self._sgd is None:
            self.net.forward(self._x)
            return
        self.net.loss(self._x, self._labels, train=True)
        self.net.backward(self.net.criterion.backward(), input_gradient=False, done=self._ranks.begin_sums)
        self._ranks.end_sums()
        self._sgd.step()

    def pace(self, steps: int) -> Pace:
        """Images a second over `steps` steps, after two that do not count. UsageError for fewer than 1."""
        if steps < 1:
            raise UsageError(f"steps={steps}: expected 1 or more")
        seconds: list[float] = []
        step = _watched(self.step, seconds, self._wait)
        for _ in range(WARM_UP):
            step()
        self._ranks.waited = 0.0
        for _ in range(steps):
            step()
        counted = seconds[WARM_UP:]
        waiting = self._ranks.waited / sum(counted)
        return Pace(self.batch / min(counted), self.batch / statistics.median(counted), peak_memory(), waiting)

    def costs(self, steps: int) -> list[Cost]:
        """Each layer in each direction, in the order of a step, for the images of this rank.

        The loss is left out, as it takes no time, and the ReLU of a convolution on the way forward, as the convolution
        does its work.
        """
        watched: list[tuple[str, str, list[float], tuple[float, float]]] = []

        def watch(owner: Any, method: str, layer: str, direction: str, work: tuple[float, float]) -> None:
            seconds: list[float] = []  # the net is the bench's own: nobody else sees the stopwatch in it
            setattr(owner, method, _watched(getattr(owner, method), seconds, self._wait))
            watched.append((layer, direction, seconds, work))

        rows = [(row.name, row, self.net.layers[row.name]) for row in self.net.rows]
        for name, row, layer in rows:
            watch(layer, "forward", name, "forward", forward_work(row, self._own))
        for name, row, layer in reversed(rows):
            watch(layer, "backward", name, "backward", backward_work(row, self._own, input_gradient=name != "conv1"))
        if self._sgd is not None:
            watch(self._sgd, "step", "all", "update", update_work(self.net.rows))
        self.pace(steps)
        return [
            Cost(layer, direction, statistics.median(seconds[WARM_UP:]), *work)
            for layer, direction, seconds, work in watched
            if seconds
        ]


def roofs(threads: int | None = None, device: str = "cpu") -> Roofs:
    """The best of a few large matrix products, and of a few updates of weights that no cache holds, on `device`."""
    rng = np.random.default_rng(0)
    x, w = (to_device(matrix, device) for matrix in rng.standard_normal((2, SIDE, SIDE), dtype="float32"))
    weights, velocity, gradient = (to_device(np.zeros(WEIGHTS, "float32"), device) for _ in range(3))
    b, wait = to_device(np.zeros(SIDE, "float32"), device), partial(synchronize, device)
    with computing(threads=threads, device=device):
        product = _best(partial(linear_forward, x, w, b), wait)
        update = _best(partial(sgd_update, weights, velocity, gradient, 0.1, 0.9, 0.0), wait)
    return Roofs(2 * SIDE**3 / product, 20 * WEIGHTS / update)


def _best(call: Callable[[], Any], wait: Callable[[], None], rounds: int = 5) -> float:
    seconds: list[float] = []
    watched = _watched(call, seconds, wait)
    for _ in range(rounds):
        watched()
    return min(seconds)


def _watched(call: Callable[..., Any], seconds: list[float], wait: Callable[[], None]) -> Callable[..., Any]:
    """`call`, that also adds the time it takes to `seconds`; `wait` returns when a GPU has done what it was given."""

    def timed(*args: Any, **kwargs: Any) -> Any:
        wait()
        begun = time.perf_counter()
        result = call(*args, **kwargs)
        wait()
        seconds.append(time.perf_counter() - begun)
        return result

    return timed


def table(costs: list[Cost], roofs: Roofs) -> str:
    """The costs as text: of each layer its time, its speed, its traffic, and both as shares of the two roofs."""
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
        "GFLOP/s count the operations of the definition, MB what must be moved if no cache helps: a convolution above",
        "100 % multiplies less than its definition (Winograd), a layer above 100 % of the memory finds it in a cache.",
    ]
    return "\n".join(lines)


# ---------------------------------------------------------------- what a layer has to do: (operations, bytes)


def forward_work(row: Row, batch: int) -> tuple[float, float]:
    """Operations as the definition counts them; bytes if every float32 is read or written once, and no cache helps."""
    seen, made = math.prod(row.in_shape), math.prod(row.out_shape)
    match row.layer:
        case nets.Conv() | nets.Full():
            operations = 2 * row.multiply_adds
        case nets.Norm() as norm:
            operations = (2 * norm.size + 6) * seen
        case nets.SpatialNorm() as norm:
            operations = (4 * norm.size + 6) * seen
        case nets.Pool() as pool:
            operations = pool.size**2 * made
        case _:
            operations = made
    return batch * operations, 4 * (batch * (seen + made + _noted(row)) + row.parameters)


def backward_work(row: Row, batch: int, input_gradient: bool = True) -> tuple[float, float]:
    """Likewise; weights are read and their gradients written, and what the forward pass kept is read again."""
    seen, made = math.prod(row.in_shape), math.prod(row.out_shape)
    operations, _ = forward_work(row, batch)
    match row.layer:
        case nets.Conv() | nets.Full():
            return operations * (1 + input_gradient), 4 * (
                batch * (made + seen + seen * input_gradient) + 2 * row.parameters
            )
        case nets.Norm() | nets.SpatialNorm():
            return 2 * operations, 4 * batch * (made + 2 * seen)
        case nets.Activation():
            return operations, 4 * batch * 3 * made
        case _:
            return operations, 4 * batch * (made + seen + _noted(row))


def _noted(row: Row) -> float:
    """What pooling and dropout note for the backward pass, a byte for each output, in float32 numbers."""
    return math.prod(row.out_shape) / 4 if isinstance(row.layer, nets.Pool | nets.Drop) else 0


def update_work(rows: list[Row]) -> tuple[float, float]:
    """Six operations a weight; w, its velocity and its gradient are read, w and the velocity written."""
    weights = sum(row.parameters for row in rows)
    return 6 * weights, 20 * weights


def peak_memory() -> float | None:
    """The most memory that this process has held, in MB of 2**20 bytes; None where no system tells (Windows)."""
    try:
        import resource
    except ImportError:
        return None
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / (1 << 20 if sys.platform == "darwin" else 1 << 10)
