"""What all steppers share: a calculation in steps, a picture of each step, and a page to go through them."""

from __future__ import annotations

from abc import ABC, abstractmethod
from importlib import resources
from typing import TYPE_CHECKING, Any

from tinyalex.errors import UsageError
from tinyalex.inside.draw import MARGIN, draw
from tinyalex.inside.sheet import CELL, Mark, Sheet
from tinyalex.viz.canvas import GREY, INK
from tinyalex.viz.frame import WORDS, Frame, as_json, count, theme

if TYPE_CHECKING:
    from matplotlib.figure import Figure

SCREEN_DPI = 100  # for a screen; 150, as in print, would be too large


class Stepper(ABC):
    """A small calculation, one step at a time. Python counts the steps from 0, the pictures count them from 1.

    A subclass defines the number of steps, and a caption and a picture for each. It computes with the package's layers.
    """

    @abstractmethod
    def __len__(self) -> int:
        """The number of steps."""

    @abstractmethod
    def caption(self, i: int) -> str:
        """One or two lines about step i, with its numbers."""

    @abstractmethod
    def _picture(self, i: int) -> Sheet:
        """The picture of step i, without its caption."""

    def show(self, i: int = 0) -> Figure:
        """The picture of step i with its caption; -1 is the last step. Raises UsageError for an i out of range."""
        if not -len(self) <= i < len(self):
            raise UsageError(f"got step {i}: expected 0 ... {len(self) - 1}")
        i %= len(self)
        figure = draw(self._picture(i))
        figure.set_dpi(SCREEN_DPI)
        width, height = figure.get_size_inches()
        left, top = MARGIN / width, 1 - MARGIN / height
        figure.text(left, top, self._where(i), va="top", fontsize=8.5, color=GREY)
        style: dict[str, Any] = {"fontsize": 10, "linespacing": 1.4, "color": INK, "parse_math": False}
        figure.text(left, top - 0.22 / height, self.caption(i), va="top", **style)
        return figure

    def widget(self) -> Frame:
        """A page to go through the steps with buttons, a slider or the arrow keys.

        A notebook shows it. It moves in the browser, so it needs neither a kernel nor a network.
        """
        return Frame(self._moving(), f"{type(self).__name__}, step by step", self._height())

    def _where(self, i: int) -> str:
        """The place of step i, and the call that draws it."""
        return f"{count(i, len(self))}  ·  show({i})"

    def _height(self) -> int:
        """The height of the page in pixels, roughly: the bar and the caption, then the picture."""
        return round(150 + self._picture(0).rows * CELL * SCREEN_DPI)

    def _moving(self) -> str:
        """The page with all steps and its script."""
        page = (resources.files("tinyalex.inside") / "stepper.html").read_text("utf-8")
        return page.replace("/* steps */", as_json(self._steps())).replace("/* script */", script())

    def _steps(self) -> dict[str, Any]:
        """All steps as JSON values. Each mark is stored once; a step lists the numbers of its marks."""
        marks: dict[Mark, int] = {}
        steps = []
        sheets = [self._picture(i) for i in range(len(self))]
        for i, sheet in enumerate(sheets):
            drawn = [marks.setdefault(mark, len(marks)) for mark in sheet.marks]
            steps.append({"where": self._where(i), "caption": self.caption(i), "marks": drawn})
        rows, columns = (max(getattr(sheet, side) for sheet in sheets) for side in ("rows", "columns"))
        return {
            "words": WORDS,
            "width": columns * CELL * SCREEN_DPI,
            "size": [rows, columns],
            "point": 1 / (72 * CELL),  # the size of a point in cells
            "marks": [[type(mark).__name__, *mark] for mark in marks],
            "steps": steps,
        }


def script() -> str:
    """The script of every stepper's page."""
    return theme() + (resources.files("tinyalex.inside") / "stepper.js").read_text("utf-8")
