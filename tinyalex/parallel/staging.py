"""Sums of a GPU's gradients over MPI: through the host's memory, or directly if MPI can read a GPU's memory.

The GPU copies each gradient to the host in a stream of its own, while its other stream goes on with the backward pass.
A sum begins when its copy has arrived, and the result is copied back. MPI requires that all ranks begin their sums in
the same order; this is the order of the layers, whichever copy arrives first.
"""

from collections import deque
from collections.abc import Callable
from importlib import import_module
from typing import Any, NamedTuple

from tinyalex.backend import Array, Event, device_of, device_scope, new_stream, record_event, wait_for_events


class Gradient(NamedTuple):
    """A gradient that is being summed."""

    array: Array  # on a GPU
    buffer: Any  # what MPI sums: the array itself, or its copy on the host
    ready: Event  # after which `buffer` holds the gradient


class Staging:
    """Sums of arrays on GPUs, begun in the order in which the arrays are added.

    begin: begins the sum of a contiguous buffer, and returns its MPI request.
    direct: whether MPI can read and write the memory of a GPU.
    """

    def __init__(self, begin: Callable[[Any], Any], direct: bool) -> None:
        self._begin, self._direct = begin, direct
        self._waiting: deque[Gradient] = deque()  # for their copies
        self._summing: list[tuple[Gradient, Any]] = []  # with their MPI requests
        self._streams: dict[str, Any] = {}
        self._buffers: list[Any] = []  # on the host; every step uses the same

    def add(self, array: Array) -> None:
        """Begin to replace `array` by its sum; also begin earlier sums whose copies have arrived."""
        device = device_of(array)
        computed = record_event(device)
        if self._direct:
            self._waiting.append(Gradient(array, array, computed))
        else:
            buffer, stream = self._buffer(array), self._stream(device)
            stream.wait_event(computed)
            array.get(stream=stream, out=buffer, blocking=False)
            self._waiting.append(Gradient(array, buffer, self._event(device)))
        while self._waiting and self._waiting[0].ready.done:
            self._begin_next()

    def finish(self) -> None:
        """Wait until all sums are complete. Work queued on the GPUs afterwards waits until the sums are copied back."""
        while self._waiting:
            self._waiting[0].ready.synchronize()
            self._begin_next()
        for gradient, request in self._summing:
            request.Wait()
            if not self._direct:
                gradient.array.set(gradient.buffer, stream=self._stream(device_of(gradient.array)))
        self._summing.clear()
        for device in self._streams:
            wait_for_events([self._event(device)], device)

    def _begin_next(self) -> None:
        gradient = self._waiting.popleft()
        self._summing.append((gradient, self._begin(gradient.buffer)))

    def _event(self, device: str) -> Event:
        """An event that follows all copies queued so far on `device`."""
        with device_scope(device), self._stream(device):
            return record_event(device)

    def _stream(self, device: str) -> Any:
        """The stream of `device` for copies."""
        if device not in self._streams:
            self._streams[device] = new_stream(device)
        return self._streams[device]

    def _buffer(self, array: Array) -> Any:
        """A buffer on the host for a copy of `array`; pinned, as only such copies run while the GPU computes."""
        number = len(self._waiting) + len(self._summing)
        if number == len(self._buffers):
            self._buffers.append(None)
        buffer = self._buffers[number]
        if buffer is None or (buffer.shape, buffer.dtype) != (array.shape, array.dtype):
            buffer = self._buffers[number] = import_module("cupyx").empty_pinned(array.shape, array.dtype)
        return buffer
