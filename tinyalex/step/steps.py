"""One step of a recorded pass: a layer in one direction, with every array that it read and made.

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
    """Of all numbers of an array: the least, the largest, the mean, the Euclidean norm, and the share that is 0."""

    min: float
    max: float
    mean: float
    norm: float
    zeros: float


@dataclass(frozen=True, eq=False)
class Step:
    """One layer in one direction.

    name: of the layer, "loss" for the loss.   layer: its settings, as on one device.   row: the layer, counted
        (None for the loss).
    x, y: what went in and came out, (N, C, H, W) or (N, D); of the loss, the logits and the probabilities.
    dy, dx: the gradients that came in and went out, shaped as y and x; of a forward step None, but the loss has dx.
    grads: of a backward step, the gradients of "w" and "b".
    kept: the arrays that wait for the backward step, name -> bytes; empty where there is none to come.
    operations: multiply-adds for all N images; backward twice those of forward, for dx and for dw.
    seconds: how long it took, until the result was there on the host.
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
        """What there is to say about this kind of layer."""
        return explanation(self.layer)

    @property
    def section(self) -> str:
        """The section of the paper."""
        return self.explanation.section

    @property
    def _said(self) -> Formula:
        return self.explanation.forward if self.direction == "forward" else self.explanation.backward

    @property
    def formula(self) -> str:
        """What is computed, as plain text."""
        return self._said.text

    @property
    def latex(self) -> str:
        """What is computed, in LaTeX."""
        return self._said.latex

    @property
    def meaning(self) -> str:
        """What happens, in a sentence."""
        return self._said.meaning

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
        """What the numbers of each array are like; computed when first asked for."""
        return {name: statistics(array) for name, array in self.arrays.items()}

    def __repr__(self) -> str:
        shapes = ", ".join(f"{name} {shape}" for name, shape in self.shapes.items())
        return f"<{self.name} {self.direction}: {shapes}>"


def statistics(array: Array) -> Statistics:
    """What the numbers of an array are like; sums are of float64."""
    numbers = array.ravel(order="K")
    norm = math.sqrt(float(np.einsum("i,i", numbers, numbers, dtype="float64")))  # nothing as large again is made
    zeros = 1 - np.count_nonzero(numbers) / numbers.size
    return Statistics(float(numbers.min()), float(numbers.max()), float(numbers.mean(dtype="float64")), norm, zeros)
