"""What the kernels for GPUs cost, told without a GPU: registers, and instructions for each number.

    make gpu-kernels

writes docs/gpu-kernels.json, and from it the tables of docs/gpu-kernels.md. It needs nvcc, ptxas and nvdisasm, on the
PATH or from the wheels nvidia-cuda-nvcc and nvidia-cuda-nvdisasm.

The kernels are compiled for sm_90 (H100, H200) with CuPy's options. Executed instructions are counted in PTX, for the
launches of the paper's net, and multiplied by the ratio of the disassembly's length to PTX's.
"""

import re
import shutil
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from site_tools import gpu_kernels_page
from site_tools.gpu_kernels_page import Line
from site_tools.ptx import Kernel, kernels
from tinyalex.backend.gpu import launch, memory, patches, sums, twins
from tinyalex.count import Row, conv_window, count
from tinyalex.spec import Activation, Conv, Drop, Norm, Pool, variant
from tinyalex.window import Window, pair

BATCHES = 128, 512


@dataclass
class Launch:
    """A launch of the net: `numbers` are those it computes, `nbytes` those it reads and writes.

    train, infer: how often a step of training or of inference launches it.
    """

    kernel: str
    layer: str
    grid: tuple[int, ...]
    block: tuple[int, ...]
    arguments: list[float]
    numbers: int
    nbytes: int
    train: int
    infer: int


# ---------------------------------------------------------------- the launches of the paper's net


def launches(rows: list[Row], N: int) -> list[Launch]:
    """One of each kernel and layer, for all N images. Pointers are 0, as the count does not depend on them.

    Images arrive in the net's dtype: `augment` is listed, with no launch in a step.
    """
    found: list[Launch] = []
    for row in rows:
        match row.layer:
            case Conv():
                found += _of_convolution(row, N)
            case Pool():
                found += _of_pool(row, N)
            case Norm():
                found += _of_norm(row, N)
            case Activation() if len(row.out_shape) == 1:  # the others are computed with their convolution
                found.append(_by_number("relu_forward", row.name, 2, N * row.out_shape[0], 8, 1, 1))
                found.append(_by_number("relu_backward", row.name, 3, N * row.out_shape[0], 12, 1, 0))
            case Drop():
                found.append(_by_number("masked", row.name, 3, N * row.out_shape[0], 9, 2, 0))
            case _:
                pass
    return found + _of_the_step(rows, N)


def _of_convolution(row: Row, N: int) -> list[Launch]:
    assert isinstance(row.layer, Conv)
    window, groups, (C, H, W), (OC, OH, OW) = conv_window(row.layer), row.groups, row.in_shape, row.out_shape
    CG = C // groups
    length = memory.row_length(window, CG)
    sizes = [length, CG, *_ints(launch.geometry(H, W, C, window))]
    rows = N * OH * OW
    entries, x, y = rows * length * groups, N * H * W * C, rows * OC
    threads = patches.threads_of_a_row(length, CG)
    gather = launch.block_of(C if CG % launch.LANES else launch.lanes(C))
    bias, summed = launch.block_of(launch.lanes(OC)), launch.block_of(OC)
    grid = min(launch.BLOCKS, -(-rows // bias[1]))
    parts, has_input_gradient = sums.PARTS, int(row.name != "conv1")
    return [
        Launch("im2col", row.name, (N * OH, groups), (threads,), [0, 0, *sizes], entries, 4 * (entries + x), 2, 1),
        Launch("col2im", row.name, (N * H,), gather, [0, 0, *sizes], x, 4 * (entries + x), has_input_gradient, 0),
        Launch("add_bias", row.name, (grid,), bias, [0, 0, rows, OC, 1], y, 8 * y, 1, 1),
        Launch("sum_of_rows", row.name, (-(-parts // summed[1]),), summed, [0, 0, rows, parts, OC], y, 4 * y, 1, 0),
        _by_number("relu_backward", row.name, 3, y, 12, 1, 0),
    ]


def _of_pool(row: Row, N: int) -> list[Launch]:
    assert isinstance(row.layer, Pool)
    (C, H, W), (_, OH, OW) = row.in_shape, row.out_shape
    window = Window(pair(row.layer.size), pair(row.layer.stride), (0, 0), False)
    block, sizes = launch.block_of(launch.lanes(C)), _ints(launch.geometry(H, W, C, window))
    x, y = N * H * W * C, N * OH * OW * C
    return [
        Launch("max_pool_forward", row.name, (N * OH,), block, [0, 0, 0, *sizes], y, 4 * x + 5 * y, 1, 1),
        Launch("max_pool_backward", row.name, (N * H,), block, [0, 0, 0, *sizes], x, 4 * x + 5 * y, 1, 0),
    ]


def _of_norm(row: Row, N: int) -> list[Launch]:
    assert isinstance(row.layer, Norm)
    (C, H, W), size = row.in_shape, row.layer.size
    settings = row.layer.alpha, row.layer.beta, row.layer.k
    x = N * H * W * C
    CG = C // row.groups
    block = launch.block_of(CG)
    found = []
    for name, arrays, infer in (("lrn_forward", 2, 1), ("lrn_backward", 3, 0)):
        most, _ = twins.runs_at_once(name, CG, size, 4)
        arguments = [*[0] * arrays, x // CG, most, CG, size, *settings]
        found.append(Launch(name, row.name, (-(-x // CG // most),), block, arguments, x, 4 * arrays * x, 1, infer))
    return found


def _by_number(kernel: str, layer: str, arrays: int, numbers: int, width: int, train: int, infer: int) -> Launch:
    """A kernel that runs over all numbers of its arrays, with `width` bytes for each number."""
    grid = (min(launch.BLOCKS, -(-numbers // launch.THREADS)),)
    arguments = [*[0] * arrays, numbers, 0.5]
    return Launch(kernel, layer, grid, (launch.THREADS,), arguments, numbers, width * numbers, train, infer)


def _of_the_step(rows: list[Row], N: int) -> list[Launch]:
    """What belongs to no layer. The update's loop is counted in `sgd_update`, on all weights at once."""
    size, classes, weights = rows[0].in_shape[1], rows[-1].out_shape[0], sum(row.parameters for row in rows)
    pixels, block = 3 * N * size**2, (launch.THREADS,)
    stored = [*[0] * 7, 1, 256, size, 1.0]
    return [
        _by_number("sgd_update", "all weights", 3, weights, 20, 1, 0),
        Launch("softmax", "loss", (N,), block, [0, 0, classes], N * classes, 8 * N * classes, 1, 0),
        Launch("augment", "images", (N * size,), block, stored, pixels, 5 * pixels, 0, 0),
    ]


def _ints(numbers: tuple[Any, ...]) -> list[int]:
    return [int(number) for number in numbers]


# ---------------------------------------------------------------- the compiled kernels


def tool(name: str) -> str:
    """A program of CUDA's, from the PATH or from a wheel. Exits where there is none."""
    if found := shutil.which(name):
        return found
    for folder in map(Path, sys.path):
        for found in folder.glob(f"nvidia/*/bin/{name}"):
            return str(found)
    raise SystemExit(
        f"gpu_kernels: found no {name}: expected it on the PATH or in a wheel; "
        "do .venv/bin/pip install nvidia-cuda-nvcc nvidia-cuda-nvdisasm"
    )


def compiled(source: Path, folder: Path) -> tuple[str, dict[str, tuple[int, int]], dict[str, int]]:
    """PTX; (registers, spilled bytes) of each kernel; and how many instructions its disassembly has."""
    ptx, cubin = folder / "kernels.ptx", folder / "kernels.cubin"
    options = [option for option in launch.options("float32", "uint8") if option.startswith("-D")]
    _run(tool("nvcc"), "-ptx", "-arch=sm_90", "-std=c++17", *options, "-o", ptx, source)
    report = _run(tool("ptxas"), "-arch=sm_90", "-v", ptx, "-o", cubin)
    used = re.findall(r"entry function '(\w+)'.*?(\d+) bytes spill stores.*?Used (\d+) registers", report, re.DOTALL)
    lengths, name = {}, ""
    for line in _run(tool("nvdisasm"), "-c", cubin).splitlines():
        if section := re.search(r"\.section\s+\.text\.(\w+)", line):
            name = section[1]
            lengths[name] = 0
        elif re.search(r"/\*[0-9a-f]{4,}\*/\s", line) and not re.search(r"\bNOP\b", line):
            lengths[name] += 1
    return ptx.read_text(), {name: (int(registers), int(spilled)) for name, spilled, registers in used}, lengths


def _run(*command: str | Path) -> str:
    done = subprocess.run([*map(str, command)], capture_output=True, text=True, check=False)
    if done.returncode:
        raise SystemExit(f"gpu_kernels: {command[0]} failed: {done.stderr}")
    return done.stdout + done.stderr


def executed(kernel: Kernel, one: Launch) -> float:
    """Instructions of PTX that all threads of a launch execute: those of a block in the middle, times the blocks.

    Threads of a warp go together: each counts as the longest of its 32.
    """
    grid, block = one.grid + (1,) * (2 - len(one.grid)), one.block + (1,) * (2 - len(one.block))
    values: dict[str, float] = dict(zip(kernel.parameters, one.arguments, strict=False))
    values |= {"%ctaid.x": grid[0] // 2, "%ctaid.y": 0, "%nctaid.x": grid[0], "%ntid.x": block[0], "%ntid.y": block[1]}
    threads = [(x, y) for y in range(block[1]) for x in range(block[0])]
    total = 0
    for first in range(0, len(threads), launch.WARP):
        some = threads[first : first + launch.WARP : 5] + threads[first : first + launch.WARP][-1:]
        total += launch.WARP * max(kernel.executed(values | {"%tid.x": x, "%tid.y": y}) for x, y in some)
    return float(total) * grid[0] * grid[1]


def counted(source: Path, found: list[Launch]) -> list[Line]:
    """A line for each launch."""
    with tempfile.TemporaryDirectory() as folder:
        text, used, lengths = compiled(source, Path(folder))
    code, lines = dict(kernels(text)), []
    for one in found:
        kernel, (registers, spilled) = code[one.kernel], used[one.kernel]
        total = executed(kernel, one) * lengths[one.kernel] / kernel.length
        counts = one.numbers, round(total / one.numbers, 2), one.nbytes, one.train, one.infer
        lines.append(Line(one.kernel, one.layer, registers, spilled, *counts))
    return lines


def main() -> None:
    """Count the kernels as they are now, and write the file and the page."""
    rows = count(variant("paper"))
    now = {str(N): counted(launch.SOURCE, launches(rows, N)) for N in BATCHES}
    gpu_kernels_page.write({**gpu_kernels_page.read(), "now": now})


if __name__ == "__main__":
    main()
