"""Devices by name: which one holds an array, copies between them, and how their streams wait for each other.

"cpu", "cpu:0", "cpu:1", ... are the memory of this machine; "cuda:0", "cuda:1", ... are its GPUs, through CuPy. Each
function here looks up the kind of the device and calls its method in `kinds`.
"""

from collections.abc import Iterable
from contextlib import AbstractContextManager
from typing import Any

from tinyalex.backend.kinds import KINDS, Array, Event, kind_named, kind_of


def device_names(devices: str | Iterable[str] | None) -> tuple[str, ...]:
    """The names in `devices`: a single one, several, or with None none."""
    return (devices,) if isinstance(devices, str) else tuple(devices or ())


def is_cpu(device: str) -> bool:
    """Whether this is the name of a CPU device. Raises UsageError for a name that no device can have."""
    return kind_named(device) is KINDS["cpu"]


def device_of(array: Array) -> str:
    """The name of the device that holds `array`: "cpu", "cuda:0", "cuda:1", ...

    Raises DTypeError for something that is not an array.
    """
    return kind_of(array).device_of(array)


def device_scope(device: str) -> AbstractContextManager[Any]:
    """A block in which new arrays are allocated on `device`, and kernels run there.

    Raises UsageError for a GPU that is not there.
    """
    return kind_named(device).scope(device)


def beside(array: Array) -> AbstractContextManager[Any]:
    """A block in which new arrays are allocated on the GPU that holds `array`; a NumPy array changes nothing."""
    return kind_of(array).beside(array)


# ---------------------------------------------------------------- copies


def to_numpy(array: Array) -> Any:
    """`array` as a NumPy array: itself if it is one, else a copy, for which the host waits."""
    return kind_of(array).to_host(array)


def to_device(array: Array, device: str) -> Array:
    """`array` on `device` ("cpu", "cpu:0", ..., "cuda:0", "cuda:1", ...), copied only if it is elsewhere.

    A copy to a GPU keeps the memory order (channels last stays channels last) and is queued on the current stream of
    `device`; the host goes on. The copy waits for all work queued so far on the current stream of the source's
    device, and that stream waits for the copy, as it may free the source.
    Raises UsageError for a name that no device can have, and for a GPU that is not there.
    """
    return kind_named(device).copy_in(array, device)


# ---------------------------------------------------------------- streams


def new_stream(device: str) -> AbstractContextManager[Any]:
    """A new stream on the GPU `device`, which is current within a `with` block; for a CPU device an empty block.

    It is non-blocking: it does not wait for the default stream.
    """
    return kind_named(device).new_stream(device)


def record_event(device: str) -> Event:
    """An event that follows all work queued so far on the current stream of the GPU `device`."""
    return kind_named(device).record_event(device)


def wait_for_events(events: Iterable[Event], device: str) -> None:
    """Make the current stream of the GPU `device` wait for these events, of any GPU; the host goes on."""
    kind_named(device).wait_for_events(events, device)


def synchronize(*devices: str | None) -> None:
    """Let the host wait until these devices (None is skipped) have finished all queued work, as for timing."""
    for device in devices:
        if device is not None:
            kind_named(device).synchronize(device)
