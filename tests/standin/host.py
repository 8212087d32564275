"""cupy.RawModule of the stand-in: CUDA kernels compiled for the processor, from the source that a GPU gets.

Before a call each argument is compared with the kernel's parameter: its kind, its dtype, and that arrays are
C-contiguous. During the call every array lies between two strips: of NaN if it is read, so that reading past an end
gives NaN, and of another pattern if it is written, so that writing past an end is noticed, even writing NaN. So do the
arrays whose pointers lie in a struct, in its fields of unsigned integers. CUDA has none of these checks.
"""

import atexit
import ctypes
import functools
import re
import shutil
import subprocess
import tempfile
from pathlib import Path

import numpy as np

from standin import memory
from standin.array import launch, ndarray
from standin.clocks import LOCK
from standin.cuda import current_device

SHIM = Path(__file__).with_name("host.cpp")
COMPILER = shutil.which("g++") or shutil.which("clang++")
MARGIN = 4096  # bytes of each strip
MOST_THREADS, MOST_BLOCKS, MOST_SHARED = 1024, (2**31 - 1, 65535, 65535), 48 << 10
MOST_ARGUMENTS = 4096  # bytes
SHARED = re.compile(r"extern __shared__ (\w+) (\w+)\[\];")
FAILURES = {
    1: "some threads of a block wait at a barrier that others never come to",
    2: "writes past the end of shared memory",
}
_folder = Path(tempfile.mkdtemp(prefix="tinyalex-standin-"))
atexit.register(shutil.rmtree, _folder, ignore_errors=True)


class RawModule:
    def __init__(self, *, code, options=()):
        self._code, self._options = code, options

    def get_function(self, name):
        library = _compiled(self._code, self._options)

        def start(grid, block, arguments, *, shared_mem=0):
            _call(library, name, grid, block, arguments, shared_mem)

        return start


@functools.cache
def _compiled(code, options):
    with LOCK:
        code = SHARED.sub(r"#define \2 ((\1*)shared_memory())", code)
        parts = re.split(r'extern "C" __global__ void (\w+)', code)
        kernels = [
            f"KERNEL({name}, {str('__syncthreads' in text).lower()})"
            for name, text in zip(parts[1::2], parts[2::2], strict=True)
        ]
        library = _folder / f"{abs(hash((code, options)))}.so"
        source = library.with_suffix(".cpp")
        source.write_text("\n".join([f'#include "{SHIM}"', '#line 1 "gpu.cu"', code, *kernels]) + "\n")
        command = [COMPILER, "-O1", "-shared", "-fPIC", "-std=c++17", *[o for o in options if o.startswith("-D")]]
        done = subprocess.run([*command, "-o", library, source], capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
        return ctypes.CDLL(str(library))


def _call(library, name, grid, block, arguments, shared):
    with LOCK:
        parameters = getattr(library, f"parameters_{name}")
        parameters.restype = ctypes.c_char_p
        expected = parameters().decode().split()
        given = [_letters(argument, parameter) for argument, parameter in zip(arguments, expected, strict=True)]
        assert given == expected, f"{name} takes {expected}, not {given}"
        grid, block = (tuple(sizes) + (1,) * (3 - len(sizes)) for sizes in (grid, block))
        assert min(grid + block) > 0, f"{name}: a grid of {grid} blocks of {block} threads"
        assert np.prod(block) <= MOST_THREADS, f"{name}: {block} threads"
        assert all(count <= most for count, most in zip(grid, MOST_BLOCKS, strict=True)), f"{name}: {grid} blocks"
        assert shared <= MOST_SHARED, f"{name}: {shared} bytes of shared memory"
        passed = [_passed(argument, parameter) for argument, parameter in zip(arguments, expected, strict=True)]
        failed = getattr(library, f"run_{name}")(
            (ctypes.c_int * 3)(*grid),
            (ctypes.c_int * 3)(*block),
            ctypes.c_size_t(shared),
            (ctypes.c_void_p * len(passed))(*(one.value.ctypes.data for one in passed)),
        )
        assert not failed, f"{name}: {FAILURES[failed]}"
        fences = [fence for one in passed for fence in one.fences]
        for fence in fences:
            fence.take_down(name)
        launch(name, [f.array for f in fences if not f.written], [f.array for f in fences if f.written])


def _letters(argument, parameter):
    """As `letter` in host.cpp names parameters; only the kernel knows whether a pointer is for reading or writing."""
    if isinstance(argument, ndarray):
        assert argument.flags.c_contiguous, "a kernel takes arrays that lie in one piece"
        return parameter[0] + argument.dtype.char
    if isinstance(argument, np.ndarray):
        assert argument.size == 1, "CuPy passes arrays of NumPy by value, but only of one item"
        assert argument.nbytes <= MOST_ARGUMENTS
        return f"struct{argument.nbytes}"
    return "q" if type(argument) is int else argument.dtype.char


class _Passed:
    """What a kernel gets in place of an argument, and the fences around the arrays that it can reach through it."""

    def __init__(self, value, fences):
        self.value, self.fences = value, fences


def _passed(argument, parameter):
    if isinstance(argument, ndarray):
        fence = _Fenced(argument, written=parameter[0] == "w")
        return _Passed(fence.pointer, [fence])
    value = np.array(argument)
    fences = []
    if parameter.startswith("struct"):
        for pointer in _pointers(value):
            if pointer[()]:
                where = memory.at(int(pointer), 1, current_device())
                fences.append(_Fenced(ndarray(where.held, where), written=True))
                pointer[...] = int(fences[-1].pointer) + int(pointer) - where.address
    return _Passed(value, fences)


def _pointers(values):
    """Every field of unsigned integers of a struct, however deep, as an array of no axes that can be written to."""
    if values.dtype.names:
        for name in values.dtype.names:
            yield from _pointers(values[name])
    elif values.dtype.kind == "u":
        yield from (
            values[index : index + 1].reshape(()) for values in [values.reshape(-1)] for index in range(values.size)
        )


class _Fenced:
    """The numbers of an array between two strips."""

    def __init__(self, array, written):
        self.array, self.written, self._pattern = array, written, 0xA5 if written else 0xFF
        self._bytes = np.full(array.nbytes + 2 * MARGIN, self._pattern, np.uint8)
        self._inside = self._bytes[MARGIN : MARGIN + array.nbytes].view(array.dtype).reshape(array.shape)
        self._inside[...] = array._held
        self.pointer = np.array(self._inside.ctypes.data, np.uintp)

    def take_down(self, name):
        strips = self._bytes[:MARGIN], self._bytes[MARGIN + self.array.nbytes :]
        assert all((strip == self._pattern).all() for strip in strips), f"{name} writes past the end of an array"
        if self.written:
            self.array._held[...] = self._inside
        else:
            assert self._inside.tobytes() == self.array._held.tobytes(), f"{name} writes into what it reads"
