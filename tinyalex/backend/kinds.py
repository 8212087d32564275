"""The two kinds of devices, CPU and CUDA GPU: all that differs between them, under the same names.

A third kind of device is one more class here and one more entry in KINDS.

A GPU works through streams: queues of kernels and copies. Each stream runs in order; the host fills it and does not
wait. Two streams run independently until one waits for an event of the other. Work goes to the stream that is current
in this thread. Freed memory is reused by the stream that allocated it, so wait for other readers first.
"""

import functools
import importlib
from abc import ABC, abstractmethod
from collections.abc import Iterable
from contextlib import AbstractContextManager, nullcontext
from types import ModuleType
from typing import Any

import numpy as np

from tinyalex.backend.library import gpu_count, gpu_library
from tinyalex.backend.memory import memory_of
from tinyalex.errors import DTypeError, UsageError

Array = Any  # an ndarray of NumPy or of CuPy, which have no common base class
Event = Any  # an event of CuPy: a point in a stream that other streams, or the host, can wait for


class DeviceKind(ABC):
    """What a kind of device can do. `device` is a full name of this kind, such as "cuda:1".

    The last four methods are those of a kind without streams, where each call has finished when it returns.
    """

    @property
    @abstractmethod
    def xp(self) -> Any:
        """The module of its arrays, `numpy` or one with the same functions."""

    @property
    @abstractmethod
    def twins(self) -> ModuleType | None:
        """The module of its faster kernels, imported at first use; None if it cannot be imported."""

    @abstractmethod
    def owns(self, array_type: type) -> bool:
        """Whether arrays of this type lie on devices of this kind. Must not import a library to find out."""

    @abstractmethod
    def device_of(self, array: Array) -> str:
        """The name of the device that holds `array`, which this kind owns."""

    @abstractmethod
    def scope(self, device: str) -> AbstractContextManager[Any]:
        """A block in which new arrays are allocated on `device`, and kernels run there."""

    @abstractmethod
    def beside(self, array: Array) -> AbstractContextManager[Any]:
        """A block in which new arrays are allocated on the device that holds `array`, which this kind owns."""

    @abstractmethod
    def to_host(self, array: Array) -> Any:
        """`array`, which this kind owns, as a NumPy array."""

    @abstractmethod
    def copy_in(self, array: Array, device: str) -> Array:
        """`array`, of any kind, on `device`; copied only if it is elsewhere."""

    def new_stream(self, device: str) -> AbstractContextManager[Any]:  # noqa: ARG002
        """A new stream on `device`, which is the current one within a `with` block."""
        return nullcontext()

    def record_event(self, device: str) -> Event:  # noqa: B027
        """An event that follows all work queued so far on the current stream of `device`."""

    def wait_for_events(self, events: Iterable[Event], device: str) -> None:  # noqa: B027
        """Make the current stream of `device` wait for these events; the host goes on."""

    def synchronize(self, device: str) -> None:  # noqa: B027
        """Let the host wait until `device` has finished all queued work."""


class Cpu(DeviceKind):
    """The memory of this machine, with NumPy. "cpu", "cpu:0", "cpu:1", ... differ in the pool they allocate from."""

    xp = np

    @functools.cached_property
    def twins(self) -> ModuleType | None:
        """The compiled kernels; None without Numba, whose import takes half a second."""
        try:
            return importlib.import_module("tinyalex.backend.cpu")
        except ImportError:
            return None

    def owns(self, array_type: type) -> bool:
        """NumPy's arrays and its scalars."""
        return issubclass(array_type, np.ndarray | np.generic)

    def device_of(self, array: Array) -> str:  # noqa: ARG002
        """Always "cpu": a NumPy array does not know its pool."""
        return "cpu"

    def scope(self, device: str) -> AbstractContextManager[Any]:
        """Large arrays come from the pool of `device`."""
        return memory_of(device)

    def beside(self, array: Array) -> AbstractContextManager[Any]:  # noqa: ARG002
        """Changes nothing: the pool in use is as good as any other."""
        return nullcontext()

    def to_host(self, array: Array) -> Any:
        """`array` itself."""
        return array

    def copy_in(self, array: Array, device: str) -> Array:  # noqa: ARG002
        """A NumPy array itself, wherever its memory came from; an array on a GPU is fetched."""
        return kind_of(array).to_host(array)


class Cuda(DeviceKind):
    """The GPUs "cuda:0", "cuda:1", ..., with CuPy; "cuda" is the first of them."""

    @property
    def xp(self) -> Any:
        """The module `cupy`."""
        return importlib.import_module("cupy")

    @functools.cached_property
    def twins(self) -> ModuleType | None:
        """The CUDA kernels. CuPy compiles each of them at its first call."""
        return importlib.import_module("tinyalex.backend.gpu")

    def owns(self, array_type: type) -> bool:
        """CuPy's arrays, known by the name of their module: to import CuPy takes a second."""
        return array_type.__module__.partition(".")[0] == "cupy"

    def device_of(self, array: Array) -> str:
        """The name with the GPU's number: "cuda:0", "cuda:1", ..."""
        return f"cuda:{array.device.id}"

    def scope(self, device: str) -> AbstractContextManager[Any]:
        """`device` is CuPy's current device. Raises UsageError for a GPU that is not there."""
        number, count = int(device.partition(":")[2] or 0), gpu_count()
        if number >= count:
            raise UsageError(f"there is no {device}: CuPy finds {count} GPU{'s' if count > 1 else ''}, from cuda:0 on")
        scope: AbstractContextManager[Any] = gpu_library().cuda.Device(number)
        return scope

    def beside(self, array: Array) -> AbstractContextManager[Any]:
        """The scope of the array's GPU."""
        return self.scope(self.device_of(array))

    def to_host(self, array: Array) -> Any:
        """A copy in the host's memory. The host waits for it."""
        return array.get()

    def copy_in(self, array: Array, device: str) -> Array:
        """`array` on `device`, in the same memory order (channels last stays channels last).

        The copy is queued on the current stream of `device`; the host goes on. It waits for all work queued so far on
        the current stream of the source's device, and that stream waits for the copy, as it may free the source.
        """
        with self.scope(device):
            source = kind_of(array)
            if source is self and array.device.id == gpu_library().cuda.Device().id:
                return array
            order = sorted(range(array.ndim), key=lambda axis: -abs(array.strides[axis]))
            ordered = array.transpose(order)
            copy = self._from_gpu(ordered, device) if source is self else gpu_library().asarray(ordered)
            return copy.transpose([order.index(axis) for axis in range(array.ndim)])

    def _from_gpu(self, array: Array, device: str) -> Array:
        """A copy of `array`, which lies on another GPU, on `device`, which is the current one."""
        source, shape = self.device_of(array), array.shape
        with self.scope(source):  # copies only an array that is not contiguous
            packed = gpu_library().ascontiguousarray(array).reshape(shape)
        self.wait_for_events([self.record_event(source)], device)
        copy = self._from_contiguous(packed)
        self.wait_for_events([self.record_event(device)], source)
        return copy

    def _from_contiguous(self, array: Array) -> Array:
        """A copy on the current GPU of a contiguous array on another one.

        If the two GPUs cannot copy directly, it goes through pinned memory of the host, which both copy from and to at
        full speed; then this thread waits until the array has arrived there.
        """
        cupy = gpu_library()
        if cupy.cuda.runtime.deviceCanAccessPeer(cupy.cuda.Device().id, array.device.id):
            return cupy.asarray(array)
        pinned = importlib.import_module("cupyx").empty_pinned(array.shape, array.dtype)
        with self.beside(array):
            stream = cupy.cuda.get_current_stream()
        array.get(stream=stream, out=pinned)
        return cupy.asarray(pinned)

    def new_stream(self, device: str) -> AbstractContextManager[Any]:
        """A non-blocking stream: one that does not wait for the default stream, as others do."""
        with self.scope(device):
            stream: AbstractContextManager[Any] = gpu_library().cuda.Stream(non_blocking=True)
        return stream

    def record_event(self, device: str) -> Event:
        """An event without timing, which is cheaper to record."""
        with self.scope(device):
            cuda = gpu_library().cuda
            return cuda.get_current_stream().record(cuda.Event(disable_timing=True))

    def wait_for_events(self, events: Iterable[Event], device: str) -> None:
        """The events may be of any GPU."""
        with self.scope(device):
            stream = gpu_library().cuda.get_current_stream()
            for event in events:
                stream.wait_event(event)

    def synchronize(self, device: str) -> None:
        """All streams of `device`."""
        with self.scope(device):
            gpu_library().cuda.Device().synchronize()


KINDS: dict[str, DeviceKind] = {"cpu": Cpu(), "cuda": Cuda()}  # by the first part of a device's name


def kind_named(device: str) -> DeviceKind:
    """The kind of the device with this name. Raises UsageError for a name that no device can have."""
    kind, _, number = device.partition(":")
    if kind not in KINDS or not (number.isdecimal() or device == kind):
        raise UsageError(f"no device is called {device!r}: expected 'cpu', 'cpu:0', 'cuda:0', 'cuda:1', ...")
    return KINDS[kind]


def kind_of(array: Array) -> DeviceKind:
    """The kind of the device that holds `array`. Raises DTypeError for something that is not an array."""
    array_type: type = type(array)
    return _owner_of(array_type)


@functools.cache  # looked up for every array of every call
def _owner_of(array_type: type) -> DeviceKind:
    for kind in KINDS.values():
        if kind.owns(array_type):
            return kind
    raise DTypeError(f"expected a NumPy or CuPy array, got {array_type.__name__}: convert it with numpy.asarray")
