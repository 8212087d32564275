"""How many bytes a net takes while it trains, measured: an allocator that counts the bytes of NumPy's arrays.

NumPy lets a program replace the allocator of its arrays. This one passes each request on to the allocator that it
replaces. Until an array is freed, its bytes count for the CPU device whose thread allocated it.

Source: NumPy enhancement proposal 49, data allocation strategies.
"""

import ctypes
import gc
import threading
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from importlib import import_module
from typing import Any

import numpy as np

from tinyalex import spec as nets
from tinyalex.backend import device_in_use, device_names, device_scope, forget_memory, gpu_kernels, gpu_library, is_cpu
from tinyalex.cost.memory import STEPS
from tinyalex.net import AlexNet
from tinyalex.optim import SGD

SET_HANDLER, GET_HANDLER = 304, 305  # PyDataMem_SetHandler and PyDataMem_GetHandler in NumPy's table of C functions

_Size, _Pointer = ctypes.c_size_t, ctypes.c_void_p
_Malloc = ctypes.PYFUNCTYPE(_Pointer, _Pointer, _Size)
_Calloc = ctypes.PYFUNCTYPE(_Pointer, _Pointer, _Size, _Size)
_Realloc = ctypes.PYFUNCTYPE(_Pointer, _Pointer, _Pointer, _Size)
_Free = ctypes.PYFUNCTYPE(None, _Pointer, _Pointer, _Size)


class _Handler(ctypes.Structure):
    """NumPy's PyDataMem_Handler: a name, a version, and the functions that allocate and free."""

    _fields_ = (
        ("name", ctypes.c_char * 127),
        ("version", ctypes.c_uint8),
        ("context", _Pointer),
        ("malloc", _Malloc),
        ("calloc", _Calloc),
        ("realloc", _Realloc),
        ("free", _Free),
    )


class Accounts:
    """The bytes of arrays by device: `held` now, and `peak`, the most since `reset_peak`."""

    def __init__(self) -> None:
        self.held: Counter[str] = Counter()
        self.peak: Counter[str] = Counter()
        self._arrays: dict[int, tuple[str, int]] = {}  # address -> device, bytes
        self._lock = threading.RLock()

    def allocated(self, address: int | None, size: int) -> int | None:
        """Count an array of `size` bytes at `address` for the calling thread's device. Returns `address`."""
        if address:
            device = device_in_use()
            with self._lock:
                self._arrays[address] = device, size
                self.held[device] += size
                self.peak[device] = max(self.peak[device], self.held[device])
        return address

    def freed(self, address: int | None) -> None:
        """Count the array at `address` no longer; None, or an array that was never counted, is skipped."""
        with self._lock:
            if address in self._arrays:
                device, size = self._arrays.pop(address)
                self.held[device] -= size

    def reset_peak(self) -> None:
        """Set the peak to what is held now."""
        with self._lock:
            self.peak = Counter(self.held)


@contextmanager
def accounting() -> Iterator[Accounts]:
    """Count the arrays that are allocated within the block, in whatever thread; yields the `Accounts`."""
    get_handler = ctypes.PYFUNCTYPE(ctypes.py_object)(_numpy_function(GET_HANDLER))
    set_handler = ctypes.PYFUNCTYPE(ctypes.py_object, ctypes.py_object)(_numpy_function(SET_HANDLER))
    accounts, before = Accounts(), get_handler()
    system = _Handler.from_address(_pointer(before))
    handler = _counting(accounts, system)
    set_handler(_new_capsule(ctypes.addressof(handler)))
    try:
        yield accounts
    finally:
        set_handler(before)
        for name in ("context", "malloc", "calloc", "realloc", "free"):
            setattr(handler, name, getattr(system, name))  # arrays of the block are now freed without counting


_handlers: list[_Handler] = []  # never freed: an array may outlive the block, and needs its handler to be freed


def _counting(accounts: Accounts, system: _Handler) -> _Handler:
    """A handler that allocates as `system` does, and counts."""

    def malloc(_: Any, size: int) -> int | None:
        return accounts.allocated(system.malloc(system.context, size), size)

    def calloc(_: Any, count: int, itemsize: int) -> int | None:
        return accounts.allocated(system.calloc(system.context, count, itemsize), count * itemsize)

    def realloc(_: Any, address: int | None, size: int) -> int | None:
        accounts.freed(address)
        return accounts.allocated(system.realloc(system.context, address, size), size)

    def free(_: Any, address: int | None, size: int) -> None:
        accounts.freed(address)
        system.free(system.context, address, size)

    handler = _Handler(b"tinyalex", 1, None, _Malloc(malloc), _Calloc(calloc), _Realloc(realloc), _Free(free))
    _handlers.append(handler)
    return handler


def _numpy_function(place: int) -> int:
    """The address of a function in NumPy's table of C functions."""
    capsule = import_module("numpy._core._multiarray_umath")._ARRAY_API
    return int(ctypes.cast(_pointer(capsule), ctypes.POINTER(_Pointer))[place] or 0)


def _pointer(capsule: Any) -> int:
    """The C pointer that a capsule wraps."""
    name = ctypes.pythonapi.PyCapsule_GetName
    name.restype, name.argtypes = ctypes.c_char_p, [ctypes.py_object]
    get = ctypes.pythonapi.PyCapsule_GetPointer
    get.restype, get.argtypes = _Pointer, [ctypes.py_object, ctypes.c_char_p]
    address: int = get(capsule, name(capsule))
    return address


def _new_capsule(address: int) -> Any:
    """A capsule that wraps a C pointer to a handler."""
    new = ctypes.pythonapi.PyCapsule_New
    new.restype, new.argtypes = ctypes.py_object, [_Pointer, ctypes.c_char_p, _Pointer]
    return new(address, b"mem_handler", None)


def measured(
    variant: str | nets.Spec, batch: int, devices: str | Sequence[str] | None = None, **settings: Any
) -> dict[str, int]:
    """The most bytes that each device holds while a net trains on `batch` random images; images on the CPU not counted.

    devices, settings: as for AlexNet.   Returns bytes by device: "cpu" for the whole net on the CPU; for a device that
    holds both columns, the bytes of both; for a GPU, what CuPy's memory pool holds at the end, as it returns nothing.
    """
    names = device_names(devices) or ("cpu",)
    forget_memory()
    free_gpu_pools(names)
    spec = nets.variant(variant) if isinstance(variant, str) else variant
    size, rng = settings.get("input_size") or spec.input_size, np.random.default_rng(0)
    dtype = settings.get("dtype", "float32")
    x = rng.standard_normal((batch, size, size, 3), dtype="float32").astype(dtype).transpose(0, 3, 1, 2)
    labels = rng.integers(0, settings.get("num_classes", 1000), batch)
    with accounting() as accounts:
        net = AlexNet(spec, devices=devices, **settings)
        sgd = SGD(net)
        accounts.reset_peak()
        for _ in range(STEPS):
            net.loss(x, labels, train=True)
            net.backward(net.criterion.backward(), input_gradient=False)
            sgd.step()
        most = {name: accounts.peak[name] if is_cpu(name) else _gpu_pool_size(name) for name in names}
    del net, sgd
    forget_memory()
    return most


def free_gpu_pools(devices: Sequence[str]) -> None:
    """Return to the GPUs the blocks of CuPy's memory pool that no array uses."""
    gc.collect()  # arrays in reference cycles would keep their blocks
    for device in devices:
        if not is_cpu(device):
            twins: Any = gpu_kernels()
            twins.forget()  # the memory that streams keep for patches
            with device_scope(device):
                gpu_library().get_default_memory_pool().free_all_blocks()


def _gpu_pool_size(device: str) -> int:
    """The bytes that CuPy's memory pool holds on a GPU."""
    with device_scope(device):
        return int(gpu_library().get_default_memory_pool().total_bytes())
