"""A recorded pass: its steps, by number and by name, and the ways to look at them.

Axes: N images, H, W height and width, K classes.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from tinyalex.backend import Array, to_numpy
from tinyalex.errors import UsageError
from tinyalex.step.field import Box, receptive_field
from tinyalex.step.picture import as_picture
from tinyalex.step.steps import Direction, Step

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from tinyalex.net import AlexNet


class Both(NamedTuple):
    """A layer's two steps. The loss is one step, the turning point; without labels nothing comes back."""

    forward: Step
    backward: Step | None


class Recording(Sequence[Step]):
    """A recorded pass: its steps in the order in which they happened, forward, the loss, and backward.

    pass_[3]: a step by its number; pass_["conv2"]: the two steps of a layer, `.forward` and `.backward`.
    labels: (N,), or None; then there are forward steps only.   loss: the mean loss in nats, None without labels.
    probabilities: of each class, (N, K), when testing: without dropout, unlike the `y` of the loss.
    classes: the names of the classes, if known.   pictures: what people see in place of x, N of (H, W, 3) uint8.
    rows, params: of the net: its layers, counted, and its parameters by name, as they were.
    """

    def __init__(
        self,
        net: AlexNet,
        steps: Sequence[Step],
        labels: Array | None,
        loss: float | None,
        probabilities: Array,
        classes: Sequence[str],
        pictures: Sequence[Array] | None,
    ) -> None:
        self.rows, self.variant = net.rows, net.spec.name
        self.params = {name: np.array(to_numpy(array)) for name, array in net.params.items()}
        self.steps, self.labels, self.loss, self.probabilities = tuple(steps), labels, loss, probabilities
        self.classes = tuple(classes) or tuple(str(k) for k in range(net.num_classes))
        self.pictures = [as_picture(one) for one in self.x] if pictures is None else list(pictures)
        self._by_name: dict[str, Both] = {}
        for step in self.steps:
            if step.direction == "forward":
                self._by_name[step.name] = Both(step, None)
            else:
                self._by_name[step.name] = self._by_name[step.name]._replace(backward=step)

    def __len__(self) -> int:
        return len(self.steps)

    def __getitem__(self, key: Any) -> Any:
        if isinstance(key, str):
            if key not in self._by_name:
                raise UsageError(f"no layer is called {key!r}: expected one of {', '.join(self._by_name)}")
            return self._by_name[key]
        return self.steps[key]

    def __iter__(self) -> Iterator[Step]:
        return iter(self.steps)

    @property
    def names(self) -> tuple[str, ...]:
        """The layers, and the loss if there is one, in forward order."""
        return tuple(self._by_name)

    @property
    def x(self) -> Array:
        """The images (N, 3, H, W)."""
        return self.steps[0].x

    def field(self, name: str, cell: tuple[int, int] | None = None) -> Box:
        """The pixels of the image that a cell of a layer depends on; see `tinyalex.step.field.receptive_field`."""
        return receptive_field(self.rows, name, cell)

    def show(
        self,
        layer: str,
        cell: tuple[int, int] | None = None,
        channel: int | None = None,
        direction: Direction = "forward",
        *,
        other: int | None = None,
        image: int = 0,
    ) -> Figure:
        """Draw a layer's step about one cell: its receptive field, the maps and the kernel, and why it has its number.

        cell: (row, column) of the output, or backward of the input's gradient.   channel: its map, or the unit.
        other: for a convolution, the map of the other side: the input map, or backward the kernel.
        What is not given is the strongest. Raises UsageError or ShapeError for what the pass does not have.
        """
        from tinyalex.step.look import look
        from tinyalex.step.show import show

        return show(look(self, layer, cell=cell, channel=channel, other=other, direction=direction, image=image))

    def widget(self, *, image: int = 0) -> Any:
        """The pass in a notebook: buttons, a map to click, and the figure that `show` draws of the cell.

        Raises UsageError where ipywidgets and anywidget are not installed.
        """
        try:
            from tinyalex.step.widget import PassWidget
        except ImportError as error:
            raise UsageError(
                f"the widget needs {error.name}: pip install 'tinyalex[notebooks]'; `show` draws the same without it"
            ) from None
        return PassWidget(self, image)

    def to_html(self, path: str | Path, *, image: int = 0) -> Path:
        """Write the pass of one image as a page of its own; see `tinyalex.step.page.to_html`."""
        from tinyalex.step.page import to_html

        return to_html(self, path, image=image)

    def __repr__(self) -> str:
        way = "forward" if self.loss is None else f"forward and backward, loss {self.loss:.4g}"
        return f"<a pass through {self.variant}: {len(self.x)} images, {len(self)} steps, {way}>"
