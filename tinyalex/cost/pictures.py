"""The pictures of what training costs: each layer under the machine's two roofs, and speed against devices."""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import pairwise
from typing import TYPE_CHECKING

import numpy as np

from tinyalex.cost.scaling import StepCost
from tinyalex.cost.speed import Cost, Roofs
from tinyalex.errors import DataError
from tinyalex.viz.canvas import AMBER, BLUE, GREY, INK, ORANGE, new_figure, tidy

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

DIRECTIONS = {"forward": BLUE, "backward": ORANGE, "update": GREY}
SMALLEST, NAMED = 0.001, 0.01  # a layer that takes a smaller share of the time is not drawn, or not named
LETTER, NAME_HEIGHT = 0.012, 0.045  # of a name, as shares of the width and the height of the axes
POINT = 0.0021, 0.0039  # a point, as shares of these
Box = tuple[float, float, float, float]  # left, bottom, right and top, as shares of the axes

SCHEMES = (  # label, colour, the schemes of tinyalex.cost.scaling that form the line
    ("data", BLUE, ("data",)),
    ("columns, in pairs from 4 devices on", AMBER, ("columns", "columns x data")),
    ("one weird trick", ORANGE, ("one weird trick",)),
)


def roofline(costs: Sequence[Cost], roofs: Roofs) -> Figure:
    """Operations a second against operations a byte, both logarithmic; a mark's area is the layer's share of the time.

    costs: of a net's layers, from `Bench.costs`; forward and backward have a panel each.   roofs: the machine's limits.
    Left of the ridge the memory limits a layer, right of it the cores do. A layer above the roof does fewer operations
    than its definition (Winograd), or finds its numbers in a cache. Raises DataError for no layers.
    """
    if not costs:
        raise DataError("got no layers: expected the costs of a net")
    total = sum(cost.seconds for cost in costs)
    drawn = [cost for cost in costs if cost.seconds > SMALLEST * total]
    panels = [[cost for cost in drawn if (cost.direction == "forward") == forward] for forward in (True, False)]
    panels = [panel for panel in panels if panel]
    figure = new_figure(7.5, 4.2 * len(panels), arranged=True)
    intensities = [cost.operations / cost.bytes for cost in drawn]
    speeds = [cost.operations / cost.seconds / 1e9 for cost in drawn]
    x_limits = min(intensities) / 2, max(*intensities, roofs.operations / roofs.bytes) * 6
    y_limits = min(speeds) / 2, max(*speeds, roofs.operations / 1e9) * 2
    stacked = figure.subplots(len(panels), 1, sharex=True, squeeze=False)[:, 0]
    for axes, panel in zip(stacked, panels, strict=True):
        axes.set_xscale("log")
        axes.set_yscale("log")
        axes.set_xlim(x_limits)
        axes.set_ylim(y_limits)
        tidy(axes)
        axes.set_title(" and ".join(dict.fromkeys(cost.direction for cost in panel)), fontsize=12, color=INK)
        taken = [*_draw_roofs(axes, roofs), *_draw_marks(axes, panel, total)]
        _write_names(axes, [cost for cost in panel if cost.seconds > NAMED * total], total, taken)
        axes.set_ylabel("GFLOP/s, counted as the definition does", fontsize=10, color=INK)
    stacked[-1].set_xlabel("operations for each byte that must be moved", fontsize=10, color=INK)
    return figure


def _draw_marks(axes: Axes, costs: list[Cost], total: float) -> list[Box]:
    """A mark for each layer -> where they are.   total: seconds of all layers."""
    for cost in costs:
        axes.scatter(*_mark(cost), s=_size(cost, total) ** 2, color=DIRECTIONS[cost.direction], alpha=0.7, linewidths=0)
    places = [(*_shares(axes, *_mark(cost)), *(0.5 * _size(cost, total) * point for point in POINT)) for cost in costs]
    return [(x - wide, y - high, x + wide, y + high) for x, y, wide, high in places]


def _mark(cost: Cost) -> tuple[float, float]:
    """Operations a byte, and GFLOP/s."""
    return cost.operations / cost.bytes, cost.operations / cost.seconds / 1e9


def _size(cost: Cost, total: float) -> float:
    """The diameter of a layer's mark in points."""
    return math.sqrt(15 + 2500 * cost.seconds / total)


def _shares(axes: Axes, x: float, y: float) -> tuple[float, float]:
    """A place in the picture as shares of the width and the height of the axes."""
    right, up = axes.transAxes.inverted().transform(axes.transData.transform((x, y)))
    return float(right), float(up)


def _draw_roofs(axes: Axes, roofs: Roofs) -> list[Box]:
    """The two roofs: a slope that the memory sets, and a level that the cores set; they meet at the ridge.

    -> where their labels are, and points along them.
    """
    left, right = axes.get_xlim()
    ridge, peak = roofs.operations / roofs.bytes, roofs.operations / 1e9
    ends = (left, left * roofs.bytes / 1e9), (ridge, peak), (right, peak)
    axes.plot(*zip(*ends, strict=True), color=INK, linewidth=1.5, zorder=1)
    taken = []
    labels = (ends[1], 6, 9, f"{peak:.0f} GFLOP/s"), (ends[0], 4, 36, f"{roofs.bytes / 1e9:.0f} GB/s")  # above the roof
    for end, beside, above, text in labels:
        axes.annotate(text, end, (beside, above), textcoords="offset points", va="center", fontsize=9)
        x, y = _shares(axes, *end)
        taken.append(_box(x + beside * POINT[0], y + above * POINT[1], text))
    for start, end in pairwise(_shares(axes, *end) for end in ends):
        steps = math.ceil(max(abs(end[0] - start[0]), abs(end[1] - start[1])) / NAME_HEIGHT) + 1
        taken += [(x, y, x, y) for x, y in zip(*np.linspace(start, end, steps).T.tolist(), strict=True)]
    return taken


def _box(x: float, y: float, text: str) -> Box:
    """Where a text is that begins at x and whose middle is at y."""
    return x, y - NAME_HEIGHT / 2, x + LETTER * len(text), y + NAME_HEIGHT / 2


def _write_names(axes: Axes, costs: list[Cost], total: float, taken: list[Box]) -> None:
    """Write each name beside its mark, the fastest layer first, or where it covers least of what is there.

    total: seconds of all layers.   taken: where marks, roofs and their labels are.
    """
    for cost in sorted(costs, key=lambda cost: -cost.operations / cost.seconds):
        name = cost.layer if cost.direction != "update" else "update"
        x, beside = _shares(axes, *_mark(cost))
        away = (0.5 * _size(cost, total) + 4) * POINT[0]
        spots = [
            (left, beside + step * NAME_HEIGHT)
            for step in (0, -1, 1, -2, 2, -3, 3)
            for left in (x + away, x - away - LETTER * len(name))
        ]
        x, y = min(spots, key=lambda spot: _covered(_box(spot[0], spot[1], name), taken))
        taken = [*taken, _box(x, y, name)]
        axes.annotate(
            name, _mark(cost), (x, y), textcoords="axes fraction", va="center", fontsize=9, color=INK,
            arrowprops={"arrowstyle": "-", "color": GREY, "linewidth": 0.6} if y != beside else None,
        )  # fmt: skip


def _covered(box: Box, taken: list[Box]) -> float:
    """How many other boxes a box covers; infinite outside of the axes."""
    left, bottom, right, top = box
    if min(left, bottom) < 0 or max(right, top) > 1:
        return math.inf
    return sum(left < other[2] and other[0] < right and bottom < other[3] and other[1] < top for other in taken)


def scaling(steps: Sequence[StepCost]) -> Figure:
    """Images a second against devices, both logarithmic: a line for each way to share the work, and the ideal line.

    steps: from `tinyalex.cost.scaling.steps`, for several numbers of devices; columns and pairs of them share a line.
    Raises DataError for no steps.
    """
    if not steps:
        raise DataError("got no steps: expected predicted ones")
    figure = new_figure(7, 4.6, arranged=True)
    axes = figure.subplots()
    axes.set_xscale("log", base=2)
    axes.set_yscale("log")
    devices = sorted({step.devices for step in steps})
    fewest = min(steps, key=lambda step: (step.devices, -step.images_per_s))
    one = fewest.images_per_s / fewest.devices
    axes.plot(devices, [one * count for count in devices], "--", color=GREY, linewidth=1, label="nothing lost")
    for label, colour, schemes in SCHEMES:
        points = [(step.devices, step.images_per_s) for step in steps if step.scheme in schemes]
        if points:
            x, y = zip(*points, strict=True)
            axes.plot(x, y, "-o", color=colour, linewidth=1.8, markersize=4, label=label)
    axes.set_xticks(devices, [str(count) for count in devices])
    axes.minorticks_off()
    tidy(axes)
    axes.grid(axis="y", color="#e6e6e6", linewidth=0.8)
    axes.set_axisbelow(True)
    axes.set_xlabel("devices", fontsize=11, color=INK)
    axes.set_ylabel("images a second", fontsize=11, color=INK)
    axes.legend(loc="upper left", framealpha=1, edgecolor="white", fontsize=10, labelcolor=INK)
    return figure
