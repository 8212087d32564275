"""A page with grids of numbers, on which most of the steppers draw."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from tinyalex.inside.stepper import HEAD, MARGIN
from tinyalex.viz.canvas import GREY, INK, new_figure

if TYPE_CHECKING:
    from matplotlib.figure import Figure

CELL = 0.36  # inches, the side of a cell
NARROWEST = 18.0  # cells; a page is at least so wide, for the caption
TOP = 1.5  # cells above a grid for its title and indices
FONT = 8.5  # points
OUTSIDE = "#eeeeee"  # the colour of cells outside the image

Cell = tuple[float, float]  # (row, column) of a cell on the page
Fill = tuple[NDArray[np.bool_], str]  # some cells of a grid, and their colour


class Sheet:
    """An empty page of rows x columns cells. Positions are (row, column), counted from the upper left corner."""

    def __init__(self, rows: float, columns: float) -> None:
        columns = max(columns, NARROWEST)
        width, height = columns * CELL + 2 * MARGIN, rows * CELL + HEAD + MARGIN
        self.figure: Figure = new_figure(width, height)
        box = (MARGIN / width, MARGIN / height, columns * CELL / width, rows * CELL / height)
        self.axes = self.figure.add_axes(box)
        self.axes.set_xlim(0, columns)
        self.axes.set_ylim(rows, 0)
        self.axes.set_axis_off()

    def grid(
        self,
        at: Cell,
        values: NDArray[Any],
        title: str,
        *,
        fills: Sequence[Fill] = (),
        known: NDArray[np.bool_] | None = None,
        first: tuple[int, int] = (0, 0),
    ) -> None:
        """Draw a grid of values (rows, columns), its upper left cell at `at`, with a title and with indices.

        fills: the colours of cells; a later one covers an earlier one.   known: the cells with numbers; None means all.
        first: the indices of the upper left cell, such as (-1, -1) for an image with a pad of 1.
        """
        top, left = at
        rows, columns = values.shape
        self.text((top - 1.1, left), title)
        self.cells(at, values, fills=fills, known=known)
        for column in range(columns):
            self._middle((top - 0.35, left + column + 0.5), str(first[1] + column), 6.5, GREY)
        for row in range(rows):
            self._middle((top + row + 0.5, left - 0.4), str(first[0] + row), 6.5, GREY)

    def cells(
        self,
        at: Cell,
        values: NDArray[Any],
        *,
        fills: Sequence[Fill] = (),
        known: NDArray[np.bool_] | None = None,
    ) -> None:
        """Draw a grid as `grid` does, but without title and indices."""
        from matplotlib.patches import Rectangle

        top, left = at
        for row, column in np.ndindex(*values.shape):
            colour = "white"
            for mask, fill in fills:
                colour = fill if mask[row, column] else colour
            self.axes.add_patch(Rectangle((left + column, top + row), 1, 1, facecolor=colour, edgecolor=GREY, lw=0.6))
            if known is None or known[row, column]:
                text = short(values[row, column])
                size = FONT * min(1.0, 4.3 / len(text))
                self._middle((top + row + 0.5, left + column + 0.5), text, size, INK)

    def frame(self, at: Cell, rows: float, columns: float, colour: str) -> None:
        """Draw a thick line around rows x columns cells."""
        from matplotlib.patches import Rectangle

        box = Rectangle((at[1], at[0]), columns, rows, fill=False, edgecolor=colour, lw=2.2, zorder=3)
        self.axes.add_patch(box)

    def arrow(self, start: Cell, end: Cell, colour: str) -> None:
        """Draw an arrow from one position to another."""
        style = {"arrowstyle": "-|>", "color": colour, "lw": 1.6, "shrinkA": 0, "shrinkB": 0, "mutation_scale": 14}
        self.axes.annotate("", xy=end[::-1], xytext=start[::-1], arrowprops=style, zorder=4)

    def text(self, at: Cell, text: str, *, colour: str = INK, middle: bool = False) -> None:
        """Write a line of text that starts at `at`; with `middle` it is centred there."""
        self.axes.text(
            at[1],
            at[0],
            text,
            ha="center" if middle else "left",
            va="center",
            fontsize=9,
            color=colour,
            parse_math=False,
        )

    def _middle(self, at: Cell, text: str, size: float, colour: str) -> None:
        """Write a text of `size` points, centred at `at`."""
        self.axes.text(at[1], at[0], text, ha="center", va="center", fontsize=size, color=colour, parse_math=False)


def short(number: Any) -> str:
    """A number in at most three digits: 2, 0.125, -1.5e-05; -0 becomes 0."""
    return f"{float(number) + 0.0:.3g}"
