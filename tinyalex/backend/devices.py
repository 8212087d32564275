"""Devices by name, which of them an array lies on, and what passes between them: copies, and who waits for whom.

"cpu", "cpu:0", "cpu:1", ... is the memory of this machine, "cuda:0", "cuda:1", ... its GPUs, through CuPy.

A GPU works off streams: queues of kernels and copies, each in its own order, that the host fills without waiting. Two
streams know nothing of each other until one is told to wait for a mark in the other. What the host puts on a stream in
`device_scope(device)` goes to the stream that is current in this thread; memory that is given up is used again by the
stream that it was taken for, so a reader on another stream must have been waited for by then.
"""

import importlib
import os
from collections.abc import Iterable
from contextlib import AbstractContextManager, nullcontext
from typing import Any

import numpy as np

from tinyalex.backend.memory import memory_of
from tinyalex.errors import DTypeError, UsageError

Array = Any  # an ndarray of NumPy or of CuPy: the two libraries share no base class
Mark = Any  # an event of CuPy: a place in a stream, which others can wait for


def is_cpu(device: str) -> bool:
    """Is it the name of a CPU device? Raises UsageError for a name of no device at all."""
    kind, _, number = device.partition(":")
    if kind not in ("cpu", "cuda") or not (number.isdecimal() or device == kind):
        raise UsageError(f"no device is called {device!r}: expected 'cpu', 'cpu:0', 'cuda:0', 'cuda:1', ...")
    return kind == "cpu"


def device_of(array: Array) -> str:
    """The name of the device that holds `array`: "cpu", "cuda:0", "cuda:1", ..."""
    if isinstance(array, np.ndarray | np.generic):
        return "cpu"
    if is_of_cupy(array):
        return f"cuda:{array.device.id}"
    raise DTypeError(f"expected a NumPy or CuPy array, got {type(array).__name__}: convert it with numpy.asarray")


def is_of_cupy(array: Array) -> bool:
    """Is it an array of CuPy? Asked without importing CuPy, which takes a second."""
    return type(array).__module__.partition(".")[0] == "cupy"


def device_scope(device: str) -> AbstractContextManager[Any]:
    """The block in which new arrays lie on `device`, and its kernels run there.

    Raises UsageError for a GPU that is not there.
    """
    if is_cpu(device):
        return memory_of(device)
    number, there = int(device.partition(":")[2] or 0), gpu_count()
    if number >= there:
        raise UsageError(f"there is no {device}: CuPy finds {there} GPU{'s' if there > 1 else ''}, from cuda:0 on")
    scope: AbstractContextManager[Any] = gpu_library().cuda.Device(number)
    return scope


def beside(array: Array) -> AbstractContextManager[Any]:
    """The block in which new arrays lie on the GPU that holds `array`; for one of NumPy it changes nothing."""
    return nullcontext() if device_of(array) == "cpu" else device_scope(device_of(array))


def gpu_count() -> int:
    """The number of GPUs. Raises UsageError where CuPy is not installed, or has none to run on."""
    return int(gpu_library().cuda.runtime.getDeviceCount())


def gpu_library() -> Any:
    """CuPy, or UsageError where it is not installed or has no GPU to run on."""
    try:
        cupy: Any = importlib.import_module("cupy")
    except ImportError:
        raise UsageError("a 'cuda' device needs CuPy: install cupy-cuda12x or cupy-cuda13x") from None
    if not cupy.cuda.is_available():
        raise UsageError("CuPy finds no GPU here: use the device 'cpu'")
    return cupy


def gpus() -> list[str]:
    """A line for each GPU: its name, free memory, and which others it can copy to directly; or why there is none."""
    try:
        cuda = gpu_library().cuda
    except UsageError as error:
        return [f"none ({error})"]
    lines, count = [], gpu_count()
    tf32 = "TF32 products (CUPY_TF32)" if os.environ.get("CUPY_TF32", "0") != "0" else "float32 products, CUPY_TF32=0"
    for number in range(count):
        free, total = cuda.Device(number).mem_info
        reached = [f"cuda:{i}" for i in range(count) if i != number and cuda.runtime.deviceCanAccessPeer(number, i)]
        lines.append(
            f"cuda:{number} {cuda.runtime.getDeviceProperties(number)['name'].decode()}, {free / 2**30:.1f} of "
            f"{total / 2**30:.1f} GiB free, {tf32}" + (f", reaches {', '.join(reached)} directly" if reached else "")
        )
    return lines


# ---------------------------------------------------------------- copies


def to_numpy(array: Array) -> Any:
    """`array` as a NumPy array; one that is there already is returned as it is. Waits for the GPU that holds it."""
    return array if device_of(array) == "cpu" else array.get()


def to_device(array: Array, device: str) -> Array:
    """`array` on `device` ("cpu", "cpu:0", ..., "cuda:0", "cuda:1", ...), copied only if it is elsewhere.

    The copy lies in the same order in memory (channels last stay last), and is queued on the current stream of
    `device`: the host goes on at once. It begins when the stream that is current on the source's device has come as
    far as now, and that stream waits for its end, as it may use the source's memory again.
    Raises UsageError for a name of another form, or for a GPU where CuPy finds none.
    """
    if is_cpu(device):
        return to_numpy(array)
    with device_scope(device):
        source = device_of(array)
        if source == f"cuda:{gpu_library().cuda.Device().id}":
            return array
        order = sorted(range(array.ndim), key=lambda axis: -abs(array.strides[axis]))
        if source == "cpu":
            copy = gpu_library().asarray(array.transpose(order))
        else:
            with device_scope(source):  # nothing to do for an array that lies in one piece
                packed = (
                    gpu_library().ascontiguousarray(array.transpose(order)).reshape([array.shape[i] for i in order])
                )
            wait_for([mark(source)], device)
            copy = _from_another_gpu(packed)
            wait_for([mark(device)], source)
        return copy.transpose([order.index(axis) for axis in range(array.ndim)])


def _from_another_gpu(array: Array) -> Array:
    """`array`, in one piece on another GPU, copied to the current one.

    From card to card where they can reach each other, else through memory of the host that both can copy from and to
    at full speed (pinned); then this thread waits for the first half of the way.
    """
    cupy = gpu_library()
    if cupy.cuda.runtime.deviceCanAccessPeer(cupy.cuda.Device().id, array.device.id):
        return cupy.asarray(array)
    pinned = importlib.import_module("cupyx").empty_pinned(array.shape, array.dtype)
    array.get(out=pinned)
    return cupy.asarray(pinned)


# ---------------------------------------------------------------- streams


def new_stream(device: str) -> AbstractContextManager[Any]:
    """A stream of its own on the GPU `device`, current within a `with` block; for a CPU device a block like any other.

    Non-blocking: the default stream, which all others wait for otherwise, does not hold it up.
    """
    if is_cpu(device):
        return nullcontext()
    with device_scope(device):
        stream: AbstractContextManager[Any] = gpu_library().cuda.Stream(non_blocking=True)
    return stream


def mark(device: str) -> Mark:
    """The place that the current stream of the GPU `device` is filled to, for others to wait for."""
    with device_scope(device):
        cuda = gpu_library().cuda
        return cuda.get_current_stream().record(cuda.Event(disable_timing=True))


def wait_for(marks: Iterable[Mark], device: str) -> None:
    """What the current stream of the GPU `device` is given from now on begins after all `marks`; the host goes on."""
    with device_scope(device):
        stream = gpu_library().cuda.get_current_stream()
        for one in marks:
            stream.wait_event(one)


def synchronize(*devices: str | None) -> None:
    """Let the host wait until the GPUs among `devices` have done all that they were given; for timings."""
    for device in devices:
        if device is not None and not is_cpu(device):
            with device_scope(device):
                gpu_library().cuda.Device().synchronize()
