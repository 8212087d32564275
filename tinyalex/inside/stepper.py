"""What all steppers share: a calculation in steps, a picture of each step, and buttons to go through them."""

from __future__ import annotations

from abc import ABC, abstractmethod
from io import BytesIO
from typing import TYPE_CHECKING, Any

from tinyalex.errors import UsageError
from tinyalex.viz.canvas import GREY, INK

if TYPE_CHECKING:
    from matplotlib.figure import Figure

MARGIN = 0.15  # inches around a picture
HEAD = 0.8  # inches above it, for the caption
SCREEN_DPI = 100  # for a screen; 150, as in print, would be too large


class Stepper(ABC):
    """A small calculation, one step at a time; steps are numbered from 0.

    A subclass defines the number of steps, and a caption and a picture for each. It computes with the package's layers.
    """

    @abstractmethod
    def __len__(self) -> int:
        """The number of steps."""

    @abstractmethod
    def caption(self, i: int) -> str:
        """One or two lines about step i, with its numbers."""

    @abstractmethod
    def _picture(self, i: int) -> Figure:
        """The picture of step i without its caption; the upper `HEAD` inches stay empty."""

    def show(self, i: int = 0) -> Figure:
        """The picture of step i with its caption; -1 is the last step. Raises UsageError for an i out of range."""
        if not -len(self) <= i < len(self):
            raise UsageError(f"got step {i}: expected 0 ... {len(self) - 1}")
        i %= len(self)
        figure = self._picture(i)
        figure.set_dpi(SCREEN_DPI)
        width, height = figure.get_size_inches()
        left = MARGIN / width
        count = f"step {i} of 0 ... {len(self) - 1}"
        figure.text(left, 1 - MARGIN / height, count, va="top", fontsize=8.5, color=GREY)
        figure.text(
            left,
            1 - (MARGIN + 0.22) / height,
            self.caption(i),
            va="top",
            fontsize=10,
            linespacing=1.4,
            color=INK,
            parse_math=False,
        )
        return figure

    def widget(self) -> Any:
        """The pictures in Jupyter with buttons back and forward and a slider: an `ipywidgets.VBox`.

        Raises UsageError where ipywidgets is not installed.
        """
        try:
            import ipywidgets
        except ImportError:
            raise UsageError("the widget needs ipywidgets: pip install ipywidgets; or use show(i)") from None
        back = ipywidgets.Button(description="back", icon="arrow-left")
        forward = ipywidgets.Button(description="forward", icon="arrow-right")
        slider = ipywidgets.IntSlider(0, 0, len(self) - 1, description="step")
        width = round(self.show(0).get_figwidth() * SCREEN_DPI)
        picture = ipywidgets.Image(format="png", width=width, layout={"max_width": "100%", "object_fit": "contain"})

        def draw() -> None:
            picture.value = self._png(slider.value)
            back.disabled = slider.value == slider.min
            forward.disabled = slider.value == slider.max

        def move(by: int) -> None:
            slider.value += by

        back.on_click(lambda _: move(-1))
        forward.on_click(lambda _: move(1))
        slider.observe(lambda _: draw(), names="value")
        draw()
        return ipywidgets.VBox([ipywidgets.HBox([back, slider, forward]), picture])

    def _png(self, i: int) -> bytes:
        file = BytesIO()
        self.show(i).savefig(file, format="png", dpi=2 * SCREEN_DPI)  # sharp on a high-resolution screen
        return file.getvalue()
