"""How long calls take: by the host's clock, or by events on a GPU."""

import time
from collections.abc import Callable
from functools import partial
from typing import Any

from tinyalex.backend import device_scope, gpu_library, is_cpu, synchronize


class HostStopwatch:
    """Measures calls by the host's clock; `wait` waits for the devices before and after each call."""

    def __init__(self, wait: Callable[[], None]) -> None:
        self._wait = wait
        self._seconds: list[float] = []

    def timed(self, call: Callable[..., Any]) -> Callable[..., Any]:
        """A function like `call`, each of whose calls is measured."""

        def measured(*args: Any, **kwargs: Any) -> Any:
            self._wait()
            begun = time.perf_counter()
            result = call(*args, **kwargs)
            self._wait()
            self._seconds.append(time.perf_counter() - begun)
            return result

        return measured

    def seconds(self) -> list[float]:
        """The time of each call so far."""
        return self._seconds


class GpuStopwatch:
    """Measures calls by events on the current stream of one GPU, so that the host need not wait for each call."""

    def __init__(self, device: str) -> None:
        self._device = device
        self._laps: list[tuple[Any, Any]] = []  # the events before and after each call

    def timed(self, call: Callable[..., Any]) -> Callable[..., Any]:
        """A function like `call`, each of whose calls is measured."""

        def measured(*args: Any, **kwargs: Any) -> Any:
            begun = self._event()
            result = call(*args, **kwargs)
            self._laps.append((begun, self._event()))
            return result

        return measured

    def _event(self) -> Any:
        with device_scope(self._device):
            cuda = gpu_library().cuda
            event = cuda.Event()
            event.record(cuda.get_current_stream())
        return event

    def seconds(self) -> list[float]:
        """The time of each call so far. Waits for the GPU."""
        synchronize(self._device)
        return [gpu_library().cuda.get_elapsed_time(*lap) / 1e3 for lap in self._laps]


Stopwatch = HostStopwatch | GpuStopwatch


def stopwatch(*devices: str) -> Stopwatch:
    """Events on one GPU; on the CPU, and on two devices, whose streams have no common event, the host's clock."""
    if len(devices) == 1 and not is_cpu(devices[0]):
        return GpuStopwatch(devices[0])
    return HostStopwatch(partial(synchronize, *devices))
