"""How much faster training gets with more devices, as tinyalex.cost.scaling predicts it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from tinyalex.errors import DataError
from tinyalex.viz.canvas import AMBER, BLUE, GREY, INK, ORANGE, new_figure, tidy

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from tinyalex.cost.scaling import Step

COLOURS = {"data": BLUE, "columns": AMBER, "columns x data": AMBER, "one weird trick": ORANGE}


def scaling(steps: Sequence[Step]) -> Figure:
    """Images a second against devices, both logarithmic: a line for each way to share the work, and the ideal one.

    Columns are drawn as the first of the pairs that they become on more devices. Raises DataError for no steps.
    """
    if not steps:
        raise DataError("there is nothing to draw; expected predicted steps")
    figure = new_figure(7, 4.6, arranged=True)
    axes = figure.subplots()
    axes.set_xscale("log", base=2)
    axes.set_yscale("log")
    devices = sorted({step.devices for step in steps})
    fewest = min(steps, key=lambda step: (step.devices, -step.images_per_s))
    one = fewest.images_per_s / fewest.devices
    axes.plot(devices, [one * count for count in devices], "--", color=GREY, linewidth=1, label="nothing lost")
    for label, schemes in (
        ("data", ("data",)),
        ("columns, in pairs from 4 devices on", ("columns", "columns x data")),
        ("one weird trick", ("one weird trick",)),
    ):
        points = [(step.devices, step.images_per_s) for step in steps if step.scheme in schemes]
        if points:
            x, y = zip(*points, strict=True)
            axes.plot(x, y, "-o", color=COLOURS[schemes[0]], linewidth=1.8, markersize=4, label=label)
    axes.set_xticks(devices, [str(count) for count in devices])
    axes.minorticks_off()
    tidy(axes)
    axes.grid(axis="y", color="#e6e6e6", linewidth=0.8)
    axes.set_axisbelow(True)
    axes.set_xlabel("devices", fontsize=11, color=INK)
    axes.set_ylabel("images a second", fontsize=11, color=INK)
    axes.legend(loc="upper left", framealpha=1, edgecolor="white", fontsize=10, labelcolor=INK)
    return figure
