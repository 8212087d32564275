"""Inside the optimiser: one weight, step by step, under momentum and weight decay (section 5)."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

import numpy as np

from tinyalex.backend import use_kernels
from tinyalex.errors import UsageError
from tinyalex.inside.sheet import Cell, Colour, Sheet, short
from tinyalex.inside.stepper import Stepper
from tinyalex.optim import SGD

ROWS, HEAD = 6.0, 1.1  # cells: the height of the charts, and of their titles


class _OneWeight:
    """The smallest thing that SGD can update: one weight and its gradient."""

    def __init__(self, w: float) -> None:
        self.params = {"w": np.array([w], np.float64)}
        self.grads = {"w": np.zeros(1)}


class MomentumSteps(Stepper):
    """One weight through `steps` steps of the paper's rule, v = momentum v - weight_decay lr w - lr g, w = w + v.

    gradient: g, the slope of the loss at w: a function of w, or a list with a number for each step.
    w: the first value of the weight.   lr, momentum, weight_decay: as for SGD. The defaults are larger than in the
    paper, so that every part of a step can be seen.
    The attributes w and v are lists of steps + 1 numbers: before each step, and at the end. g is a list of `steps`.
    Raises UsageError for less than one step, a list of another length, or settings that SGD refuses.
    """

    def __init__(
        self,
        gradient: Callable[[float], float] | Sequence[float],
        *,
        w: float = 1.0,
        steps: int = 10,
        lr: float = 0.1,
        momentum: float = 0.9,
        weight_decay: float = 0.5,
    ) -> None:
        if steps < 1 or (not callable(gradient) and len(gradient) != steps):
            given = "" if callable(gradient) else f" and {len(gradient)} gradients"
            raise UsageError(f"got steps={steps}{given}: expected 1 step or more, and a gradient for each")
        one = _OneWeight(w)
        self.sgd = SGD(one, lr=lr, momentum=momentum, weight_decay=weight_decay)
        self.w, self.v, self.g = [float(w)], [0.0], list[float]()
        with use_kernels("reference"):  # the definition; for one number no compiled kernel is needed
            for step in range(steps):
                self.g.append(float(gradient(self.w[-1]) if callable(gradient) else gradient[step]))
                one.grads["w"][:] = self.g[-1]
                self.sgd.step()
                self.w.append(float(one.params["w"][0]))
                self.v.append(float(self.sgd.velocity["w"][0]))

    def __len__(self) -> int:
        """The number of steps."""
        return len(self.g)

    def parts(self, i: int) -> dict[str, float]:
        """The three parts of the new velocity in step i, by name."""
        sgd = self.sgd
        return {
            "momentum · v": sgd.momentum * self.v[i],
            "- weight_decay · lr · w": -sgd.weight_decay * sgd.lr * self.w[i],
            "- lr · g": -sgd.lr * self.g[i],
        }

    def caption(self, i: int) -> str:
        """The rule with the numbers of step i."""
        sgd, v, w, g = self.sgd, _term(self.v[i]), _term(self.w[i]), _term(self.g[i])
        m, wd, lr = short(sgd.momentum), short(sgd.weight_decay), short(sgd.lr)
        return (
            f"v = {m} · {v} - {wd} · {lr} · {w} - {lr} · {g} = {short(self.v[i + 1])}\n"
            f"w = {short(self.w[i])} + {_term(self.v[i + 1])} = {short(self.w[i + 1])}"
        )

    def _picture(self, i: int) -> Sheet:
        sheet = Sheet(ROWS + 2.8, 23)
        self._draw_path(sheet, i)
        self._draw_parts(sheet, i)
        return sheet

    def _draw_path(self, sheet: Sheet, i: int) -> None:
        """Draw the weight over the steps, up to step i as a line and a point; the rest dotted."""
        ticks = _ticks(min(self.w), max(self.w))
        low, high = ticks[0], ticks[-1]
        left, across = 1.8, 9.0  # the frame of the chart, in cells

        def at(step: int, w: float) -> Cell:
            return ROWS * (high - w) / (high - low) + HEAD, left + across * step / len(self)

        sheet.text((0.4, left), "the weight w")
        for tick in ticks:
            row, _ = at(0, tick)
            sheet.line([(row, left - 0.12), (row, left)], "grey", 0.8)
            sheet.text((row, left - 0.25), short(tick), size=8, end=True)
        for step in range(0, len(self.w), 1 + len(self) // 10):
            sheet.text((ROWS + HEAD + 0.5, at(step, 0)[1]), str(step), size=8, middle=True)
        sheet.text((ROWS + HEAD + 1.2, left + across / 2), "steps taken", size=8, middle=True)
        sheet.line([(HEAD, left), (ROWS + HEAD, left), (ROWS + HEAD, left + across)], "grey", 0.8)
        path = [at(step, w) for step, w in enumerate(self.w)]
        sheet.line(path, "grey", 1, dotted=True)
        sheet.line(path[: i + 2], "blue", 1.8)
        for place in path[: i + 1]:
            sheet.dot(place, 0.09, "blue")
        sheet.dot(path[i + 1], 0.18, "orange")

    def _draw_parts(self, sheet: Sheet, i: int) -> None:
        """Draw the parts of the new velocity, and the new velocity, as bars; in one scale for all steps."""
        parts = {**self.parts(i), "= the new v": self.v[i + 1]}
        most = max(abs(value) for step in range(len(self)) for value in (*self.parts(step).values(), self.v[step + 1]))
        zero, reach = 19.8, 2.6  # cells: the place of 0, and the length of the longest bar
        colours: tuple[Colour, ...] = ("blue", "grey", "amber", "orange")
        sheet.text((0.4, 12.2), "its velocity v, in parts")
        for k, ((name, value), colour) in enumerate(zip(parts.items(), colours, strict=True)):
            row = HEAD + 0.2 + 1.5 * k
            length = reach * abs(value) / (most or 1.0)
            sheet.text((row + 0.5, 16.8), name, end=True)
            sheet.box((row, zero - length if value < 0 else zero), 1, length, colour)
        sheet.line([(HEAD, zero), (ROWS + HEAD, zero)], "ink", 0.8)
        for value, column in ((-most, zero - reach), (0, zero), (most, zero + reach)):
            sheet.text((ROWS + HEAD + 0.5, column), short(value), size=8, middle=True)


def _ticks(low: float, high: float) -> list[float]:
    """Round numbers, 3 to 8 of them, from `low` or below to `high` or above."""
    span = (high - low) or 1.0
    unit = 10.0 ** math.floor(math.log10(span))
    step = next(unit * part for part in (0.2, 0.5, 1, 2) if span / (unit * part) <= 6)
    return [
        step * k for k in range(math.floor(low / step), max(math.ceil(high / step), math.floor(low / step) + 2) + 1)
    ]


def _term(number: float) -> str:
    """A number as a term of a sum: in brackets if it is negative."""
    return f"({short(number)})" if number < 0 else short(number)
