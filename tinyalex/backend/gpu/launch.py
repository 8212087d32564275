"""How the kernels of kernels.cu are compiled, and started on arrays of CuPy."""

import functools
from pathlib import Path
from typing import Any

import numpy as np

from tinyalex.window import Window

Array = Any  # an ndarray of CuPy

SOURCE = Path(__file__).with_name("kernels.cu")
WARP = 32  # threads that run the same instruction at the same time
THREADS = 256  # of a block: eight warps; some compute while others wait for memory
BLOCKS = 4096  # of a kernel that runs over all numbers of an array: more than any GPU runs at once
PARAMETERS = 64  # of one call of sgd_update_all: its arguments may take 4 KB
LANES = 4  # numbers that a thread loads and stores at once, where the channels divide by it
C_TYPES = {"float32": "float", "float64": "double", "uint8": "unsigned char", "int32": "int"}


def cupy() -> Any:
    """CuPy. It is imported here, so that the modules of this folder can be imported without it."""
    import cupy

    return cupy


def options(dtype: str, cell: str) -> tuple[str, ...]:
    """The compiler's options for numbers of `dtype` and cell numbers of the dtype `cell`."""
    return f"-DREAL={C_TYPES[dtype]}", f"-DCELL={C_TYPES[cell]}", f"-DPARAMETERS={PARAMETERS}", "--std=c++17"


class Kernels(dict[str, Any]):
    """The kernels of a module by name. CuPy takes as long to find one as to start it, so each is looked up once."""

    def __init__(self, module: Any) -> None:
        super().__init__()
        self._module = module

    def __missing__(self, name: str) -> Any:
        self[name] = self._module.get_function(name)
        return self[name]


@functools.cache
def module(dtype: str, cell: str) -> Kernels:
    """The kernels for numbers of `dtype` and cell numbers of the dtype `cell`. CuPy compiles them at their first call.

    CuPy keeps what it has compiled, for each device, in this process and on disk.
    """
    return Kernels(cupy().RawModule(code=SOURCE.read_text(), options=options(dtype, cell)))


def start(
    name: str, grid: tuple[int, ...], block: tuple[int, ...], *arguments: Any, cell: str = "uint8", shared: int = 0
) -> None:
    """Start the kernel `name` on the current stream, in `grid` blocks of `block` threads.

    arguments: C-contiguous arrays; ints, which become 64-bit integers; np.int32; floats, which take the dtype of the
    first array.   shared: bytes of shared memory for each block, besides what the kernel declares itself.
    """
    if 0 in grid:
        return
    dtype = arguments[0].dtype
    values = tuple(dtype.type(value) if isinstance(value, float) else value for value in arguments)
    module(dtype.name, cell)[name](grid, block, values, shared_mem=shared)


def block_of(channels: int) -> tuple[int, int]:
    """A block's threads: along the channels of a pixel, and over as many pixels as there are threads left for."""
    return min(channels, THREADS), max(1, THREADS // channels)


def per_line(name: str, lines: int, channels: int, *arguments: Any, cell: str = "uint8") -> None:
    """Start a kernel with a block for each line of an image, whose channels are loaded 4 at a time where that fits."""
    start(name, (lines,), block_of(lanes(channels)), *arguments, cell=cell)


def per_row(name: str, rows: int, channels: int, *arguments: Any) -> None:
    """Start a kernel that runs over rows of `channels` numbers."""
    block = block_of(channels)
    start(name, (min(BLOCKS, -(-rows // block[1])),), block, *arguments)


def per_number(name: str, count: int, *arguments: Any) -> None:
    """Start a kernel that runs over all `count` numbers of an array."""
    start(name, (min(BLOCKS, -(-count // THREADS)),), (THREADS,), *arguments)


def lanes(channels: int) -> int:
    """How many loads the channels of a pixel take: 4 channels at once if they divide by 4, as kernels.cu does it."""
    return channels if channels % LANES else channels // LANES


def small(*numbers: int) -> tuple[Any, ...]:
    """Ints as a kernel's parameters of type int."""
    return tuple(np.int32(number) for number in numbers)


@functools.lru_cache(maxsize=1024)
def geometry(H: int, W: int, C: int, window: Window) -> tuple[Any, ...]:
    """The parameters WINDOW of a kernel, for images of H x W pixels and C channels."""
    return small(H, W, C, *window.output_size(H, W), *window.kernel, *window.stride, *window.pad)


# ---------------------------------------------------------------- arrays as the kernels take them


def in_one_piece(x: Array) -> Array:
    """x, C-contiguous, and where 4 numbers can be loaded at once; a copy only if it does not lie so already."""
    if x.flags.c_contiguous and x.data.ptr % (LANES * x.itemsize) == 0:
        return x
    return x.copy() if x.flags.c_contiguous else cupy().ascontiguousarray(x)


def channels_last(x: Array) -> Array:
    """x (N, C, H, W) -> (N, H, W, C), in one piece; a copy only if it does not lie so already."""
    return in_one_piece(x.transpose(0, 2, 3, 1))
