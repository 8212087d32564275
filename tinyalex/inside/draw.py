"""A sheet as a figure of matplotlib."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, assert_never

from tinyalex.inside.sheet import CELL, Arrow, Box, Colour, Dot, Line, Mark, Sheet, Text
from tinyalex.viz.canvas import AMBER, BLUE, GREY, INK, ORANGE, PALE, new_figure

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

MARGIN = 0.15  # inches around the sheet
HEAD = 0.8  # inches above it, for the caption
COLOURS: dict[Colour | None, str] = {
    "ink": INK,
    "grey": GREY,
    "paper": "white",
    "outside": "#eeeeee",
    "pale": PALE,
    "amber": AMBER,
    "blue": BLUE,
    "orange": ORANGE,
    None: "none",
}


def draw(sheet: Sheet) -> Figure:
    """The sheet, below an empty strip of `HEAD` inches."""
    width, height = sheet.columns * CELL + 2 * MARGIN, sheet.rows * CELL + HEAD + MARGIN
    figure = new_figure(width, height)
    box = (MARGIN / width, MARGIN / height, sheet.columns * CELL / width, sheet.rows * CELL / height)
    axes = figure.add_axes(box)
    axes.set_xlim(0, sheet.columns)
    axes.set_ylim(sheet.rows, 0)
    axes.set_axis_off()
    for order, mark in enumerate(sheet.marks):
        _draw(axes, mark, order)
    return figure


def _draw(axes: Axes, mark: Mark, order: int) -> None:
    """Draw one mark over those with a lower `order`."""
    from matplotlib.patches import Circle, Rectangle

    match mark:
        case Box((top, left), rows, columns, fill, edge, width):
            colours: dict[str, Any] = {"facecolor": COLOURS[fill], "edgecolor": COLOURS[edge]}
            axes.add_patch(Rectangle((left, top), columns, rows, fill=bool(fill), lw=width, zorder=order, **colours))
        case Text((row, column), text, size, colour, anchor):
            side = {"start": "left", "middle": "center", "end": "right"}[anchor]
            font: dict[str, Any] = {"fontsize": size, "color": COLOURS[colour], "parse_math": False}
            axes.text(column, row, text, ha=side, va="center", zorder=order, **font)
        case Line(points, colour, width, dotted):
            rows_, columns_ = zip(*points, strict=True)
            axes.plot(columns_, rows_, color=COLOURS[colour], lw=width, ls=":" if dotted else "-", zorder=order)
        case Dot((row, column), radius, colour):
            axes.add_patch(Circle((column, row), radius, color=COLOURS[colour], zorder=order))
        case Arrow(start, end, colour):
            style = {"arrowstyle": "-|>", "lw": 1.6, "shrinkA": 0, "shrinkB": 0, "mutation_scale": 14}
            arrow = {"color": COLOURS[colour], "zorder": order, **style}
            axes.annotate("", xy=end[::-1], xytext=start[::-1], arrowprops=arrow, zorder=order)
        case _:
            assert_never(mark)
