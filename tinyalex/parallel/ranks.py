"""Data parallel training over MPI: every process, called a rank, has the whole net and its share of each batch.

    mpiexec -n 4 tinyalex train ...

The ranks compute their shares at the same time. The gradients of a rank are sums over its own images; summed over all
ranks (all-reduce) they are the gradients of the batch. A layer's sum begins as soon as its gradients are computed, and
runs during the rest of the backward pass. All ranks use the batches, crops and dropout masks that a single process
would use, so they get its parameters too, up to rounding.

What happens when a rank fails or dies is in `tinyalex.parallel.failure`.
"""

import os
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from importlib import import_module
from typing import Any

import numpy as np

from tinyalex.backend import Array, gpu_count, is_cpu, thread_count
from tinyalex.errors import UsageError
from tinyalex.layers import Layer
from tinyalex.parallel.staging import Staging

STARTED_BY_MPI = ("PMI_SIZE", "OMPI_COMM_WORLD_SIZE", "MPI_LOCALNRANKS")  # the number of ranks, set by mpiexec
GPU_AWARE = "TINYALEX_GPU_AWARE_MPI"  # 1: this MPI reads and writes the memory of a GPU, so gradients are not copied


class Ranks:
    """The processes that train one net. This class is for a process that trains alone, MpiRanks for several.

    rank: the number of this process, 0 ... size - 1; only rank 0 writes files.
    waited: seconds spent in sums over all ranks.
    threads: the threads that this rank uses, where ranks share cores; None: one for each core that it may use.
    """

    rank, size = 0, 1
    waited = 0.0
    threads: int | None = None

    @property
    def writes(self) -> bool:
        """Whether this rank writes files and prints progress."""
        return self.rank == 0

    def devices(self, names: Sequence[str] | None) -> Sequence[str] | None:
        """The devices of this rank if all ranks are asked to use `names`: GPUs are dealt out among the ranks."""
        return names

    def share(self, count: int) -> slice:
        """The part of `count` images that this rank computes. Parts differ in size by at most one.

        Raises UsageError if there are fewer images than ranks.
        """
        if count < self.size:
            raise UsageError(f"{count} images for {self.size} ranks: use a larger batch, or fewer ranks")
        return slice(count * self.rank // self.size, count * (self.rank + 1) // self.size)

    def begin_sums(self, layer: Layer) -> None:
        """Begin to replace the gradients of `layer` by their sums over all ranks."""
        for part in layer.parts():
            for grad in part.grads.values():
                self.begin_sum(grad)

    def begin_sum(self, array: Array) -> None:
        """Begin to replace the contiguous `array` by its sum over all ranks."""

    def end_sums(self) -> None:
        """Wait until all sums are complete."""

    def sum(self, values: list[float]) -> list[float]:
        """The sum of each value over all ranks, in float64."""
        return values

    def agree(self, value: Any) -> Any:
        """Broadcast the `value` of rank 0 to all ranks. No rank returns before rank 0 has called."""
        return value

    def abort(self) -> None:
        """End the processes of all ranks; a process that trains alone has no others to end."""


class MpiRanks(Ranks):
    """The ranks of an MPI world, through mpi4py. Raises UsageError if mpi4py is not installed."""

    def __init__(self) -> None:
        try:
            self._mpi: Any = import_module("mpi4py.MPI")
        except ImportError:
            raise UsageError("several ranks need mpi4py: pip install mpi4py mpich") from None
        self._world = self._mpi.COMM_WORLD
        self.rank, self.size = self._world.rank, self._world.size
        self._here = self._world.Split_type(self._mpi.COMM_TYPE_SHARED)  # the ranks on this machine
        self.threads = self._share_of_cores()
        self._requests: list[Any] = []
        self._staging = Staging(self._begin, direct=os.environ.get(GPU_AWARE, "0") not in ("", "0"))

    def devices(self, names: Sequence[str] | None) -> Sequence[str] | None:
        """As in Ranks. The GPUs of this machine are dealt out in order: first all of one rank, then of the next."""
        if names is None or all(map(is_cpu, names)):
            return names
        first, count = len(names) * self._here.rank, gpu_count()
        return tuple(name if is_cpu(name) else f"cuda:{(first + place) % count}" for place, name in enumerate(names))

    def _share_of_cores(self) -> int | None:
        """The number of this rank's cores, divided by the number of ranks that may use the same ones."""
        if os.environ.get("TINYALEX_THREADS"):
            return None
        cores = sorted(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else [*range(thread_count())]
        neighbours: list[list[int]] = self._here.allgather(cores)
        return max(1, len(cores) // neighbours.count(cores))

    def begin_sum(self, array: Array) -> None:
        """As in Ranks. It also lets earlier sums progress, as MPI does so only when it is called."""
        with self._waiting():
            if isinstance(array, np.ndarray):
                self._begin(array)
            else:
                self._staging.add(array)
            self._mpi.Request.Testall(self._requests)

    def _begin(self, array: Any) -> Any:
        request = self._world.Iallreduce(self._mpi.IN_PLACE, array)
        self._requests.append(request)
        return request

    def end_sums(self) -> None:
        """As in Ranks."""
        with self._waiting():
            self._staging.finish()
            self._mpi.Request.Waitall(self._requests)
            self._requests.clear()

    def sum(self, values: list[float]) -> list[float]:
        """As in Ranks."""
        total = np.array(values, np.float64)
        with self._waiting():
            self._world.Allreduce(self._mpi.IN_PLACE, total)
        return [float(value) for value in total]

    @contextmanager
    def _waiting(self) -> Iterator[None]:
        """Add the time of the block to `waited`."""
        begun = time.perf_counter()
        yield
        self.waited += time.perf_counter() - begun

    def agree(self, value: Any) -> Any:
        """As in Ranks."""
        return self._world.bcast(value, root=0)

    def abort(self) -> None:
        """As in Ranks."""
        self._world.Abort(2)
        os._exit(2)  # some MPIs return from Abort and end the process a moment later


def all_ranks() -> Ranks:
    """The ranks of the MPI world in which mpiexec started this process, or this process alone.

    Raises UsageError if it is one of several and mpi4py is not installed.
    """
    several = any(int(os.environ.get(name, "1")) > 1 for name in STARTED_BY_MPI)
    return MpiRanks() if several else Ranks()
