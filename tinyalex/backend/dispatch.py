"""The array switch: one code for NumPy and CuPy, and the choice between a definition and its faster twin.

Layers never say `np.`: they ask `get_array_module` which library owns their arrays. A function decorated with
`@kernel` is a definition, the code that a student reads. A call of it goes to its twin, the function of the same name
in `cpu/` (compiled by Numba) or `gpu/` (written in CUDA), if there is one for these arrays; else to the definition.
"""

import functools
import gc
import os
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from contextvars import ContextVar
from types import ModuleType
from typing import Any, Literal, ParamSpec, TypeVar, cast, get_args

import numpy as np

from tinyalex.backend.devices import device_scope, is_cpu
from tinyalex.backend.kinds import KINDS, Array, kind_of
from tinyalex.backend.threads import one_blas_thread, use_threads
from tinyalex.errors import UsageError

KernelChoice = Literal["auto", "numba", "reference"]
CHOICES = get_args(KernelChoice)
NUMBERS = {np.dtype("float32"), np.dtype("float64")}  # dtypes that a twin computes in; its first array has one of them
TWIN_DTYPES = NUMBERS | {np.dtype("uint8"), np.dtype("int32"), np.dtype("bool")}  # and those of an argmax and a mask
P = ParamSpec("P")
R = TypeVar("R")

_chosen: ContextVar[KernelChoice | None] = ContextVar("kernels", default=None)
_unused: ContextVar[frozenset[str]] = ContextVar("unused twins", default=frozenset())


def get_array_module(*arrays: Array) -> Any:
    """The module, `numpy` or `cupy`, that owns all of `arrays` (None is skipped; `numpy` if there are no others).

    Raises DTypeError for something that is not an array, UsageError if the arrays lie on different devices.
    """
    kind, devices = KINDS["cpu"], set()
    for array in arrays:
        if array is not None:
            kind = kind_of(array)
            devices.add(kind.device_of(array))
    if len(devices) > 1:
        raise UsageError(
            f"arrays on different devices, {' and '.join(sorted(devices))}: move them to one with to_device"
        )
    return kind.xp


# ---------------------------------------------------------------- definitions and their faster twins


def kernels_in_use() -> KernelChoice:
    """The choice in force: that of the innermost `use_kernels`, else TINYALEX_KERNELS, else "auto"."""
    return _chosen.get() or _checked(os.environ.get("TINYALEX_KERNELS") or "auto", "TINYALEX_KERNELS")


@contextmanager
def use_kernels(choice: str) -> Iterator[None]:
    """Choose the kernels within the block: "auto" calls twins where they exist, "reference" only definitions.

    "numba" is "auto", but requires Numba to be installed.
    Raises UsageError for any other word, and for "numba" without Numba.
    """
    token = _chosen.set(_checked(choice))
    try:
        yield
    finally:
        _chosen.reset(token)


@contextmanager
def without_twins(*names: str) -> Iterator[None]:
    """Within the block calls of these definitions go to the definitions, not to twins; to measure what twins save."""
    token = _unused.set(_unused.get() | set(names))
    try:
        yield
    finally:
        _unused.reset(token)


@contextmanager
def computing(kernels: str = "auto", threads: int | None = None, device: str | None = None) -> Iterator[None]:
    """A block in which a net computes: with these kernels and threads, and new arrays on `device`.

    "auto" and None keep the kernels, threads and device in force. On the CPU the block holds BLAS to one thread if
    twins are in use, as they have threads of their own.
    """
    with ExitStack() as stack:
        # The choice in force is fixed for the block too, so that not every call of it reads the environment.
        stack.enter_context(use_kernels(kernels if kernels != "auto" else kernels_in_use()))
        stack.enter_context(use_threads(threads))
        if device is not None and not is_cpu(device):
            stack.enter_context(device_scope(device))
        elif kernels_in_use() != "reference" and cpu_kernels():
            stack.enter_context(one_blas_thread())
        yield


def check_choices(kernels: str, threads: int | None) -> None:
    """Raise UsageError for kernels or threads that `computing` would refuse. It imports no kernels."""
    kernels_in_use()  # what TINYALEX_KERNELS says
    with use_kernels(kernels), use_threads(threads):
        pass


def _checked(choice: str, setting: str = "kernels") -> KernelChoice:
    if choice not in CHOICES:
        raise UsageError(f"{setting}={choice!r}: expected one of {', '.join(CHOICES)}")
    if choice == "numba" and cpu_kernels() is None:
        raise UsageError(f"{setting}='numba' needs Numba: pip install numba, or choose 'auto'")
    return cast(KernelChoice, choice)


def cpu_kernels() -> ModuleType | None:
    """The module of compiled twins, imported at first use; None without Numba."""
    return KINDS["cpu"].twins


def load_kernels() -> None:
    """Make the compiled twins for the CPU ready, if they are in use; else the first call of one does it.

    It takes a third of a second, nearly all of it in Numba: time enough for another thread to read a file.
    """
    if kernels_in_use() == "reference":
        return
    collects = gc.isenabled()
    gc.disable()  # what is loaded is no garbage; to look for some in it takes a fifth of the time
    try:
        if twins := cpu_kernels():
            twins.load_code()
    finally:
        if collects:
            gc.enable()


def gpu_kernels() -> ModuleType | None:
    """The module of twins for CuPy arrays, imported at first use."""
    return KINDS["cuda"].twins


def kernel(definition: Callable[P, R]) -> Callable[P, R]:
    """Make a call of `definition` go to its twin if there is one for these arrays, else to the definition itself."""
    name = definition.__name__

    @functools.wraps(definition)
    def call(*args: P.args, **kwargs: P.kwargs) -> R:
        twin = _twin(name, (*args, *kwargs.values()))
        return twin(*args, **kwargs) if twin else definition(*args, **kwargs)

    return call


def _twin(name: str, args: tuple[Any, ...]) -> Callable[..., Any] | None:
    """The twin of the definition `name`, if one is wanted and takes the arrays among `args`; else None."""
    if kernels_in_use() == "reference" or name in _unused.get():
        return None
    arrays = _arrays_among(args)
    if not arrays or arrays[0].dtype not in NUMBERS:
        return None
    kind = kind_of(arrays[0])
    ndarray = kind.xp.ndarray
    for array in arrays:
        if array.dtype not in TWIN_DTYPES or not isinstance(array, ndarray):
            return None
    return getattr(kind.twins, name, None)


def _arrays_among(args: tuple[Any, ...]) -> list[Array]:
    """The arrays in `args`, and in the lists among them."""
    arrays = []
    for arg in args:
        if hasattr(arg, "dtype"):
            arrays.append(arg)
        elif isinstance(arg, list):
            arrays.extend(one for one in arg if hasattr(one, "dtype"))
    return arrays
