"""The array switch: one code for NumPy and CuPy, and the choice between a definition and its faster twin.

Layers never say `np.`: they ask `get_array_module` which library owns their arrays. A definition decorated with
`@kernel` is what a student reads; a call of it goes to the twin of the same name in `cpu/` or `gpu/` where the
arrays have one, compiled by Numba for arrays of NumPy and by CUDA for those of CuPy, and to the definition itself
everywhere else. `tinyalex.backend.devices` knows where arrays lie, and how they move.
"""

import functools
import importlib
import os
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from contextvars import ContextVar
from types import ModuleType
from typing import Any, Literal, ParamSpec, TypeVar, cast, get_args

import numpy as np

from tinyalex.backend.devices import Array, device_of, device_scope, is_cpu, is_of_cupy
from tinyalex.backend.threads import one_blas_thread, use_threads
from tinyalex.errors import UsageError

KernelChoice = Literal["auto", "numba", "reference"]
NUMBERS = {np.dtype("float32"), np.dtype("float64")}  # of what a twin computes with, its first array, and of results
TWIN_DTYPES = NUMBERS | {np.dtype("uint8"), np.dtype("int32"), np.dtype("bool")}  # of an argmax and a mask besides
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


# ---------------------------------------------------------------- definitions and their faster twins


def kernels_in_use() -> KernelChoice:
    """The choice in force: that of the innermost `use_kernels`, else of TINYALEX_KERNELS, else "auto"."""
    return _chosen.get() or _checked(os.environ.get("TINYALEX_KERNELS") or "auto")


@contextmanager
def use_kernels(choice: str) -> Iterator[None]:
    """Within the block: "reference" calls the definitions, "auto" the twins that fit the arrays.

    "numba" calls the twins of NumPy's arrays, and insists that there are some; for CuPy's it is "auto".
    Raises UsageError for any other word, or for "numba" where Numba is not installed.
    """
    token = _chosen.set(_checked(choice))
    try:
        yield
    finally:
        _chosen.reset(token)


@contextmanager
def computing(kernels: str = "auto", threads: int | None = None, device: str | None = None) -> Iterator[None]:
    """The block in which a net computes: with its `kernels` and `threads`, or for "auto" and None those in force.

    device: where new arrays lie; None for the CPU.
    """
    with ExitStack() as stack:
        if kernels != "auto":
            stack.enter_context(use_kernels(kernels))
        stack.enter_context(use_threads(threads))
        if device is not None and not is_cpu(device):
            stack.enter_context(device_scope(device))
        elif kernels_in_use() != "reference" and cpu_kernels():
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
        return importlib.import_module("tinyalex.backend.cpu")
    except ImportError:
        return None


@functools.cache
def gpu_kernels() -> ModuleType:
    """The module of twins for arrays of CuPy, which compiles each of them at its first call."""
    return importlib.import_module("tinyalex.backend.gpu")


def kernel(definition: Callable[P, R]) -> Callable[P, R]:
    """Let a call of `definition` go to the twin of its name that fits its arrays, else to itself."""

    @functools.wraps(definition)
    def call(*args: P.args, **kwargs: P.kwargs) -> R:
        twin = _twin(definition.__name__, (*args, *kwargs.values()))
        return twin(*args, **kwargs) if twin else definition(*args, **kwargs)

    return call


def _twin(name: str, args: tuple[Any, ...]) -> Callable[..., Any] | None:
    """The twin of the definition `name`, if one is wanted and can take the arrays among `args`."""
    if kernels_in_use() == "reference":
        return None
    arrays = [arg for arg in args if hasattr(arg, "dtype")]
    if not arrays or arrays[0].dtype not in NUMBERS or not all(array.dtype in TWIN_DTYPES for array in arrays):
        return None
    if all(isinstance(array, np.ndarray) for array in arrays):
        return getattr(cpu_kernels(), name, None)
    if all(is_of_cupy(array) for array in arrays):
        return getattr(gpu_kernels(), name, None)
    return None
