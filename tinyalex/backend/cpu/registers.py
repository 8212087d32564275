"""A matrix product whose sums stay in registers: the innermost part of a convolution, above all of a few images.

BLAS first copies both factors into an order that suits it, which pays for a large product. One image has few rows. Here
its rows are read where they lie, even from the padded image itself. The kernels are laid out a panel at a time, in
cache: 32 columns of float32 (two vectors), transposed and, for Winograd's algorithm, transformed.

A block is R rows of the product by one panel. Its 2*R sums fill the registers of a core. Each step reads two vectors of
kernels and R numbers, and makes 2*R vector multiply-adds, as many as a core can in that time: 107 to 115 GFLOP/s of a
core with AVX-512, where BLAS reached 75. Loops of Numba keep such sums in memory, so the block is written in
instructions of LLVM, the compiler below Numba.
"""

from typing import Any, NamedTuple

import llvmlite.binding
import numpy as np
from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.core.extending import intrinsic
from numba.np.arrayobj import make_array
from numpy.typing import NDArray

from tinyalex.backend.cpu.compiled import Floats, compiled
from tinyalex.window import Pair

VECTORS = 2  # the width of a panel
AT_ONCE = 160  # kernel cells that are transposed at a time, of all columns of a panel: 20 KB
_FEATURES = llvmlite.binding.get_host_cpu_features()
_AVX512 = _FEATURES.get("avx512f", False)
_ARM = llvmlite.binding.get_process_triple().startswith(("aarch64", "arm64"))
VECTOR_BYTES = 64 if _AVX512 else 32 if _FEATURES.get("avx") else 16
REGISTERS = 32 if _AVX512 or _ARM else 16
ROWS = (14, 9, 4, 1) if REGISTERS == 32 else (6, 4, 1)  # heights R of a block; two more registers hold the kernels


def panel_width(dtype: np.dtype[Any]) -> int:
    """The number of columns in a panel."""
    return VECTORS * VECTOR_BYTES // dtype.itemsize


def block_rows(count: int) -> tuple[int, ...]:
    """The rows (0, ..., R - 1) of the block that covers `count` rows with the least work; the last block may overlap.

    A tuple, because its length is a part of its type: the compiler needs R.
    """
    heights = [height for height in ROWS if height <= count]
    return tuple(range(min(heights, key=lambda height: -(-count // height) * (height + 1))))


def _generated_block(_, rows, a, starts, row, shift, steps, kernels, panel, out, at, out_step):
    """out[at + r*out_step ...] (width) = sum over k of the number k of row r times kernels[panel + k*width ...].

    Row r begins at a[starts[row + r] + shift]. It has outer x inner runs of `run` numbers that lie side by side; steps:
    (outer, from one outer run to the next, inner, from one inner run to the next, run, kernels from run to run).
    """
    signature = types.void(rows, a, starts, row, shift, steps, kernels, panel, out, at, out_step)

    def generate(context, builder, _, values):
        def memory(place):
            return make_array(signature.args[place])(context, builder, values[place]).data

        def first_number(r):
            start = builder.load(builder.gep(memory(2), [_plus(builder, values[3], r)]))
            return builder.gep(memory(1), [builder.add(start, values[4])])

        sums = _Sums(builder, a.dtype, rows.count)
        firsts = [first_number(r) for r in range(rows.count)]
        sums.add_all(firsts, cgutils.unpack_tuple(builder, values[5], 6), builder.gep(memory(6), [values[7]]))
        sums.store(builder.gep(memory(8), [values[9]]), values[10])
        return context.get_dummy_value()

    return signature, generate


_block: Any = intrinsic(_generated_block)  # how the loops below call it: without the first argument


class _Sums:
    """R x VECTORS sums in registers, and the instructions that add to them."""

    def __init__(self, builder: Any, dtype: Any, R: int) -> None:
        self.builder, self.lanes = builder, VECTOR_BYTES * 8 // dtype.bitwidth
        number = ir.FloatType() if dtype.bitwidth == 32 else ir.DoubleType()
        self.vector = ir.VectorType(number, self.lanes)
        zero = ir.Constant(self.vector, [0.0] * self.lanes)
        self.sums = [[cgutils.alloca_once_value(builder, zero) for _ in range(VECTORS)] for _ in range(R)]
        name = f"llvm.fma.v{self.lanes}f{dtype.bitwidth}"
        kind = ir.FunctionType(self.vector, [self.vector] * 3)
        self.multiply_add = cgutils.get_or_insert_function(builder.module, kind, name)

    def add_all(self, firsts: list[Any], steps: list[Any], kernels: Any) -> None:
        """Add the products of all numbers of the rows that begin at `firsts`."""
        builder, width = self.builder, VECTORS * self.lanes
        outer, outer_step, inner, inner_step, run, kernel_step = steps
        with cgutils.for_range(builder, outer) as i, cgutils.for_range(builder, inner) as j:
            at = builder.add(builder.mul(i.index, outer_step), builder.mul(j.index, inner_step))
            done = builder.mul(builder.add(builder.mul(i.index, inner), j.index), kernel_step)
            with cgutils.for_range(builder, run) as k:
                begin = builder.mul(builder.add(done, k.index), ir.Constant(done.type, width))
                vectors = [self._load(kernels, _plus(builder, begin, v * self.lanes)) for v in range(VECTORS)]
                place = builder.add(at, k.index)
                for first, sums in zip(firsts, self.sums, strict=True):
                    self._add(builder.load(builder.gep(first, [place])), vectors, sums)

    def _add(self, number: Any, vectors: list[Any], sums: list[Any]) -> None:
        """Add number * vector to each sum."""
        undefined = ir.Constant(self.vector, ir.Undefined)
        lane = ir.IntType(32)
        single = self.builder.insert_element(undefined, number, ir.Constant(lane, 0))
        everywhere = ir.Constant(ir.VectorType(lane, self.lanes), [0] * self.lanes)
        copies = self.builder.shuffle_vector(single, undefined, everywhere)
        for vector, place in zip(vectors, sums, strict=True):
            self.builder.store(self.builder.call(self.multiply_add, [copies, vector, self.builder.load(place)]), place)

    def _load(self, memory, at):
        vector = self.builder.load(self._place(memory, at))
        vector.align = 4
        return vector

    def _place(self, memory, at):
        return self.builder.bitcast(self.builder.gep(memory, [at]), self.vector.as_pointer())

    def store(self, out: Any, step: Any) -> None:
        """Write the sums to R places of `out`, a step apart."""
        for r, row in enumerate(self.sums):
            begin = self.builder.mul(step, ir.Constant(step.type, r))
            for v, place in enumerate(row):
                at = _plus(self.builder, begin, v * self.lanes)
                self.builder.store(self.builder.load(place), self._place(out, at)).align = 4


def _plus(builder, value, constant):
    return builder.add(value, ir.Constant(value.type, constant))


def _finish_block(sums, b, relu, y, top, left):
    """y[top + r, left + c] = sums[r, c] + b[c], with `relu` max(0, that); NaN stays NaN. sums may have more columns."""
    zero = y.dtype.type(0)
    for r in range(len(sums)):
        row, into = sums[r], y[top + r, left : left + len(b)]
        for c in range(len(b)):
            total = row[c] + b[c]
            into[c] = zero if relu and total < 0 else total


_finish_block_compiled = compiled(_finish_block)


def _transpose(w, first, last, cell_step, channel_step, out):
    """out[c*channel_step + i*cell_step + column] = w[column, first + c, i]: w (columns, C, cells), some channels."""
    columns, _, cells = w.shape
    for column in range(columns):
        for channel in range(first, last):
            run, at = w[column, channel], (channel - first) * channel_step + column
            for cell in range(cells):
                out[at + cell * cell_step] = run[cell]


_transpose_compiled = compiled(_transpose)


def _lay_out(rows, w, G, cell_starts, some, panel):
    """Fill panel (cells, C or more, width) with w (columns, C, cells); or (P, C or more, width) with G times each w.

    some: memory for the cells of some channels, which fits the first-level cache. Only as many are read at a time.
    """
    step, width = panel.shape[1:]
    _, C, cells = w.shape
    R, flat, flat_G, at_once = len(rows), panel.reshape(-1), G.reshape(-1), len(some) // (cells * width)
    for begin in range(0, C, at_once):
        end = min(C, begin + at_once)
        if len(G) == 0:
            _transpose_compiled(w, begin, end, step * width, width, flat[begin * width :])
            continue
        _transpose_compiled(w, begin, end, width, cells * width, some)
        for channel in range(begin, end):
            here = (channel - begin) * cells * width
            for t in range(0, len(G), R):
                top = min(t, len(G) - R)
                there = (top * step + channel) * width
                _block(rows, flat_G, cell_starts, top, 0, (1, 0, 1, 0, cells, 0), some, here, flat, there, step * width)


_lay_out_compiled = compiled(_lay_out)


def _product(
    rows, a, starts, plane, group, steps, w, groups, G, cell_starts, room, width, b, relu, y, left, first, last
):
    """Fill the columns of the panels first ... last - 1 of y (P, T or more, columns): rows times kernels, + b, ReLU.

    Row t of plane p and group g begins at a[p*plane + starts[t] + g*group]; steps: its runs, see _block.
    w (OC, C/G, cells), G, room: see Kernels; b and ReLU only without G. y begins at column `left` of the product.
    """
    OC, _, cells = w.shape
    OCG, P, T, R = OC // groups, len(y), len(starts), len(rows)
    count = -(-OCG // width)
    some, sums = np.empty(max(cells, AT_ONCE) * width, y.dtype), np.empty((R, width), y.dtype)
    panel = np.empty((max(len(G), cells), room, width), y.dtype)
    flat, flat_y, line = panel.reshape(-1), y.reshape(-1), y.shape[2]
    for number in range(first, last):
        g, q = number // count, number % count
        column, columns = g * OCG + q * width, min(width, OCG - q * width)
        _lay_out_compiled(rows, w[column : column + columns], G, cell_starts, some, panel)
        for p in range(P):
            at, kernels = p * plane + g * group, p * panel.shape[1] * width
            for t in range(0, T, R):
                top = min(t, T - R)  # the last block ends with the last row
                if len(G) and columns == width:
                    into = (p * y.shape[1] + top) * line + column - left
                    _block(rows, a, starts, top, at, steps, flat, kernels, flat_y, into, line)
                else:
                    _block(rows, a, starts, top, at, steps, flat, kernels, sums, 0, width)
                    _finish_block_compiled(sums, b[column : column + columns], relu, y[p], top, column - left)


_product_compiled = compiled(_product)


class Kernels(NamedTuple):
    """w (OC, C/G, cells), contiguous; G (P, cells) transforms the cells to the values at P points, or is (0, cells)."""

    w: Floats
    groups: int
    G: Floats

    @property
    def panels(self) -> int:
        """How many panels there are, those of each group apart."""
        return self.groups * -(-len(self.w) // self.groups // panel_width(self.w.dtype))

    @property
    def room(self) -> int:
        """The channels that a panel has room for: if they were a power of two, all cells would share a set of cache."""
        C: int = self.w.shape[1]
        return C if C < 16 else C | 1

    def column(self, panel: int) -> int:
        """The first column that the panel makes; after the last panel OC."""
        in_group, columns = self.panels // self.groups, len(self.w) // self.groups
        return panel // in_group * columns + panel % in_group * panel_width(self.w.dtype)


def product(
    a: Floats,
    starts: NDArray[np.int64],
    strides: Pair,
    steps: tuple[int, int, int, int, int, int],
    kernels: Kernels,
    b: Floats,
    relu: bool,
    y: Floats,
    left: int,
    first: int,
    last: int,
) -> None:
    """Fill y (P, T or more, columns) with the panels first ... last - 1 of the products of P planes, + b, and ReLU.

    a: all numbers; row t of plane p and group g begins at p*strides[0] + starts[t] + g*strides[1]; a row has
    outer x inner runs of `run` numbers, steps = (outer, outer_step, inner, inner_step, run, kernels from run to run).
    b (OC,).   The first column of y is column `left` of the product.
    Cost: P*T*K*OC multiply-adds. The kernels are read once; a panel stays in cache for all its blocks.
    """
    rows, width = block_rows(len(starts)), panel_width(kernels.w.dtype)
    cell_starts = np.arange(len(kernels.G)) * kernels.G.shape[1]
    _product_compiled(
        rows,
        a.reshape(-1),
        starts,
        *strides,
        steps,
        *kernels,
        cell_starts,
        kernels.room,
        width,
        b,
        relu,
        y,
        left,
        first,
        last,
    )


def place(sums: Floats, b: Floats, relu: bool, y: Floats, left: int) -> None:
    """Fill the columns of y (rows, OC) from `left` on with sums (rows, columns) + b; with `relu` max(0, that)."""
    _finish_block_compiled(sums, b[left : left + sums.shape[1]], relu, y, 0, left)


# ---------------------------------------------------------------- for batches: kernels that are laid out already


def _multiply(rows, a, starts, kernels, y):
    """Fill y (P, T or more, OC) with a (P, T or more, C) times kernels (P, panels, C/G, width); T = len(starts)."""
    P, panels, K, width = kernels.shape
    line, T, R = y.shape[2], len(starts), len(rows)
    count = panels * K // a.shape[2]  # panels of a group
    flat_a, flat, flat_y = a.reshape(-1), kernels.reshape(-1), y.reshape(-1)
    for p in range(P):
        for panel in range(panels):
            at, kernel = p * a.shape[1] * a.shape[2] + panel // count * K, (p * panels + panel) * K * width
            for t in range(0, T, R):
                top = min(t, T - R)  # the last block ends with the last row
                into = (p * y.shape[1] + top) * line + panel * width
                _block(rows, flat_a, starts, top, at, (1, 0, 1, 0, K, 0), flat, kernel, flat_y, into, line)


_multiply_compiled = compiled(_multiply)


def multiply(a: Floats, kernels: Floats, y: Floats, rows: int) -> None:
    """The first `rows` rows of y (P, rows or more, OC) = those of a (P, rows or more, C) times the kernels, by groups.

    kernels (P, OC/width, C/G, width): the panels of each plane, those of a group after one another; all contiguous.
    Cost: P*rows*OC*C/G multiply-adds. A panel is in the second-level cache while all rows of a plane use it.
    """
    _multiply_compiled(block_rows(rows), a, np.arange(rows) * a.shape[2], kernels, y)


# ---------------------------------------------------------------- for the gradient of the kernels


def _copy_panel(numbers, panel):
    """Fill the first rows and columns of panel (K or more, width) with numbers (K, columns)."""
    for k in range(len(numbers)):
        line, into = numbers[k], panel[k]
        for c in range(len(line)):
            into[c] = line[c]


_copy_panel_compiled = compiled(_copy_panel)


def _correlate(rows, a, starts, plane, band, steps, b, width, sums):
    """sums[t, c] += the sum over all planes p and numbers k of the number k of row t times b[p, k, c].

    Row t of plane p begins at a[p*plane + starts[t]]; steps: its runs, see _block; `band` outer runs at a time.
    b (P, K, columns), K = outer * inner * run; sums (T, columns).
    """
    outer, outer_step, inner, inner_step, run, kernel_step = steps
    T, R, columns, line = len(starts), len(rows), b.shape[2], inner * run
    panel, block = np.zeros((band * line, width), b.dtype), np.empty((R, width), b.dtype)
    flat, flat_block = panel.reshape(-1), block.reshape(-1)
    for p in range(len(b)):
        for begin in range(0, outer, band):
            end, at = min(outer, begin + band), p * plane + begin * outer_step
            runs = (end - begin, outer_step, inner, inner_step, run, kernel_step)
            for left in range(0, columns, width):
                right = min(columns, left + width)
                _copy_panel_compiled(b[p, begin * line : end * line, left:right], panel)
                for t in range(0, T, R):
                    top = min(t, T - R)  # the last block ends with the last row, and begins with some that are done
                    _block(rows, a, starts, top, at, runs, flat, 0, flat_block, 0, width)
                    for r in range(t - top, R):
                        for c in range(right - left):
                            sums[top + r, left + c] += block[r, c]


_correlate_compiled = compiled(_correlate)


def correlate(
    a: Floats, starts: NDArray[np.int64], plane: int, band: int, steps: tuple[int, ...], b: Floats, sums: Floats
) -> None:
    """Add to sums (T, columns), for each plane, its T rows of K numbers times its matrix: b (P, K, columns).

    Row t of plane p begins at p*plane + starts[t] of all numbers of `a`; steps: its runs, as for `product`.
    band: how many outer runs are summed at a time, so that their part of b stays in cache.
    Cost: P*T*K*columns multiply-adds. b is read once from memory.
    """
    rows, width = block_rows(len(starts)), panel_width(b.dtype)
    _correlate_compiled(rows, a.reshape(-1), starts, plane, band, steps, b, width, sums)
