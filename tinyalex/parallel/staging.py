"""Gradients on a GPU, added up over MPI: through the host's memory, or directly where MPI reads a GPU's.

The GPU copies each array to the host in a stream of its own, while the stream that computes goes on with the layers
before. When a copy has arrived its sum begins; when the sum has, the array is copied back. A sum over all ranks is
begun by all of them in the same order: that of the layers, whichever copy arrives first.
"""

from collections import deque
from collections.abc import Callable
from importlib import import_module
from typing import Any, NamedTuple

from tinyalex.backend import Array, Event, device_of, device_scope, new_stream, record_event, wait_for_events


class Sum(NamedTuple):
    """An array of a GPU on its way: `place` is what MPI adds up, the array itself or its copy on the host."""

    array: Array
    place: Any
    ready: Event  # after which `place` holds the gradient


class Staging:
    """Sums of arrays of GPUs, in the order in which they were begun.

    begin: starts the sum of what lies in one piece of memory, and gives the request to wait for.
    direct: can MPI read and write the memory of a GPU itself?
    """

    def __init__(self, begin: Callable[[Any], Any], direct: bool) -> None:
        self._begin, self._direct = begin, direct
        self._waiting: deque[Sum] = deque()
        self._adding: list[tuple[Sum, Any]] = []
        self._streams: dict[str, Any] = {}
        self._host: list[Any] = []  # memory for the copies, the same in every step

    def add(self, array: Array) -> None:
        """Begin to replace `array` by its sum; what was begun before gets on."""
        device = device_of(array)
        computed = record_event(device)
        if self._direct:
            self._waiting.append(Sum(array, array, computed))
        else:
            place, stream = self._place(array), self._stream(device)
            stream.wait_event(computed)
            array.get(stream=stream, out=place, blocking=False)
            self._waiting.append(Sum(array, place, self._mark(device)))
        while self._waiting and self._waiting[0].ready.done:
            self._start()

    def finish(self) -> None:
        """Wait for all sums. What the GPUs compute from now on finds them in the arrays."""
        while self._waiting:
            self._waiting[0].ready.synchronize()
            self._start()
        for one, request in self._adding:
            request.Wait()
            if not self._direct:
                one.array.set(one.place, stream=self._stream(device_of(one.array)))
        self._adding.clear()
        for device in self._streams:
            wait_for_events([self._mark(device)], device)

    def _mark(self, device: str) -> Event:
        """The place that the stream of copies of `device` is filled to."""
        with device_scope(device), self._stream(device):
            return record_event(device)

    def _start(self) -> None:
        one = self._waiting.popleft()
        self._adding.append((one, self._begin(one.place)))

    def _stream(self, device: str) -> Any:
        """The stream of `device` in which arrays are copied."""
        if device not in self._streams:
            self._streams[device] = new_stream(device)
        return self._streams[device]

    def _place(self, array: Array) -> Any:
        """Host memory for a copy: pinned, as the GPU copies only such memory while all else goes on."""
        number = len(self._waiting) + len(self._adding)
        if number == len(self._host):
            self._host.append(None)
        place = self._host[number]
        if place is None or (place.shape, place.dtype) != (array.shape, array.dtype):
            place = self._host[number] = import_module("cupyx").empty_pinned(array.shape, array.dtype)
        return place
