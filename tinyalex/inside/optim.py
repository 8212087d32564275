"""Inside the optimiser: one weight, step by step, under momentum and weight decay (section 5)."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

import numpy as np

from tinyalex.backend import use_kernels
from tinyalex.errors import UsageError
from tinyalex.inside.sheet import short
from tinyalex.inside.stepper import HEAD, Stepper
from tinyalex.optim import SGD
from tinyalex.viz.canvas import AMBER, BLUE, GREY, INK, ORANGE, new_figure, tidy

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

WIDTH, HEIGHT = 8.6, 3.9  # inches


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

    def _picture(self, i: int) -> Figure:
        figure = new_figure(WIDTH, HEIGHT)
        top = 1 - (HEAD + 0.25) / HEIGHT
        grid = figure.add_gridspec(
            1, 2, width_ratios=(1.25, 1), left=0.08, right=0.97, bottom=0.14, top=top, wspace=0.62
        )
        self._draw_path(figure.add_subplot(grid[0]), i)
        self._draw_parts(figure.add_subplot(grid[1]), i)
        return figure

    def _draw_path(self, axes: Axes, i: int) -> None:
        """Draw the weight over the steps, up to step i as a line and a point."""
        axes.plot(range(len(self.w)), self.w, color=GREY, linewidth=1, linestyle=":")
        axes.plot(range(i + 2), self.w[: i + 2], color=BLUE, linewidth=1.8, marker="o", markersize=4)
        axes.plot(i + 1, self.w[i + 1], color=ORANGE, marker="o", markersize=8)
        tidy(axes)
        axes.set_title("the weight w", loc="left", fontsize=10, color=INK)
        axes.set_xlabel("steps taken", fontsize=9, color=INK)
        axes.set_xticks(range(0, len(self.w), 1 + len(self) // 10))

    def _draw_parts(self, axes: Axes, i: int) -> None:
        """Draw the parts of the new velocity, and the new velocity, as bars."""
        parts = {**self.parts(i), "= the new v": self.v[i + 1]}
        colours = [BLUE, GREY, AMBER, ORANGE]
        axes.barh(range(4), list(parts.values()), color=colours, height=0.62)
        axes.axvline(0, color=INK, linewidth=0.8)
        axes.set_yticks(range(4), list(parts))
        axes.invert_yaxis()
        most = 1.15 * max(
            abs(value) for step in range(len(self)) for value in (*self.parts(step).values(), self.v[step + 1])
        )
        axes.set_xlim(-most or -1, most or 1)  # the same scale in every step
        tidy(axes, frame=("bottom",))
        axes.tick_params(axis="y", length=0)
        axes.set_title("its velocity v, in parts", loc="left", fontsize=10, color=INK)


def _term(number: float) -> str:
    """A number as a term of a sum: in brackets if it is negative."""
    return f"({short(number)})" if number < 0 else short(number)
