"""A page with grids of numbers, on which the steppers draw.

A sheet is a list of marks. matplotlib draws them in a figure, and `stepper.js` draws the same ones in a browser.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

CELL = 0.36  # inches, the side of a cell
NARROWEST = 18.0  # cells; a page is at least so wide, for the caption
TOP = 1.5  # cells above a grid for its title and indices
FONT = 8.5  # points

Cell = tuple[float, float]  # (row, column) of a cell on the page
Colour = Literal["ink", "grey", "paper", "outside", "pale", "amber", "blue", "orange"]  # a page in the dark has its own
Fill = tuple[NDArray[np.bool_], Colour]  # some cells of a grid, and their colour


class Box(NamedTuple):
    """A rectangle from its upper left corner; `fill` and `edge` are colours, or None; the line is `width` points."""

    at: Cell
    rows: float
    columns: float
    fill: Colour | None
    edge: Colour | None
    width: float = 0.6


class Text(NamedTuple):
    """A line of text of `size` points that starts at a position, ends there or is centred on it."""

    at: Cell
    text: str
    size: float
    colour: Colour
    anchor: Literal["start", "middle", "end"]


class Line(NamedTuple):
    """Straight lines through points, `width` points wide."""

    points: tuple[Cell, ...]
    colour: Colour
    width: float
    dotted: bool = False


class Dot(NamedTuple):
    """A filled circle; its radius is in cells."""

    at: Cell
    radius: float
    colour: Colour


class Arrow(NamedTuple):
    """An arrow from one position to another."""

    start: Cell
    end: Cell
    colour: Colour


Mark = Box | Text | Line | Dot | Arrow


class Sheet:
    """An empty page of rows x columns cells. Positions are (row, column), counted from the upper left corner.

    marks: what is drawn on it, a later mark over an earlier one.
    """

    def __init__(self, rows: float, columns: float) -> None:
        self.rows, self.columns = rows, max(columns, NARROWEST)
        self.marks: list[Mark] = []

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
            self.text((top - 0.35, left + column + 0.5), str(first[1] + column), size=6.5, colour="grey", middle=True)
        for row in range(rows):
            self.text((top + row + 0.5, left - 0.4), str(first[0] + row), size=6.5, colour="grey", middle=True)

    def cells(
        self,
        at: Cell,
        values: NDArray[Any],
        *,
        fills: Sequence[Fill] = (),
        known: NDArray[np.bool_] | None = None,
    ) -> None:
        """Draw a grid as `grid` does, but without title and indices."""
        top, left = at
        for row, column in np.ndindex(*values.shape):
            colour: Colour = "paper"
            for mask, fill in fills:
                colour = fill if mask[row, column] else colour
            self.marks.append(Box((top + row, left + column), 1, 1, colour, "grey"))
            if known is None or known[row, column]:
                text = short(values[row, column])
                size = FONT * min(1.0, 4.3 / len(text))
                self.text((top + row + 0.5, left + column + 0.5), text, size=size, middle=True)

    def frame(self, at: Cell, rows: float, columns: float, colour: Colour) -> None:
        """Draw a thick line around rows x columns cells."""
        self.marks.append(Box(at, rows, columns, None, colour, 2.2))

    def line(self, points: Sequence[Cell], colour: Colour, width: float, *, dotted: bool = False) -> None:
        """Draw straight lines through points, `width` points wide."""
        self.marks.append(Line(tuple(points), colour, width, dotted))

    def dot(self, at: Cell, radius: float, colour: Colour) -> None:
        """Draw a filled circle with a radius in cells."""
        self.marks.append(Dot(at, radius, colour))

    def box(self, at: Cell, rows: float, columns: float, fill: Colour) -> None:
        """Fill rows x columns cells, without a line around them."""
        self.marks.append(Box(at, rows, columns, fill, None))

    def arrow(self, start: Cell, end: Cell, colour: Colour) -> None:
        """Draw an arrow from one position to another."""
        self.marks.append(Arrow(start, end, colour))

    def text(
        self,
        at: Cell,
        text: str,
        *,
        size: float = 9,
        colour: Colour = "ink",
        middle: bool = False,
        end: bool = False,
    ) -> None:
        """Write a line of text that starts at `at`; with `middle` it is centred there, with `end` it ends there."""
        self.marks.append(Text(at, text, size, colour, "middle" if middle else "end" if end else "start"))


def short(number: Any) -> str:
    """A number in at most three digits: 2, 0.125, -1.5e-05; -0 becomes 0."""
    return f"{float(number) + 0.0:.3g}"
