"""cupy.RawModule of the stand-in: CUDA kernels compiled for the processor, from the source that a GPU gets.

Before a call each argument is held against the kernel's parameter: its kind, its dtype, and that arrays lie in one
piece. During it every array lies between two strips: of NaN where it is read, so that who reads past an end computes
NaN, and of another pattern where it is written, so that who writes there is found out, be it NaN. Raw kernels of CUDA
have none of these checks.
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

from standin.array import launch, ndarray
from standin.clocks import LOCK

SHIM = Path(__file__).with_name("host.cpp")
COMPILER = shutil.which("g++") or shutil.which("clang++")
MARGIN = 4096  # bytes of each strip
MOST_THREADS, MOST_BLOCKS = 1024, (2**31 - 1, 65535, 65535)
_folder = Path(tempfile.mkdtemp(prefix="tinyalex-standin-"))
atexit.register(shutil.rmtree, _folder, ignore_errors=True)


class RawModule:
    def __init__(self, *, code, options=()):
        self._code, self._options = code, options

    def get_function(self, name):
        return functools.partial(_call, _compiled(self._code, self._options), name)


@functools.cache
def _compiled(code, options):
    with LOCK:
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


def _call(library, name, grid, block, arguments):
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
        fenced = [
            _Fenced(argument, written=parameter[0] == "w") if isinstance(argument, ndarray) else None
            for argument, parameter in zip(arguments, expected, strict=True)
        ]
        values = [
            fence.pointer if fence else np.array(argument) for fence, argument in zip(fenced, arguments, strict=True)
        ]
        failed = getattr(library, f"run_{name}")(
            (ctypes.c_int * 3)(*grid),
            (ctypes.c_int * 3)(*block),
            (ctypes.c_void_p * len(values))(*(value.ctypes.data for value in values)),
        )
        assert not failed, f"{name}: some threads of a block wait at a barrier that others never come to"
        for fence in fenced:
            if fence:
                fence.take_down(name)
        arrays = {side: [a for a, p in zip(arguments, expected, strict=True) if p[0] == side] for side in "rw"}
        launch(name, arrays["r"], arrays["w"])


def _letters(argument, parameter):
    """As `letter` in host.cpp names parameters; that a pointer is for reading or writing only the kernel knows."""
    if isinstance(argument, ndarray):
        assert argument.flags.c_contiguous, "a kernel takes arrays that lie in one piece"
        return parameter[0] + argument.dtype.char
    return "q" if type(argument) is int else argument.dtype.char


class _Fenced:
    """The numbers of an array between two strips."""

    def __init__(self, array, written):
        self._array, self._written, self._pattern = array, written, 0xA5 if written else 0xFF
        self._bytes = np.full(array.nbytes + 2 * MARGIN, self._pattern, np.uint8)
        self._inside = self._bytes[MARGIN : MARGIN + array.nbytes].view(array.dtype).reshape(array.shape)
        self._inside[...] = array._held
        self.pointer = np.array(self._inside.ctypes.data, np.uintp)

    def take_down(self, name):
        strips = self._bytes[:MARGIN], self._bytes[MARGIN + self._array.nbytes :]
        assert all((strip == self._pattern).all() for strip in strips), f"{name} writes past the end of an array"
        if self._written:
            self._array._held[...] = self._inside
        else:
            assert self._inside.tobytes() == self._array._held.tobytes(), f"{name} writes into what it reads"
