"""A strict stand-in for CuPy, for machines without a GPU: the same names, NumPy inside, and no leniency.

It has three devices and refuses what CuPy refuses or what would be slow or wrong on real cards: arrays of two devices
in one operation, arrays of another device than the current one, arrays of NumPy among the operands, NumPy's functions,
implicit conversion to NumPy. Names that CuPy lacks are missing here too. It counts what makes the host wait, notes
which stream touches which memory and raises RaceError where nothing orders them (see `clocks`), fills new memory with
NaN, and runs CUDA kernels on the processor, from their very source (see `host`).

It shows that the discipline is kept and that the kernels compute the right numbers. It does not show that a GPU works:
the same tests run on real CuPy where there is one.
"""

import types

import numpy as np

from standin import blas, cuda, memory
from standin.array import across, adopted, compute, launch, made, ndarray, plain
from standin.clocks import SYNCS, RaceError
from standin.cuda import current_device, unreachable, unsynchronised
from standin.host import RawModule
from standin.pinned import empty_pinned

__all__ = ["COPIES", "SYNCS", "RaceError", "cupy", "cupyx", "forget", "unreachable", "unsynchronised"]


COPIES = []  # shapes of the operands that CuPy's products would have copied in silence


def _asarray(a, dtype=None):
    if not isinstance(a, ndarray):
        return adopted(np.array(a, dtype, order="C"))
    a = a if a.device.id == current_device() else across(a)
    return a if dtype is None else a.astype(dtype, copy=False)


def _ascontiguousarray(a):
    a = a.reshape(1) if a.ndim == 0 else a
    return a if a.flags.c_contiguous else made("ascontiguousarray", a._held, a)


def _empty(shape, dtype=float):
    """New memory, of numbers that nobody may use. Nothing is written to it yet, so no stream is at work on it."""
    held = np.empty(shape, dtype)
    held.view(np.uint8 if held.ndim else dtype)[...] = 0xFF if held.ndim else -1
    return ndarray(held)


def _full(shape, fill_value, dtype=None):
    return made("full", np.full(shape, plain(fill_value), dtype))


def _matmul(a, b, out=None):
    COPIES.extend(one.shape for one in (a, b) if isinstance(one, ndarray) and _would_be_copied(one))
    if out is None:
        return compute("matmul", np.matmul, a, b)
    assert out.flags.c_contiguous, "CuPy would compute elsewhere and copy"
    np.matmul(plain(a), plain(b), out=out._held)
    launch("matmul", [a, b], [out])
    return out


def _would_be_copied(a):
    """Whether CuPy copies this operand of a product: cuBLAS takes a matrix in rows or columns, several only in rows."""
    return not (a.flags.c_contiguous or (a.ndim == 2 and a.flags.f_contiguous))


def _maximum(a, b, out=None):
    if out is None:
        return compute("maximum", np.maximum, a, b)
    np.maximum(plain(a), plain(b), out=out._held)
    launch("maximum", [one for one in (a, b) if isinstance(one, ndarray)], [out])
    return out


def _copyto(dst, src, where):
    np.copyto(dst._held, plain(src), where=plain(where))
    launch("copyto", [one for one in (src, where) if isinstance(one, ndarray)], [dst])


def _concatenate(arrays, axis=0):
    return made("concatenate", np.concatenate([array._held for array in arrays], axis=axis), *arrays)


def _module():
    module = types.ModuleType("cupy")
    module.__version__ = "stand-in"
    module.ndarray, module.RawModule, module.cuda = ndarray, RawModule, cuda.as_module()
    module.cuda.cublas = blas.as_module()
    module.get_default_memory_pool = lambda: memory.Pool(current_device())
    module.asarray, module.ascontiguousarray, module.empty, module.full = _asarray, _ascontiguousarray, _empty, _full
    module.zeros = lambda shape, dtype=float: _full(shape, 0, dtype)
    module.ones = lambda shape, dtype=float: _full(shape, 1, dtype)
    module.empty_like = lambda a: _empty(a.shape, a.dtype)
    module.zeros_like = lambda a: _full(a.shape, 0, a.dtype)
    module.arange = lambda count: made("arange", np.arange(count))
    module.where = lambda condition, x, y: compute("where", np.where, condition, x, y)
    for name in ("exp", "log", "tanh", "isfinite"):
        setattr(module, name, lambda a, name=name: compute(name, getattr(np, name), a))
    module.matmul, module.maximum, module.copyto, module.concatenate = _matmul, _maximum, _copyto, _concatenate
    return module


cupy = _module()
cupyx = types.ModuleType("cupyx")
cupyx.empty_pinned = empty_pinned


def forget():
    """Begin anew, and put the stand-in in CuPy's place."""
    cuda.forget()
    COPIES.clear()
    blas.CALLS.clear()
    return {"cupy": cupy, "cupyx": cupyx, "cupy.cuda": cupy.cuda}
