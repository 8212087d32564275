"""How maps, kernels and little grids of numbers are drawn: blue above zero, orange below, amber what is looked at."""

from __future__ import annotations

import math
from functools import cache
from typing import TYPE_CHECKING, Any

import numpy as np

from tinyalex.backend import Array
from tinyalex.step.facts import number
from tinyalex.viz.canvas import BLUE, GREY, INK, ORANGE

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.colors import Colormap

LIT = "#e69f00"  # amber that stands out as a line, on blue and orange alike
GAMMA = 0.7  # small numbers are to be seen too
WRITTEN = 7  # cells a row, up to which a grid has its numbers written in


@cache
def signed_colours() -> Colormap:
    """Dark orange at -1, white at 0, dark blue at 1."""
    from matplotlib.colors import LinearSegmentedColormap

    stops = ["#4d2000", ORANGE, "#f4b48a", "#ffffff", "#8cc4e6", BLUE, "#002a45"]
    return LinearSegmentedColormap.from_list("signed", stops, bad="#eeeeee")  # bad: outside the image


def scaled(numbers: Array, largest: float | None = None) -> Array:
    """Numbers as -1 ... 1, the largest magnitude 1, small ones raised."""
    numbers = np.asarray(numbers, "float64")
    most = float(np.nanmax(np.abs(numbers), initial=0)) if largest is None else largest
    shares = np.clip(numbers / (most or 1.0), -1, 1)
    return np.sign(shares) * np.abs(shares) ** GAMMA


def on_grid(units: Array) -> Array:
    """A row of units (D,) on a grid of about as many rows as columns, NaN where it is not full; up to 32 in one row."""
    columns = len(units) if len(units) <= 32 else math.ceil(math.sqrt(len(units)))
    grid = np.full(-(-len(units) // columns) * columns, np.nan)
    grid[: len(units)] = units
    return grid.reshape(-1, columns)


def bare(axes: Axes, title: str = "", note: str = "") -> None:
    """No ticks, a thin frame; a title above, and a note below."""
    axes.set_xticks([])
    axes.set_yticks([])
    for spine in axes.spines.values():
        spine.set_color("#d0d0d0")
        spine.set_linewidth(0.6)
    axes.set_title(title, fontsize=9.5, color=INK, loc="left", pad=4)
    axes.set_xlabel(note, fontsize=8.5, color=GREY, loc="left", labelpad=4)


def draw_map(axes: Axes, numbers: Array, title: str = "", note: str = "", *, stretched: bool = False) -> None:
    """Draw one map (H, W): a dot a cell; `stretched`: it fills its axes."""
    axes.imshow(
        scaled(numbers), cmap=signed_colours(), vmin=-1, vmax=1, interpolation="nearest",
        aspect="auto" if stretched else "equal",
    )  # fmt: skip
    bare(axes, title, note)


def mark(axes: Axes, box: tuple[int, int, int, int], *, width: float = 1.8, style: str = "-") -> None:
    """Draw the outline of the cells top, left, bottom, right; what lies outside the map is drawn too."""
    from matplotlib.patches import Rectangle

    top, left, bottom, right = box
    outline: dict[str, Any] = {"fill": False, "edgecolor": LIT, "linewidth": width, "linestyle": style}
    axes.add_patch(Rectangle((left - 0.5, top - 0.5), right - left, bottom - top, clip_on=False, **outline))


def mark_cell(axes: Axes, cell: tuple[int, int]) -> None:
    """Draw the outline of one cell."""
    mark(axes, (cell[0], cell[1], cell[0] + 1, cell[1] + 1))


def draw_grid(axes: Axes, numbers: Array, title: str, *, lit: tuple[int, int] | None = None) -> None:
    """Draw a few numbers (H, W), each written in its cell; the title has the power of ten they are in."""
    most = float(np.nanmax(np.abs(numbers), initial=0))
    power = 0 if most == 0 or 0.1 <= most < 1000 else int(np.floor(np.log10(most)))
    draw_map(axes, numbers, title + (rf" ($10^{{{power}}}$)" if power else ""))
    if numbers.shape[1] <= WRITTEN:
        shades = np.abs(scaled(numbers))
        for i, j in np.ndindex(*numbers.shape):
            if np.isnan(numbers[i, j]):
                continue
            value = numbers[i, j] / 10.0**power
            text = "0" if abs(value) < 0.005 else f"{value:.3g}" if abs(value) >= 10 else f"{value:.2f}"
            ink = "white" if shades[i, j] > 0.55 else INK
            axes.text(j, i, text.replace("-", "−"), ha="center", va="center", fontsize=7, color=ink)
    if lit is not None:
        mark_cell(axes, lit)


def draw_bars(axes: Axes, names: list[str], values: Array, *, lit: int | None = None, title: str = "") -> None:
    """Draw a bar a name, the first on top: blue above zero, orange below; `lit` is amber."""
    values = np.asarray(values, "float64")
    colours = [LIT if k == lit else BLUE if value >= 0 else ORANGE for k, value in enumerate(values)]
    axes.barh(range(len(names)), values, color=colours, height=0.75)
    axes.set_yticks(range(len(names)), names, fontsize=8, color=INK, parse_math=False)
    axes.set_ylim(len(names) - 0.4, -0.6)
    axes.axvline(0, color=GREY, linewidth=0.7)
    low, high = min(0.0, values.min()), max(0.0, values.max())
    reach = (high - low) or 1.0
    axes.set_xlim(low - 0.45 * reach * (low < 0), high + 0.24 * reach * (high > 0 or low == 0))
    for k, value in enumerate(values):
        side, space = ("right", -4) if value < 0 else ("left", 4)
        axes.annotate(
            number(float(value)), (value, k), (space, 0), textcoords="offset points",
            ha=side, va="center", fontsize=7.5, color=GREY,
        )  # fmt: skip
    axes.tick_params(length=0)
    axes.set_xticks([])
    for spine in axes.spines.values():
        spine.set_visible(False)
    axes.set_title(title, fontsize=9.5, color=INK, loc="left", pad=4)
