"""The array switch: one code for NumPy and CuPy, and the choice between a definition and its faster twin.

Layers never say `np.`: they ask `get_array_module` which library owns their arrays. A definition decorated with
`@kernel` is what a student reads; a call of it goes to the twin of the same name in `tinyalex.kernels` where the
arrays have one, and to the definition itself everywhere else.
"""

import functools
import importlib
import os
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager
from contextvars import ContextVar
from types import ModuleType
from typing import Any, Literal, ParamSpec, TypeVar, cast, get_args

import numpy as np

from tinyalex.errors import DTypeError, UsageError
from tinyalex.kernels.memory import device_in_use, memory_of
from tinyalex.kernels.memory import release as forget_memory
from tinyalex.kernels.threads import one_blas_thread, thread_count, use_threads

__all__ = [
    "Array",
    "computing",
    "cpu_kernels",
    "device_in_use",
    "device_of",
    "device_scope",
    "forget_memory",
    "get_array_module",
    "is_cpu",
    "kernel",
    "kernels_in_use",
    "thread_count",
    "to_device",
    "to_numpy",
    "use_kernels",
    "use_threads",
]

Array = Any  # an ndarray of NumPy or of CuPy: the two libraries share no base class
KernelChoice = Literal["auto", "numba", "reference"]
COMPILED_DTYPES = ("float32", "float64", "uint8", "int32", "bool")  # of numbers, an argmax, a mask
P = ParamSpec("P")
R = TypeVar("R")

_chosen: ContextVar[KernelChoice | None] = ContextVar("kernels", default=None)


def get_array_module(*arrays: Array) -> Any:
    """The module, `numpy` or `cupy`, that owns all of `arrays` (None is skipped).

    Raises DTypeError for something that is no array, UsageError when the arrays lie on different devices.
    """
    devices = {device_of(array) for array in arrays if array is not None}
    if len(devices) > 1:
        raise UsageError(
            f"arrays on different devices, {' and '.join(sorted(devices))}: move them to one with to_device"
        )
    return np if devices <= {"cpu"} else importlib.import_module("cupy")


def device_of(array: Array) -> str:
    """The name of the device that holds `array`: "cpu", "cuda:0", "cuda:1", ..."""
    if isinstance(array, np.ndarray | np.generic):
        return "cpu"
    if type(array).__module__.partition(".")[0] == "cupy":
        return f"cuda:{array.device.id}"
    raise DTypeError(f"expected a NumPy or CuPy array, got {type(array).__name__}: convert it with numpy.asarray")


def to_numpy(array: Array) -> Any:
    """`array` as a NumPy array; one that is there already is returned as it is."""
    return array if device_of(array) == "cpu" else array.get()


def to_device(array: Array, device: str) -> Array:
    """`array` on `device` ("cpu", "cpu:0", ..., "cuda:0", "cuda:1", ...), copied only if it is elsewhere.

    Raises UsageError for a name of another form, or for a GPU where CuPy finds none.
    """
    if is_cpu(device):
        return to_numpy(array)
    with device_scope(device):
        return _cupy().asarray(array)


def is_cpu(device: str) -> bool:
    """Is it the name of a CPU device? Raises UsageError for a name of no device at all."""
    kind, _, number = device.partition(":")
    if kind not in ("cpu", "cuda") or not (number.isdecimal() or device == kind):
        raise UsageError(f"no device is called {device!r}: expected 'cpu', 'cpu:0', 'cuda:0', 'cuda:1', ...")
    return kind == "cpu"


def device_scope(device: str) -> AbstractContextManager[Any]:
    """The block in which new arrays lie on `device`, and its kernels run there."""
    return memory_of(device) if is_cpu(device) else _cupy().cuda.Device(int(device.partition(":")[2] or 0))


def _cupy() -> Any:
    """CuPy, or UsageError where it is not installed or has no GPU to run on."""
    try:
        cupy: Any = importlib.import_module("cupy")
    except ImportError:
        raise UsageError("a 'cuda' device needs CuPy: install cupy-cuda12x or cupy-cuda13x") from None
    if not cupy.cuda.is_available():
        raise UsageError("CuPy finds no GPU here: use the device 'cpu'")
    return cupy


# ---------------------------------------------------------------- definitions and their faster twins


def kernels_in_use() -> KernelChoice:
    """The choice in force: that of the innermost `use_kernels`, else of TINYALEX_KERNELS, else "auto"."""
    return _chosen.get() or _checked(os.environ.get("TINYALEX_KERNELS", "auto"))


@contextmanager
def use_kernels(choice: str) -> Iterator[None]:
    """Within the block: "reference" calls the definitions, "numba" their compiled twins, "auto" what fits.

    Raises UsageError for any other word, or for "numba" where Numba is not installed.
    """
    token = _chosen.set(_checked(choice))
    try:
        yield
    finally:
        _chosen.reset(token)


@contextmanager
def computing(kernels: str = "auto", threads: int | None = None) -> Iterator[None]:
    """The block in which a net computes: with its `kernels` and `threads`, or for "auto" and None those in force."""
    with ExitStack() as stack:
        if kernels != "auto":
            stack.enter_context(use_kernels(kernels))
        if threads is not None:
            stack.enter_context(use_threads(threads))
        if kernels_in_use() != "reference" and cpu_kernels():
            stack.enter_context(one_blas_thread())
        yield


def _checked(choice: str) -> KernelChoice:
    if choice not in get_args(KernelChoice):
        raise UsageError(f"kernels={choice!r}: expected one of {', '.join(get_args(KernelChoice))}")
    if choice == "numba" and cpu_kernels() is None:
        raise UsageError("kernels='numba' needs Numba: pip install numba, or choose 'auto'")
    return cast(KernelChoice, choice)


@functools.cache
def cpu_kernels() -> ModuleType | None:
    """The module of compiled twins, imported at first use (Numba takes half a second); None without Numba."""
    try:
        return importlib.import_module("tinyalex.kernels.cpu")
    except ImportError:
        return None


def kernel(definition: Callable[P, R]) -> Callable[P, R]:
    """Let a call of `definition` go to the twin of its name that fits its arrays, else to itself."""

    @functools.wraps(definition)
    def call(*args: P.args, **kwargs: P.kwargs) -> R:
        twin = _twin(definition.__name__, args)
        return twin(*args, **kwargs) if twin else definition(*args, **kwargs)

    return call


def _twin(name: str, args: tuple[Any, ...]) -> Callable[..., Any] | None:
    """The compiled twin of the definition `name`, if one is wanted and can take the arrays among `args`."""
    if kernels_in_use() == "reference":
        return None
    arrays = [arg for arg in args if hasattr(arg, "dtype")]
    if not all(isinstance(array, np.ndarray) and str(array.dtype) in COMPILED_DTYPES for array in arrays):
        return None
    return getattr(cpu_kernels(), name, None)
