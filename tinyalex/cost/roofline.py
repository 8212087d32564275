"""The roofline: how fast each layer of a net runs, under the two roofs that bound it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from tinyalex.errors import DataError
from tinyalex.viz.canvas import BLUE, GREY, INK, ORANGE, new_figure, tidy

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from tinyalex.cost.speed import Cost, Roofs

COLOURS = {"forward": BLUE, "backward": ORANGE, "update": GREY}
SMALLEST, NAMED = 0.001, 0.01  # shares of the whole time, below which a layer is not drawn, or not named
NAME_WIDTH, NAME_HEIGHT = 0.09, 0.045  # room for a name, as shares of the axes


def roofline(costs: Sequence[Cost], roofs: Roofs) -> Figure:
    """Operations a second against operations a byte, both logarithmic; a mark's area is the layer's share of the time.

    Left of the ridge the memory bounds a layer, right of it the cores. A layer above the roof does fewer operations
    than its definition (Winograd), or finds its numbers in a cache. Raises DataError for no layers.
    """
    if not costs:
        raise DataError("there are no layers to draw; expected the costs of a net")
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
        _draw_roofs(axes, roofs)
        for cost in panel:
            axes.scatter(
                cost.operations / cost.bytes,
                cost.operations / cost.seconds / 1e9,
                s=15 + 2500 * cost.seconds / total,
                color=COLOURS[cost.direction],
                alpha=0.7,
                linewidths=0,
            )
        _write_names(axes, [cost for cost in panel if cost.seconds > NAMED * total])
        axes.set_ylabel("GFLOP/s, counted as the definition does", fontsize=10, color=INK)
    stacked[-1].set_xlabel("operations for each byte that must be moved", fontsize=10, color=INK)
    return figure


def _draw_roofs(axes: Axes, roofs: Roofs) -> None:
    left, right = axes.get_xlim()
    ridge = roofs.operations / roofs.bytes
    peak = roofs.operations / 1e9
    axes.plot([left, ridge, right], [left * roofs.bytes / 1e9, peak, peak], color=INK, linewidth=1.5, zorder=1)
    axes.annotate(f"{peak:.0f} GFLOP/s", (ridge, peak), (6, 4), textcoords="offset points", fontsize=9)
    axes.annotate(
        f"{roofs.bytes / 1e9:.0f} GB/s",
        (left, left * roofs.bytes / 1e9),
        (4, 31),  # above the slope
        textcoords="offset points",
        fontsize=9,
    )


def _write_names(axes: Axes, costs: list[Cost]) -> None:
    """Each name beside its mark, the fastest first; a name that would lie on another moves down below it."""
    taken: list[tuple[float, float]] = []  # as shares of the axes
    for cost in sorted(costs, key=lambda cost: -cost.operations / cost.seconds):
        mark = cost.operations / cost.bytes, cost.operations / cost.seconds / 1e9
        x, y = axes.transAxes.inverted().transform(axes.transData.transform(mark))
        x, beside = x + 0.02, y
        for other_x, other_y in sorted(taken, key=lambda name: -name[1]):
            if abs(x - other_x) < NAME_WIDTH and abs(y - other_y) < NAME_HEIGHT:
                y = other_y - NAME_HEIGHT
        taken.append((x, y))
        name = cost.layer if cost.direction != "update" else "update"
        axes.annotate(
            name, mark, (x, y), textcoords="axes fraction", va="center", fontsize=9, color=INK,
            arrowprops={"arrowstyle": "-", "color": GREY, "linewidth": 0.6} if y < beside else None,
        )  # fmt: skip
