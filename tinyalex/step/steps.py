"""One step of a recorded pass: a layer in one direction, with its inputs, its outputs and its gradients.

Axes: N images, C channels, H, W height and width, D features.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, Literal, NamedTuple

import numpy as np

from tinyalex.backend import Array
from tinyalex.count import Row
from tinyalex.step.explain import Explanation, Formula, explanation

Direction = Literal["forward", "backward"]


class Statistics(NamedTuple):
    """Of all numbers of an array: the smallest, the largest, the mean, the Euclidean norm, the fraction that is 0."""

    min: float
    max: float
    mean: float
    norm: float
    zeros: float


@dataclass(frozen=True, eq=False)
class Step:
    """One layer in one direction.

    name: the name of the layer, or "loss".   layer: the layer with its settings, as on one device.
    row: the layer, counted; None for the loss.
    x, y: the input and the output of a forward step, (N, C, H, W) or (N, D); for the loss, logits and probabilities.
    dy, dx: the gradients of the loss by y and by x, in the same shapes. A forward step has none, but the loss has dx.
    grads: the gradients of "w" and "b"; a forward step has none.
    kept: name -> bytes of each array that the layer keeps for its backward step; empty in a backward step, and in a
        pass without labels.
    operations: multiply-adds for all N images. Backward has twice as many as forward, one half for dx, one for dw.
    seconds: the time until the result was on the host.
    """

    name: str
    direction: Direction
    layer: Any
    row: Row | None
    x: Array = None
    y: Array = None
    dy: Array = None
    dx: Array = None
    grads: dict[str, Array] = field(default_factory=dict)
    kept: dict[str, int] = field(default_factory=dict)
    operations: int = 0
    seconds: float = 0.0

    @property
    def explanation(self) -> Explanation:
        """The words and formulas for this kind of layer."""
        return explanation(self.layer)

    @property
    def section(self) -> str:
        """The section of the paper that describes the layer."""
        return self.explanation.section

    @property
    def _formula(self) -> Formula:
        return self.explanation.forward if self.direction == "forward" else self.explanation.backward

    @property
    def formula(self) -> str:
        """The formula of the step as plain text."""
        return self._formula.text

    @property
    def latex(self) -> str:
        """The formula of the step in LaTeX."""
        return self._formula.latex

    @property
    def meaning(self) -> str:
        """The step in one sentence."""
        return self._formula.meaning

    @property
    def arrays(self) -> dict[str, Array]:
        """All arrays of the step by name: x, y, dy, dx, and the gradients as dw and db."""
        found = {"x": self.x, "y": self.y, "dy": self.dy, "dx": self.dx}
        found |= {f"d{key}": array for key, array in self.grads.items()}
        return {name: array for name, array in found.items() if array is not None}

    @property
    def shapes(self) -> dict[str, tuple[int, ...]]:
        """The shape of each array."""
        return {name: array.shape for name, array in self.arrays.items()}

    @cached_property
    def statistics(self) -> dict[str, Statistics]:
        """The statistics of each array by name; computed at the first call."""
        return {name: statistics(array) for name, array in self.arrays.items()}

    def __repr__(self) -> str:
        shapes = ", ".join(f"{name} {shape}" for name, shape in self.shapes.items())
        return f"<{self.name} {self.direction}: {shapes}>"


def statistics(array: Array) -> Statistics:
    """The statistics of one array; sums are computed in float64."""
    numbers = array.ravel(order="K")
    norm = math.sqrt(float(np.einsum("i,i", numbers, numbers, dtype="float64")))  # without a second array of this size
    zeros = 1 - np.count_nonzero(numbers) / numbers.size
    return Statistics(float(numbers.min()), float(numbers.max()), float(numbers.mean(dtype="float64")), norm, zeros)
