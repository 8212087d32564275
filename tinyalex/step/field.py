"""Receptive fields: which pixels of the image a cell of a layer depends on, from the windows on the way (section 3.5).

Along each axis a window that slides by `stride` over an input with `pad` cells around it sees, for the outputs
first ... last, the inputs first * stride - pad ... last * stride - pad + kernel - 1. Applied layer by layer from the
cell down to the image, and cut off at each input's edges (padding depends on nothing), this gives its pixels.
"""

from collections.abc import Sequence
from typing import NamedTuple

from tinyalex.count import Row, conv_window, pool_window
from tinyalex.errors import ShapeError, UsageError
from tinyalex.spec import Conv, Pool, SpatialNorm
from tinyalex.window import Pair, Window, pair

Span = tuple[int, int]  # the first index, and the one after the last


class Box(NamedTuple):
    """Rows top ... bottom - 1 and columns left ... right - 1."""

    top: int
    left: int
    bottom: int
    right: int


def window_of(row: Row) -> Window | None:
    """The window that a layer slides over its input; None for one that looks at a cell at a time."""
    match row.layer:
        case Conv() as conv:
            return conv_window(conv)
        case Pool() as pool:
            return pool_window(pool)
        case SpatialNorm() as norm:
            return Window(pair(norm.size), (1, 1), pair(norm.size // 2), False)
        case _:
            return None


def seen(window: Window, axis: int, outputs: Span, size: int) -> Span:
    """The cells, of an input of `size` along `axis`, that the window sees at the positions `outputs`."""
    kernel, stride, pad = window.kernel[axis], window.stride[axis], window.pad[axis]
    first = max(0, outputs[0] * stride - pad)
    end = min(size, (outputs[1] - 1) * stride - pad + kernel)
    return (first, end) if first < end else (0, 0)


def receptive_field(rows: Sequence[Row], name: str, cell: Pair | None = None) -> Box:
    """The pixels of the image that the output cell (row, column) of the layer `name` depends on.

    rows: of `tinyalex.count.count`, or `net.rows`.   cell None: all cells at once; a unit of a fully connected layer
    depends on all cells of the last maps. The box is exact where no stride exceeds its kernel; else it has gaps.
    Raises UsageError for a layer that the net does not have, ShapeError for a cell outside its maps.
    """
    names = [row.name for row in rows]
    if name not in names:
        raise UsageError(f"no layer is called {name!r}: expected one of {', '.join(names)}")
    path = rows[: names.index(name) + 1]
    maps = next(row for row in reversed(path) if len(row.out_shape) == 3)
    spans: list[Span] = [(0, size) for size in maps.out_shape[1:]]
    if cell is not None:
        if len(path[-1].out_shape) != 3:
            raise ShapeError(f"{name} has units, no maps: leave the cell out")
        if not all(0 <= place < size for place, size in zip(cell, maps.out_shape[1:], strict=True)):
            raise ShapeError(f"cell {cell} lies outside the maps of {name}: expected (row, column) below {spans}")
        spans = [(place, place + 1) for place in cell]
    for row in reversed(path):
        window = window_of(row)
        if window is not None:
            spans = [seen(window, axis, spans[axis], row.in_shape[1 + axis]) for axis in (0, 1)]
    (top, bottom), (left, right) = spans
    return Box(top, left, bottom, right)
