"""How the kernels of gpu.cu are compiled, and started on the arrays of CuPy."""

import functools
import importlib
from pathlib import Path
from typing import Any

import numpy as np

from tinyalex.window import Window

SOURCE = Path(__file__).with_name("kernels.cu")
THREADS = 256  # of a block: eight warps, of which some compute while others wait for memory
BLOCKS = 4096  # of a kernel that runs over a line of numbers: more than any GPU has at work at once
C_TYPES = {"float32": "float", "float64": "double", "uint8": "unsigned char", "int32": "int"}


def cupy() -> Any:
    """CuPy; this module, like those that use it, can be imported without."""
    return importlib.import_module("cupy")


@functools.cache
def module(dtype: str, cell: str) -> Any:
    """The kernels for numbers of `dtype` and cell numbers of the dtype `cell`; CuPy compiles them at their first call.

    What is compiled is kept, for each device, by CuPy: in this process and on disk.
    """
    options = (f"-DREAL={C_TYPES[dtype]}", f"-DCELL={C_TYPES[cell]}", "--std=c++17")
    return cupy().RawModule(code=SOURCE.read_text(), options=options)


def start(name: str, grid: tuple[int, ...], block: tuple[int, ...], *arguments: Any, cell: str = "uint8") -> None:
    """Start the kernel `name` on the current stream, in `grid` blocks of `block` threads.

    arguments: arrays, each in one piece; ints, of 64 bits as the kernels take sizes; np.int32 and floats, of the dtype
    of the first array.
    """
    if 0 in grid:
        return
    dtype = arguments[0].dtype
    values = tuple(dtype.type(value) if isinstance(value, float) else value for value in arguments)
    module(dtype.name, cell).get_function(name)(grid, block, values)


def per_pixel(name: str, pixels: int, channels: int, *arguments: Any, cell: str = "uint8") -> None:
    """Start a kernel that computes the channels of each pixel: threads along the channels, and over some pixels."""
    block = min(channels, THREADS), max(1, THREADS // channels)
    start(name, (-(-pixels // block[1]),), block, *arguments, cell=cell)


def along_a_line(name: str, count: int, *arguments: Any) -> None:
    """Start a kernel that computes `count` numbers, one by one."""
    start(name, (min(BLOCKS, -(-count // THREADS)),), (THREADS,), *arguments)


def small(*numbers: int) -> tuple[Any, ...]:
    """Ints as a kernel's parameters of type int."""
    return tuple(np.int32(number) for number in numbers)


def geometry(shape: tuple[int, ...], window: Window) -> tuple[Any, ...]:
    """The parameters WINDOW of a kernel, for images of `shape` (N, H, W, C)."""
    _, H, W, C = shape
    return small(H, W, C, *window.output_size(H, W), *window.kernel, *window.stride, *window.pad)
