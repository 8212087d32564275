"""Receptive fields: the pixels of the image that a cell of a layer depends on (section 3.5).

The outputs first ... last of a window depend on the inputs first * stride - pad ... last * stride - pad + kernel - 1,
along each axis. We apply this layer by layer, from the cell back to the image. At each layer we cut the range off at
the edges of the input, since padding depends on nothing.
"""

from collections.abc import Sequence
from typing import NamedTuple

from tinyalex.count import Row
from tinyalex.errors import ShapeError, UsageError
from tinyalex.window import Pair, Window

Span = tuple[int, int]  # the first index, and the one after the last


class Box(NamedTuple):
    """Rows top ... bottom - 1 and columns left ... right - 1."""

    top: int
    left: int
    bottom: int
    right: int


def seen(window: Window, axis: int, outputs: Span, size: int) -> Span:
    """The span of input cells that the window covers at the positions `outputs`; the input has `size` cells."""
    kernel, stride, pad = window.kernel[axis], window.stride[axis], window.pad[axis]
    first = max(0, outputs[0] * stride - pad)
    end = min(size, (outputs[1] - 1) * stride - pad + kernel)
    return (first, end) if first < end else (0, 0)


def receptive_field(rows: Sequence[Row], name: str, cell: Pair | None = None) -> Box:
    """The box of pixels that a cell of the layer `name` depends on.

    rows: the layers of the net, from `net.rows` or `tinyalex.count.count`.   cell: (row, column) of the layer's output.
    None means all cells; use it for fully connected layers, where each unit depends on all cells of the last maps.
    The cell depends on every pixel of the box, unless a stride on the way is larger than its kernel.
    Raises UsageError for a name that the net does not have, ShapeError for a cell outside the maps.
    """
    names = [row.name for row in rows]
    if name not in names:
        raise UsageError(f"got layer {name!r}: expected one of {', '.join(names)}")
    path = rows[: names.index(name) + 1]
    maps = next(row for row in reversed(path) if len(row.out_shape) == 3)
    spans: list[Span] = [(0, size) for size in maps.out_shape[1:]]
    if cell is not None:
        if len(path[-1].out_shape) != 3:
            raise ShapeError(f"got cell={cell}: expected None, as {name} has units and no maps; leave the cell out")
        if not all(0 <= place < size for place, size in zip(cell, maps.out_shape[1:], strict=True)):
            raise ShapeError(f"got cell={cell}: expected (row, column) inside the maps of {name}, {maps.out_shape[1:]}")
        spans = [(place, place + 1) for place in cell]
    for row in reversed(path):
        if row.window is not None:
            spans = [seen(row.window, axis, spans[axis], row.in_shape[1 + axis]) for axis in (0, 1)]
    (top, bottom), (left, right) = spans
    return Box(top, left, bottom, right)
