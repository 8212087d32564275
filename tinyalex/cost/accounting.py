"""How many bytes NumPy's arrays take while a net trains, by device: an allocator that keeps accounts.

NumPy asks its allocator for the memory of every array, and lets another be put in its place. This one asks the one
before it as ever, and charges each array to the device whose thread made it, until the array is freed.

Source: NumPy enhancement proposal 49, data allocation strategies.
"""

import ctypes
import threading
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from importlib import import_module
from typing import Any

import numpy as np

from tinyalex import spec as nets
from tinyalex.backend import device_in_use, device_scope, forget_memory, is_cpu
from tinyalex.backend.devices import gpu_library
from tinyalex.cost.memory import STEPS
from tinyalex.net import AlexNet
from tinyalex.optim import SGD

SET_HANDLER, GET_HANDLER = 304, 305  # the places of PyDataMem_SetHandler and its twin in NumPy's table of C functions

_Size, _Pointer = ctypes.c_size_t, ctypes.c_void_p
_Malloc = ctypes.PYFUNCTYPE(_Pointer, _Pointer, _Size)
_Calloc = ctypes.PYFUNCTYPE(_Pointer, _Pointer, _Size, _Size)
_Realloc = ctypes.PYFUNCTYPE(_Pointer, _Pointer, _Pointer, _Size)
_Free = ctypes.PYFUNCTYPE(None, _Pointer, _Pointer, _Size)


class _Handler(ctypes.Structure):
    """NumPy's PyDataMem_Handler: a name, a version, and what allocates and frees."""

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
    """What each device holds now, and the most that it has held since `begin_anew`, in bytes."""

    def __init__(self) -> None:
        self.held: Counter[str] = Counter()
        self.most: Counter[str] = Counter()
        self._owners: dict[int, tuple[str, int]] = {}  # by address: the device, and the bytes
        self._lock = threading.RLock()

    def enter(self, address: int | None, size: int) -> int | None:
        """An array of `size` bytes begins at `address`; the device is that of the calling thread. Returns `address`."""
        if address:
            device = device_in_use()
            with self._lock:
                self._owners[address] = device, size
                self.held[device] += size
                self.most[device] = max(self.most[device], self.held[device])
        return address

    def leave(self, address: int | None) -> None:
        """The array at `address` is freed."""
        with self._lock:
            if address in self._owners:
                device, size = self._owners.pop(address)
                self.held[device] -= size

    def begin_anew(self) -> None:
        """Let the most be what is held now."""
        with self._lock:
            self.most = Counter(self.held)


@contextmanager
def accounting() -> Iterator[Accounts]:
    """Within the block, and in the threads it gives work to, arrays are charged to the accounts that it gives."""
    get_handler = ctypes.PYFUNCTYPE(ctypes.py_object)(_numpy_function(GET_HANDLER))
    set_handler = ctypes.PYFUNCTYPE(ctypes.py_object, ctypes.py_object)(_numpy_function(SET_HANDLER))
    accounts, before = Accounts(), get_handler()
    system = _Handler.from_address(_pointer(before))
    handler = _keeping(accounts, system)
    set_handler(_new_capsule(ctypes.addressof(handler)))
    try:
        yield accounts
    finally:
        set_handler(before)
        for name in ("context", "malloc", "calloc", "realloc", "free"):
            setattr(handler, name, getattr(system, name))  # arrays that are freed later are nobody's any more


_handlers: list[_Handler] = []  # for ever: an array may be freed long after the block in which it was made


def _keeping(accounts: Accounts, system: _Handler) -> _Handler:
    """A handler that allocates as `system` does, and keeps accounts."""

    def malloc(_: Any, size: int) -> int | None:
        return accounts.enter(system.malloc(system.context, size), size)

    def calloc(_: Any, count: int, itemsize: int) -> int | None:
        return accounts.enter(system.calloc(system.context, count, itemsize), count * itemsize)

    def realloc(_: Any, address: int | None, size: int) -> int | None:
        accounts.leave(address)
        return accounts.enter(system.realloc(system.context, address, size), size)

    def free(_: Any, address: int | None, size: int) -> None:
        accounts.leave(address)
        system.free(system.context, address, size)

    handler = _Handler(b"tinyalex", 1, None, _Malloc(malloc), _Calloc(calloc), _Realloc(realloc), _Free(free))
    _handlers.append(handler)
    return handler


def _numpy_function(place: int) -> int:
    """The address of a function in NumPy's table."""
    capsule = import_module("numpy._core._multiarray_umath")._ARRAY_API
    return int(ctypes.cast(_pointer(capsule), ctypes.POINTER(_Pointer))[place] or 0)


def _pointer(capsule: Any) -> int:
    """What a capsule, Python's wrapping of a C pointer, points to."""
    name = ctypes.pythonapi.PyCapsule_GetName
    name.restype, name.argtypes = ctypes.c_char_p, [ctypes.py_object]
    get = ctypes.pythonapi.PyCapsule_GetPointer
    get.restype, get.argtypes = _Pointer, [ctypes.py_object, ctypes.c_char_p]
    address: int = get(capsule, name(capsule))
    return address


def _new_capsule(address: int) -> Any:
    new = ctypes.pythonapi.PyCapsule_New
    new.restype, new.argtypes = ctypes.py_object, [_Pointer, ctypes.c_char_p, _Pointer]
    return new(address, b"mem_handler", None)


def measured(
    variant: str | nets.Spec, batch: int, devices: Sequence[str] | None = None, **settings: Any
) -> dict[str, int]:
    """The most bytes that each device holds while a net trains on `batch` random images, but for those on the CPU.

    devices, settings: as for AlexNet.   Returns bytes by device, "cpu" for the whole net on the CPU, of a device that
    holds both columns those of both; of a GPU what CuPy's pool holds in the end, as it gives nothing back.
    """
    names = devices or ("cpu",)
    forget_memory()
    for name in names:
        _pool_of_gpu(name, forget=True)
    spec = nets.variant(variant) if isinstance(variant, str) else variant
    size, rng = settings.get("input_size") or spec.input_size, np.random.default_rng(0)
    dtype = settings.get("dtype", "float32")
    x = rng.standard_normal((batch, size, size, 3), dtype="float32").astype(dtype).transpose(0, 3, 1, 2)
    labels = rng.integers(0, settings.get("num_classes", 1000), batch)
    with accounting() as accounts:
        net = AlexNet(spec, devices=devices, **settings)
        sgd = SGD(net)
        accounts.begin_anew()
        for _ in range(STEPS):
            net.loss(x, labels, train=True)
            net.backward(net.criterion.backward(), input_gradient=False)
            sgd.step()
        most = {name: accounts.most[name] if is_cpu(name) else _pool_of_gpu(name) for name in names}
    del net, sgd
    forget_memory()
    return most


def _pool_of_gpu(device: str, forget: bool = False) -> int:
    """The bytes that CuPy's pool holds on a GPU; with `forget` it first gives back what no array lies in."""
    if is_cpu(device):
        return 0
    with device_scope(device):
        pool = gpu_library().get_default_memory_pool()
        if forget:
            pool.free_all_blocks()
        return int(pool.total_bytes())
