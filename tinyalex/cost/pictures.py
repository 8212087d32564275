"""The pictures of what training costs: each layer under the machine's two roofs, and speed against devices."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from tinyalex.cost.scaling import StepCost
from tinyalex.cost.speed import Cost, Roofs
from tinyalex.errors import DataError
from tinyalex.viz.canvas import AMBER, BLUE, GREY, INK, ORANGE, new_figure, tidy

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

DIRECTIONS = {"forward": BLUE, "backward": ORANGE, "update": GREY}
SMALLEST, NAMED = 0.001, 0.01  # a layer that takes a smaller share of the time is not drawn, or not named
NAME_WIDTH, NAME_HEIGHT = 0.09, 0.045  # space for a name, as shares of the axes

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
        _draw_roofs(axes, roofs)
        _draw_marks(axes, panel, total)
        _write_names(axes, [cost for cost in panel if cost.seconds > NAMED * total])
        axes.set_ylabel("GFLOP/s, counted as the definition does", fontsize=10, color=INK)
    stacked[-1].set_xlabel("operations for each byte that must be moved", fontsize=10, color=INK)
    return figure


def _draw_marks(axes: Axes, costs: list[Cost], total: float) -> None:
    """A mark for each layer; total: seconds of all layers."""
    for cost in costs:
        axes.scatter(
            cost.operations / cost.bytes,
            cost.operations / cost.seconds / 1e9,
            s=15 + 2500 * cost.seconds / total,
            color=DIRECTIONS[cost.direction],
            alpha=0.7,
            linewidths=0,
        )


def _draw_roofs(axes: Axes, roofs: Roofs) -> None:
    """The two roofs: a slope that the memory sets, and a level that the cores set; they meet at the ridge."""
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
    """Write each name beside its mark, the fastest layer first; a name that would cover another moves below it."""
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
