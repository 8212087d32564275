"""A recorded pass as data: its steps, by number and by layer, and what belongs to them.

Axes: N images, H, W height and width, K classes.
"""

from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

import numpy as np

from tinyalex.backend import Array, to_numpy
from tinyalex.errors import UsageError
from tinyalex.net import AlexNet
from tinyalex.step.picture import as_picture
from tinyalex.step.steps import Step


class LayerSteps(NamedTuple):
    """The two steps of a layer. `backward` is None for the loss, and in a pass without labels."""

    forward: Step
    backward: Step | None


class Recording(Sequence[Step]):
    """A recorded pass: its steps in the order in which they were computed: forward, the loss, backward.

    pass_[3] is a step by its number; pass_["conv2"] is the `LayerSteps` of a layer. `tinyalex.step.show` and
    `tinyalex.step.to_html` draw a recording, `tinyalex.step.widget.PassWidget` shows it in Jupyter.

    x: the images (N, 3, H, W).   labels: (N,), or None; without labels there are forward steps only.
    loss: the mean loss in nats, or None without labels.
    probabilities: (N, K), computed without dropout, as in testing; the `y` of the loss is computed with it.
    classes: the K names of the classes; without names, their numbers.
    pictures: the images as people see them, N of (H, W, 3) uint8.
    rows: the layers of the net, counted.   params: copies of its parameters by name.   variant: the name of its spec.
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
        self._by_name: dict[str, LayerSteps] = {}
        for step in self.steps:
            if step.direction == "forward":
                self._by_name[step.name] = LayerSteps(step, None)
            else:
                self._by_name[step.name] = self._by_name[step.name]._replace(backward=step)

    def __len__(self) -> int:
        return len(self.steps)

    def __getitem__(self, key: Any) -> Any:
        if isinstance(key, str):
            if key not in self._by_name:
                raise UsageError(f"got layer {key!r}: expected one of {', '.join(self._by_name)}")
            return self._by_name[key]
        return self.steps[key]

    def __iter__(self) -> Iterator[Step]:
        return iter(self.steps)

    @property
    def names(self) -> tuple[str, ...]:
        """The names of the layers in forward order, then "loss" if there are labels."""
        return tuple(self._by_name)

    @property
    def x(self) -> Array:
        """The images (N, 3, H, W)."""
        return self.steps[0].x

    def __repr__(self) -> str:
        way = "forward" if self.loss is None else f"forward and backward, loss {self.loss:.4g}"
        return f"<a pass through {self.variant}: {len(self.x)} images, {len(self)} steps, {way}>"
