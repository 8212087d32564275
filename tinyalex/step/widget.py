"""A recorded pass in Jupyter: buttons to go through the steps, a map to click, and the figure of the clicked cell.

The figure is the one that `tinyalex.step.show` draws.
"""

from __future__ import annotations

import base64
import io
from html import escape
from importlib import resources
from typing import Any

import numpy as np

from tinyalex.backend import Array
from tinyalex.step.faint import faintness
from tinyalex.step.figure import draw
from tinyalex.step.look import Look, look
from tinyalex.step.paint import on_grid, scaled, signed_colours
from tinyalex.step.picture import data_uri
from tinyalex.step.recording import Recording
from tinyalex.step.steps import Step
from tinyalex.step.words import say

try:
    import anywidget
    import ipywidgets
    import traitlets
except ImportError as error:
    raise ImportError(
        f"the widget needs {error.name}: pip install ipywidgets anywidget; or use tinyalex.step.show", name=error.name
    ) from None

DPI = 85  # less than in print, as the figure is drawn again at every click


class ClickableMap(anywidget.AnyWidget):
    """One map as a picture; a click or an arrow key sets `cell` to [row, column].

    picture: a data URI.   size: [rows, columns].   label: the text for a screen reader.
    """

    _esm = (resources.files("tinyalex.step") / "clickmap.js").read_text("utf-8")
    picture = traitlets.Unicode("").tag(sync=True)
    size = traitlets.List([1, 1]).tag(sync=True)
    cell = traitlets.List([0, 0]).tag(sync=True)
    label = traitlets.Unicode("").tag(sync=True)


class PassWidget(ipywidgets.VBox):  # type: ignore[misc]
    """A recorded pass to step through, in a notebook.

    recording: the pass.   image: the number of the image in it.
    step: the slider of the steps.   back, next: the buttons.   channel: the map or unit, counted from 1.
    map: the map to click.   figure: the picture of the cell.   at: the cell that is drawn, a `Look`.
    """

    def __init__(self, recording: Recording, image: int = 0) -> None:
        self.recording, self.image = recording, image
        self.step = ipywidgets.IntSlider(
            0, 0, len(recording) - 1, continuous_update=False, readout=False, layout={"width": "45%"}
        )
        self.count = ipywidgets.Label()
        self.back = ipywidgets.Button(description=say("back"), tooltip="one step back")
        self.next = ipywidgets.Button(description=say("next"), tooltip="one step on")
        self.channel = ipywidgets.BoundedIntText(1, 1, 1, description="map")
        self.of = ipywidgets.Label()
        self.name = ipywidgets.HTML()
        self.map = ClickableMap()
        self.figure = ipywidgets.Image(format="png", layout={"max_width": "100%"})
        self._setting = False
        super().__init__(
            [
                ipywidgets.HBox([self.back, self.step, self.count, self.next]),
                ipywidgets.HBox([self.map, ipywidgets.VBox([self.name, ipywidgets.HBox([self.channel, self.of])])]),
                self.figure,
            ]
        )
        self.back.on_click(lambda _: self._move(-1))
        self.next.on_click(lambda _: self._move(1))
        self.step.observe(lambda _: self._look(), "value")
        self.channel.observe(lambda change: self._look(channel=change["new"] - 1, cell=self._cell()), "value")
        self.map.observe(lambda _: self._clicked(), "cell")
        self._look()

    def _repr_mimebundle_(self, **kwargs: Any) -> dict[str, Any]:
        """What a notebook shows: the widget, and where there is no kernel the figure that it opened with."""
        bundle: dict[str, Any] = super()._repr_mimebundle_(**kwargs)
        return bundle | {"image/png": base64.b64encode(self.figure.value).decode()}

    @property
    def _now(self) -> Step:
        step: Step = self.recording[self.step.value]
        return step

    def _move(self, by: int) -> None:
        self.step.value = max(0, min(len(self.recording) - 1, self.step.value + by))

    def _cell(self) -> tuple[int, int] | None:
        """The cell that is drawn, or None for a unit."""
        return self.at.cell if self.at.in_maps else None

    def _clicked(self) -> None:
        row, column = self.map.cell
        if self.at.in_maps:
            self._look(channel=self.channel.value - 1, cell=(row, column))
        else:
            self._look(channel=min(row * self.map.size[1] + column, len(self.at.focus) - 1))

    def _look(self, **asked: Any) -> None:
        """Draw the cell that is `asked` for, else the strongest one of the step.

        Setting the other controls calls this again; `_setting` stops that.
        """
        if self._setting:
            return
        self._setting = True
        try:
            step = self._now
            self.at = look(self.recording, step.name, direction=step.direction, image=self.image, **asked)
            self._show()
        finally:
            self._setting = False

    def _show(self) -> None:
        at = self.at
        index, name = (at.left, "dx") if at.back else (at.right, "y")
        where = say("map" if at.in_maps else "unit", index + 1, len(at.focus))
        self.channel.max = len(at.focus)
        self.channel.value = index + 1
        self.channel.description, _, self.of.value = where.split(" ", 2)
        shown = at.focus[index] if at.in_maps else on_grid(at.focus)
        self.map.picture, self.map.size = _painted(shown), list(shown.shape)
        self.map.cell = list(at.cell if at.in_maps else divmod(index, shown.shape[1]))
        self.map.label = f"{at.step.name}, {name}, {where}"
        self.count.value = say("count", self.step.value + 1, len(self.recording))
        self.back.disabled, self.next.disabled = self.step.value == 0, self.step.value == len(self.recording) - 1
        lines = [f"<b>{at.step.name} {at.step.direction}</b>", at.step.meaning]
        if at.back and (faint := faintness(self.recording, self.image)):
            lines.append(f"<i>{escape(faint)}</i>")
        self.name.value = "<br>".join([*lines, f"{name} of the layer:"])
        self.figure.value = _png(at)


def _painted(numbers: Array) -> str:
    """A map as the data URI of a picture, one dot for each cell."""
    colours = signed_colours()(0.5 + 0.5 * np.ma.masked_invalid(scaled(numbers)))
    return data_uri((255 * colours[..., :3]).astype(np.uint8))


def _png(at: Look) -> bytes:
    file = io.BytesIO()
    draw(at).savefig(file, format="png", dpi=DPI)
    return file.getvalue()
