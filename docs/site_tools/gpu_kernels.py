"""What the kernels for GPUs cost, told without a GPU: registers, instructions for each number, and expected times.

    cd docs; python -m site_tools.gpu_kernels [kernels.cu] [--batch 512] [--json FILE]

Needs nvcc, ptxas and nvdisasm, on the PATH or from the wheels nvidia-cuda-nvcc and nvidia-cuda-nvdisasm. The kernels
are compiled for sm_90 (H100, H200) with CuPy's options. Executed instructions are counted in PTX, for the launches of
the paper's net, and multiplied by the ratio of the disassembly's length to PTX's.

The expected time of a launch is the longer of two: that of its instructions, and that of its bytes.
"""

import argparse
import json
import re
import shutil
import subprocess
import sys
import tempfile
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from site_tools.ptx import Kernel, kernels
from tinyalex.backend.gpu import launch, memory, patches, sums, twins
from tinyalex.count import Row, conv_window, count
from tinyalex.spec import Conv, Norm, Pool, variant
from tinyalex.window import Window, pair

PER_SECOND = 132 * 128 * 1.755e9  # instructions of single threads on an H100: 132 processors, 4 warps a cycle each
BYTES_PER_SECOND = 3.0e12  # of an H100's memory, as a copy reaches it


@dataclass
class Launch:
    """A launch of the net: `numbers` are those it computes, `nbytes` those it reads and writes."""

    kernel: str
    layer: str
    grid: tuple[int, ...]
    block: tuple[int, ...]
    arguments: list[float]
    numbers: int
    nbytes: int


@dataclass
class Line:
    """A line of the table; times in milliseconds."""

    kernel: str
    layer: str
    registers: int
    spilled: int
    instructions: float
    compute_ms: float
    memory_ms: float

    @property
    def ms(self) -> float:
        """The expected time."""
        return max(self.compute_ms, self.memory_ms)


# ---------------------------------------------------------------- the launches of the paper's net


def launches(rows: list[Row], N: int) -> list[Launch]:
    """One of each kernel and layer, for all N images. Pointers are 0, as the count does not depend on them."""
    found: list[Launch] = []
    for row in rows:
        match row.layer:
            case Conv():
                found += _of_convolution(row, N)
            case Pool():
                found += _of_pool(row, N)
            case Norm():
                found += _of_norm(row, N)
            case _:
                pass
    return found


def _of_convolution(row: Row, N: int) -> list[Launch]:
    assert isinstance(row.layer, Conv)
    window, groups, (C, H, W), (OC, OH, OW) = conv_window(row.layer), row.groups, row.in_shape, row.out_shape
    CG = C // groups
    length = memory.row_length(window, CG)
    sizes = [length, CG, *_ints(launch.geometry(H, W, C, window))]
    entries, x, y = N * OH * OW * length * groups, N * H * W * C, N * OH * OW * OC
    threads = patches.threads_of_a_row(length, CG)
    gather = launch.block_of(C if CG % launch.LANES else launch.lanes(C))
    bias, summed = launch.block_of(launch.lanes(OC)), launch.block_of(OC)
    grid = min(launch.BLOCKS, -(-N * OH * OW // bias[1]))
    parts = sums.PARTS
    return [
        Launch("im2col", row.name, (N * OH, groups), (threads,), [0, 0, *sizes], entries, 4 * (entries + x)),
        Launch("col2im", row.name, (N * H,), gather, [0, 0, *sizes], x, 4 * (entries + x)),
        Launch("add_bias", row.name, (grid,), bias, [0, 0, N * OH * OW, OC, 1], y, 8 * y),
        Launch("sum_of_rows", row.name, (-(-parts // summed[1]),), summed, [0, 0, N * OH * OW, parts, OC], y, 4 * y),
        *_number_by_number(row, y),
    ]


def _of_pool(row: Row, N: int) -> list[Launch]:
    assert isinstance(row.layer, Pool)
    (C, H, W), (_, OH, OW) = row.in_shape, row.out_shape
    window = Window(pair(row.layer.size), pair(row.layer.stride), (0, 0), False)
    block, sizes = launch.block_of(launch.lanes(C)), _ints(launch.geometry(H, W, C, window))
    x, y = N * H * W * C, N * OH * OW * C
    return [
        Launch("max_pool_forward", row.name, (N * OH,), block, [0, 0, 0, *sizes], y, 4 * x + 5 * y),
        Launch("max_pool_backward", row.name, (N * H,), block, [0, 0, 0, *sizes], x, 4 * x + 5 * y),
    ]


def _of_norm(row: Row, N: int) -> list[Launch]:
    assert isinstance(row.layer, Norm)
    (C, H, W), size = row.in_shape, row.layer.size
    settings = row.layer.alpha, row.layer.beta, row.layer.k
    x = N * H * W * C
    CG = C // row.groups
    block = launch.block_of(CG)
    found = []
    for name, arrays in (("lrn_forward", 2), ("lrn_backward", 3)):
        most, _ = twins.runs_at_once(name, CG, size, 4)
        arguments = [*[0] * arrays, x // CG, most, CG, size, *settings]
        found.append(Launch(name, row.name, (-(-x // CG // most),), block, arguments, x, 4 * arrays * x))
    return found


def _number_by_number(row: Row, y: int) -> list[Launch]:
    grid, block = (min(launch.BLOCKS, -(-y // launch.THREADS)),), (launch.THREADS,)
    return [Launch("relu_backward", row.name, grid, block, [0, 0, 0, y], y, 12 * y)]


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
    raise SystemExit(f"gpu_kernels: {name} not found: pip install nvidia-cuda-nvcc nvidia-cuda-nvdisasm")


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
        raise SystemExit(f"gpu_kernels: {command[0]}: {done.stderr}")
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


def table(source: Path, found: list[Launch]) -> list[Line]:
    """A line for each launch."""
    with tempfile.TemporaryDirectory() as folder:
        text, used, lengths = compiled(source, Path(folder))
    code, lines = dict(kernels(text)), []
    for one in found:
        kernel, (registers, spilled) = code[one.kernel], used[one.kernel]
        total = executed(kernel, one) * lengths[one.kernel] / kernel.length
        times = 1e3 * total / PER_SECOND, 1e3 * one.nbytes / BYTES_PER_SECOND
        lines.append(Line(one.kernel, one.layer, registers, spilled, total / one.numbers, *times))
    return lines


def main() -> None:
    """The table in Markdown, on stdout."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("source", nargs="?", type=Path, default=launch.SOURCE)
    parser.add_argument("--batch", type=int, default=512)
    parser.add_argument("--json", type=Path)
    given = parser.parse_args()
    lines = table(given.source, launches(count(variant("paper")), given.batch))
    print("| kernel | layer | registers | spilled | instructions a number | their ms | ms of bytes | expected ms |")
    print("|---|---|---|---|---|---|---|---|")
    for line in lines:
        print(
            f"| {line.kernel} | {line.layer} | {line.registers} | {line.spilled} | {line.instructions:.1f} "
            f"| {line.compute_ms:.3f} | {line.memory_ms:.3f} | {line.ms:.3f} |"
        )
    if given.json:
        given.json.write_text(json.dumps([asdict(line) | {"ms": line.ms} for line in lines], indent=1))


if __name__ == "__main__":
    main()
