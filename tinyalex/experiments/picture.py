"""The outcome of an experiment as a picture: its arms with every seed, and its differences beside the paper's."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tinyalex.experiments.outcome import Outcome
from tinyalex.experiments.text import is_ratio, shown
from tinyalex.viz.canvas import BLUE, GREY, INK, ORANGE, new_figure, tidy

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure


def chart(outcome: Outcome) -> Figure:
    """Draw the arms (left: a dot for each seed, a line at the mean) and the differences (right: with intervals).

    A difference is blue if the two arms are told apart, else grey. A hollow diamond is the difference that the paper
    gives, a cross that of the largest rerun of others.
    """
    rows = max(len(outcome.arms), len(outcome.found))
    figure = new_figure(10, 1.6 + 0.45 * rows, arranged=True)
    arms, differences = figure.subplots(1, 2)
    _draw_arms(arms, outcome)
    _draw_differences(differences, outcome)
    return figure


def _draw_arms(axes: Axes, outcome: Outcome) -> None:
    ratio = any(one.arm.measure.ratio for one in outcome.arms.values())
    for row, one in enumerate(outcome.arms.values()):
        values = [value if ratio else 100 * value for value in one.by_seed]
        axes.plot(values, [row] * len(values), "o", color=BLUE, alpha=0.6, markersize=6, linestyle="none")
        axes.vlines(one.mean if ratio else 100 * one.mean, row - 0.3, row + 0.3, color=INK, linewidth=1.8)
    _rows(axes, list(outcome.arms))
    first = next(iter(outcome.arms.values())).arm.measure.name
    axes.set_xlabel(first if ratio else f"{first} (%)", fontsize=11, color=INK)


def _draw_differences(axes: Axes, outcome: Outcome) -> None:
    ratio = any(is_ratio(outcome, found) for found in outcome.found)
    for row, found in enumerate(outcome.found):
        effect, comparison = found.effect, found.comparison
        mean, low, high = (shown(value, ratio) for value in (effect.difference, effect.low, effect.high))
        color = BLUE if effect.told_apart else GREY
        axes.hlines(row, low, high, color=color, linewidth=2.5)
        axes.plot(mean, row, "o", color=color, markersize=7)
        for value, marker in zip((comparison.paper, comparison.elsewhere), "Dx", strict=True):
            if value is not None:
                axes.plot(value, row, marker, color=ORANGE, fillstyle="none", markersize=8, markeredgewidth=1.6)
    axes.axvline(1 if ratio else 0, color=INK, linewidth=0.8, zorder=0)
    _rows(axes, [f"{found.comparison.of}\nagainst {found.comparison.against}" for found in outcome.found])
    axes.set_xlabel("ratio" if ratio else "difference (percentage points)", fontsize=11, color=INK)
    known = {
        "◇ the paper": any(found.comparison.paper is not None for found in outcome.found),
        "× others, on ImageNet": any(found.comparison.elsewhere is not None for found in outcome.found),
    }
    axes.set_title("   ".join(text for text, there in known.items() if there), fontsize=9, color=ORANGE, loc="left")


def _rows(axes: Axes, names: list[str]) -> None:
    """Name the rows, the first on top."""
    tidy(axes)
    axes.set_yticks(range(len(names)), names, parse_math=False)
    axes.set_ylim(len(names) - 0.4, -0.6)
    axes.tick_params(axis="y", length=0, labelsize=9)
    axes.grid(axis="x", color="#e6e6e6", linewidth=0.8)
    axes.set_axisbelow(True)


def figure1(outcome: Outcome) -> Figure:
    """Draw the training error of each arm over the epochs, a line for each seed, as in figure 1 of the paper."""
    figure = new_figure(7, 4.2, arranged=True)
    axes = figure.subplots()
    for one, color, style in zip(outcome.arms.values(), (BLUE, ORANGE), ("-", "--"), strict=True):
        for number, run in enumerate(one.runs.values()):
            label = f"{one.arm.name}, rate {one.trial.settings.lr:g}" if number == 0 else None
            epochs = range(1, len(run.train_errors) + 1)
            errors = [100 * error for error in run.train_errors]
            axes.plot(epochs, errors, style, color=color, label=label, linewidth=1.6, marker="o", markersize=3)
    goal = next(iter(outcome.arms.values())).trial.goal
    if goal is not None:
        axes.axhline(100 * goal, color=GREY, linewidth=0.8)
    tidy(axes)
    axes.set_ylim(0, None)
    axes.set_xlabel("epoch", fontsize=11, color=INK)
    axes.set_ylabel("training error (%)", fontsize=11, color=INK)
    axes.legend(fontsize=10, labelcolor=INK, framealpha=1, edgecolor="white")
    return figure
