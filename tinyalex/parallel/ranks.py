"""Data parallel training over MPI: every process, a rank, has the whole net and its share of each batch.

    mpiexec -n 4 tinyalex train ...

Shares of a batch are computed side by side; each rank's gradients are sums over its own images, and the sum over all
ranks is that of the batch. It is added up layer by layer while the backward pass goes on (non-blocking all-reduce). The
batches, their crops, and the dropout masks are those of a single process, so the parameters are too, to rounding.

Axes: N images of a batch.
"""

import os
import sys
import time
import traceback
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from importlib import import_module
from typing import Any

import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray

from tinyalex.backend import Array, gpu_count, is_cpu, thread_count, use_threads
from tinyalex.errors import TinyAlexError, UsageError
from tinyalex.layers import Dropout, Layer
from tinyalex.net import AlexNet
from tinyalex.parallel.staging import Staging

STARTED_BY_MPI = ("PMI_SIZE", "OMPI_COMM_WORLD_SIZE", "MPI_LOCALNRANKS")  # what an mpiexec tells its processes
GPU_AWARE = "TINYALEX_GPU_AWARE_MPI"  # set to 1: this MPI adds up arrays in the memory of a GPU, without copies
OTHERS_WAIT = 2.0  # seconds that the other ranks leave rank 0 to tell a mistake that all have met
TO_BE_READ = 0.5  # seconds that mpiexec has to pass on what was printed, before it ends with the last rank


class Ranks:
    """The processes that train one net. This class is of a process that trains alone; see MpiRanks.

    rank: 0 ... size - 1; only rank 0 writes files.   waited: seconds spent on adding up, and on waiting for the others.
    threads: how many each rank has of the cores that it shares with others; None: as many as it may use.
    """

    rank, size = 0, 1
    waited = 0.0
    threads: int | None = None

    @property
    def writes(self) -> bool:
        """Is this the rank that writes files and speaks to the terminal?"""
        return self.rank == 0

    def devices(self, names: Sequence[str] | None) -> Sequence[str] | None:
        """The devices that this rank computes on, where all are asked to use `names`: of several each has its own."""
        return names

    def share(self, count: int) -> slice:
        """The part of `count` images that this rank computes: parts differ in size by one at most.

        Raises UsageError where some rank would get none.
        """
        if count < self.size:
            raise UsageError(f"{count} images for {self.size} ranks: use a larger batch, or fewer ranks")
        return slice(count * self.rank // self.size, count * (self.rank + 1) // self.size)

    def begin_sums(self, layer: Layer) -> None:
        """Begin to replace the gradients of `layer`, just computed, by their sums over all ranks."""
        for part in layer.parts():
            for grad in part.grads.values():
                self.begin_sum(grad)

    def begin_sum(self, array: Array) -> None:
        """Begin to replace `array`, which lies in one piece, by its sum over all ranks."""

    def end_sums(self) -> None:
        """Wait for all sums that were begun."""

    def sum(self, values: list[float]) -> list[float]:
        """The sums of each of `values` over all ranks."""
        return values

    def agree(self, value: Any) -> Any:
        """What rank 0 gives for `value`; all ranks have come as far as this when it returns."""
        return value

    def fail(self, error: Exception) -> None:
        """End the processes of all ranks, as this one cannot go on; alone there is nobody to end."""


class MpiRanks(Ranks):
    """The ranks of an MPI world, through mpi4py."""

    def __init__(self) -> None:
        try:
            self._mpi: Any = import_module("mpi4py.MPI")
        except ImportError:
            raise UsageError("several ranks need mpi4py: pip install 'tinyalex[mpi]'") from None
        self._world = self._mpi.COMM_WORLD
        self.rank, self.size = self._world.rank, self._world.size
        self._here = self._world.Split_type(self._mpi.COMM_TYPE_SHARED)  # the ranks of this machine
        self.threads = self._share_of_cores()
        self._under_way: list[Any] = []
        self._staging = Staging(self._begin, direct=os.environ.get(GPU_AWARE, "0") not in ("", "0"))

    def devices(self, names: Sequence[str] | None) -> Sequence[str] | None:
        """As in Ranks: the GPUs of this machine go round its ranks, those of a rank side by side."""
        if names is None or all(map(is_cpu, names)):
            return names
        first, count = len(names) * self._here.rank, gpu_count()
        return tuple(name if is_cpu(name) else f"cuda:{(first + place) % count}" for place, name in enumerate(names))

    def _share_of_cores(self) -> int | None:
        """The cores that this rank may use, shared out to the ranks of this machine that may use the same ones."""
        if os.environ.get("TINYALEX_THREADS"):
            return None
        cores = sorted(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else [*range(thread_count())]
        neighbours: list[list[int]] = self._here.allgather(cores)
        return max(1, len(cores) // neighbours.count(cores))

    def begin_sum(self, array: Array) -> None:
        """As in Ranks. What was begun before gets on meanwhile, as MPI works when it is called only."""
        with self._waiting():
            if isinstance(array, np.ndarray):
                self._begin(array)
            else:
                self._staging.add(array)
            self._mpi.Request.Testall(self._under_way)

    def _begin(self, array: Any) -> Any:
        request = self._world.Iallreduce(self._mpi.IN_PLACE, array)
        self._under_way.append(request)
        return request

    def end_sums(self) -> None:
        """As in Ranks."""
        with self._waiting():
            self._staging.finish()
            self._mpi.Request.Waitall(self._under_way)
            self._under_way.clear()

    def sum(self, values: list[float]) -> list[float]:
        """As in Ranks, in float64."""
        total = np.array(values, np.float64)
        with self._waiting():
            self._world.Allreduce(self._mpi.IN_PLACE, total)
        return [float(value) for value in total]

    @contextmanager
    def _waiting(self) -> Iterator[None]:
        """Count the time of the block."""
        begun = time.perf_counter()
        yield
        self.waited += time.perf_counter() - begun

    def agree(self, value: Any) -> Any:
        """As in Ranks."""
        return self._world.bcast(value, root=0)

    def fail(self, error: Exception) -> None:
        """As in Ranks. The reason is told once: what all ranks meet rank 0 tells, and ends the others meanwhile."""
        if self.rank > 0:
            time.sleep(OTHERS_WAIT)
        if not isinstance(error, TinyAlexError | OSError):
            traceback.print_exception(error)
        print(f"tinyalex: rank {self.rank} of {self.size}: {' '.join(str(error).split())}", file=sys.stderr, flush=True)
        time.sleep(TO_BE_READ)
        self._world.Abort(2)
        os._exit(2)  # an MPI may return from Abort, and end the process a moment later


def all_ranks() -> Ranks:
    """Those of the MPI world that this process was started in, or itself alone.

    Raises UsageError where it was started as one of several, and mpi4py is not installed.
    """
    several = any(int(os.environ.get(name, "1")) > 1 for name in STARTED_BY_MPI)
    return MpiRanks() if several else Ranks()


@contextmanager
def ranks_at_work() -> Iterator[Ranks]:
    """The block of what all ranks do together, each on its share of the cores; where one fails, it ends them all."""
    ranks = all_ranks()
    try:
        with use_threads(ranks.threads):
            yield ranks
    except Exception as error:
        ranks.fail(error)
        raise


class OwnRows:
    """Random numbers of the images of one share: those of the whole batch are drawn, and the own ones kept."""

    def __init__(self, rng: Generator, share: slice, count: int) -> None:
        self._rng, self._share, self._count = rng, share, count

    def random(self, shape: tuple[int, ...], dtype: Any) -> NDArray[Any]:
        """The own rows of numbers of [0, 1) for the whole batch."""
        return self._rng.random((self._count, *shape[1:]), dtype=dtype)[self._share]


def share_masks(net: AlexNet, share: slice, count: int) -> None:
    """Let the dropout layers draw the masks of `count` images, and keep those of the images of `share`."""
    rows: Any = OwnRows(net.mask_rng, share, count)
    for layer in net.layers.values():
        whole = layer.whole
        if isinstance(whole, Dropout):
            whole.rng = rows
