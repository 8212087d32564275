"""Figure 2 of the paper: the net as blocks, from the image to the classes, with the places where its columns meet.

A block is the output of a layer for one image. Its height and depth grow with the size of the maps, its thickness with
their number.
"""

from __future__ import annotations

import math
from itertools import pairwise
from typing import TYPE_CHECKING, assert_never

from tinyalex.count import Row
from tinyalex.errors import UsageError
from tinyalex.spec import Activation, AveragePool, Conv, Drop, Flat, Full, LayerSpec, Norm, Pool, SpatialNorm
from tinyalex.viz.canvas import BLUE, GREY, INK, ORANGE, PALE, new_figure

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

TALLEST, THICKEST = 1.0, 0.34  # the largest block, in the units of the drawing
UNITS_THICK = 0.16  # the thickness of a block of units
SLANT = (0.30, 0.17)  # the back of a block lies this far to the right and up, times its height
STEP, BETWEEN = 1.42, 1.95  # the distance between blocks, and between columns
CLEAR = {"facecolor": "white", "edgecolor": "none", "pad": 1.5}  # a white background, so that no line crosses a text
FACES = ("#e9eff5", PALE, "#b3c5d6")  # top, front, side


def architecture(rows: list[Row]) -> Figure:
    """Draw the layers with weights, in one column or two.

    rows: the layers of the net, from `net.rows` or `tinyalex.count.count`. Blue lines stay in their column, orange
    ones cross to the other. Raises UsageError for a net of more than two columns.
    """
    columns = max(row.groups for row in rows)
    if columns > 2:
        raise UsageError(f"got a net in {columns} columns: expected 1 or 2")
    weighted = [row for row in rows if row.kernel]
    figure = new_figure(STEP * (len(weighted) + 0.6), BETWEEN * columns + 0.4)
    axes = figure.add_axes((0, 0, 1, 1))
    axes.set_axis_off()
    axes.set_aspect("equal")
    middle = BETWEEN * (columns - 1) / 2
    axes.set_xlim(-0.4, STEP * (len(weighted) + 0.4))
    axes.set_ylim(-0.85, 2 * middle + 1.2)

    side = rows[0].in_shape[1]
    before = [_block(axes, 0.0, middle, rows[0].in_shape, side)]
    _name(axes, 0.0, 2 * middle, "image", "")
    for number, row in enumerate(weighted, start=1):
        last = row is weighted[-1]
        shape = row.out_shape if last else (row.out_shape[0] // columns, *row.out_shape[1:])
        at = [middle] if last else [BETWEEN * column for column in reversed(range(columns))]
        here = [_block(axes, STEP * number, y, shape, side) for y in at]
        _lines(axes, before, here, row.reads_both)
        _name(axes, STEP * number, 2 * middle, row.name, _label(row.layer))
        before = here
    for number, (one, two) in enumerate(pairwise(weighted), start=1):
        between = rows[rows.index(one) + 1 : rows.index(two)]
        labels = ", ".join(filter(None, (_label(row.layer) for row in between)))
        axes.text(STEP * (number + 0.62), 2 * middle + 0.06, labels, color=GREY, size=9, ha="center")
    return figure


def _size(shape: tuple[int, ...], side: int) -> tuple[float, float]:
    """The thickness and height of a block for an output of `shape`; the image of the net has `side` pixels a row."""
    if len(shape) == 1:
        return UNITS_THICK, TALLEST * min(1.0, 0.28 * math.log10(shape[0]))
    return THICKEST * math.sqrt(shape[0] / 256), TALLEST * (shape[1] / side) ** 0.4


def _block(axes: Axes, x: float, y: float, shape: tuple[int, ...], side: int) -> tuple[float, float, float]:
    """Draw one block, the middle of its front at height y; returns its left edge, its right edge, and y."""
    from matplotlib.patches import Polygon

    thick, high = _size(shape, side)
    back = (0.05, 0.03) if len(shape) == 1 else (SLANT[0] * high, SLANT[1] * high)
    low, top, right = y - high / 2, y + high / 2, x + thick
    faces = (
        [(x, top), (x + back[0], top + back[1]), (right + back[0], top + back[1]), (right, top)],
        [(x, low), (x, top), (right, top), (right, low)],
        [(right, low), (right, top), (right + back[0], top + back[1]), (right + back[0], low + back[1])],
    )
    for points, colour in zip(faces, FACES, strict=True):
        axes.add_patch(Polygon(points, facecolor=colour, edgecolor=INK, linewidth=0.7, zorder=2))
    size = f"{shape[0]:,}" if len(shape) == 1 else f"{shape[0]} × {shape[1]} × {shape[2]}"
    axes.text(
        x + (thick + back[0]) / 2, low - 0.1, size, color=INK, size=9, ha="center", va="top", zorder=3, bbox=CLEAR
    )
    return x, right + back[0], y


def _lines(
    axes: Axes, before: list[tuple[float, float, float]], here: list[tuple[float, float, float]], crosses: bool
) -> None:
    """Draw the lines from the blocks `before` to the blocks `here`: within each column, and if `crosses` across."""
    for i, (_, x, y) in enumerate(before):
        for j, (to_x, _, to_y) in enumerate(here):
            straight = i == j and len(before) == len(here)
            if not (straight or crosses or len(before) == 1):
                continue
            colour = ORANGE if crosses and not straight else BLUE
            arrow = {"arrowstyle": "-|>", "color": colour, "linewidth": 1.1, "shrinkA": 0, "shrinkB": 0}
            axes.annotate("", (to_x - 0.03, to_y), (x + 0.03, y), arrowprops=arrow, zorder=1)


def _name(axes: Axes, x: float, top: float, name: str, label: str) -> None:
    """Write the name of a layer above its blocks, and its label below the name."""
    axes.text(x, top + 1.0, name, color=INK, size=11, weight="bold", va="center")
    axes.text(x, top + 0.78, label, color=GREY, size=9, va="center")


def _label(layer: LayerSpec) -> str:
    """A few words about a layer: the window of its kernels, or the operation between two blocks; else nothing."""
    match layer:
        case Conv() as conv:
            return f"{conv.size} × {conv.size}" + (f", stride {conv.stride}" if conv.stride > 1 else "")
        case Full():
            return "full"
        case Norm():
            return "norm"
        case Pool():
            return "pool"
        case AveragePool():
            return "mean pool"
        case SpatialNorm() | Activation() | Drop() | Flat():
            return ""
        case _:
            assert_never(layer)
