"""Drawing of maps, kernels, small grids and bars: blue above zero, orange below; amber marks the cell shown."""

from __future__ import annotations

import math
from functools import cache
from typing import TYPE_CHECKING, Any

import numpy as np

from tinyalex.backend import Array
from tinyalex.step.facts import number
from tinyalex.viz.canvas import BLUE, GREY, INK, ORANGE
from tinyalex.window import Window

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.colors import Colormap

LIT = "#e69f00"  # an amber line that can be seen on blue and on orange
OUTSIDE = "#eeeeee"  # the colour outside the image
GAMMA = 0.7  # below 1, so that small numbers can be seen
WRITTEN = 7  # a grid of at most this many cells a row has its numbers written in


@cache
def signed_colours() -> Colormap:
    """Dark orange at -1, white at 0, dark blue at 1."""
    from matplotlib.colors import LinearSegmentedColormap

    stops = ["#4d2000", ORANGE, "#f4b48a", "#ffffff", "#8cc4e6", BLUE, "#002a45"]
    return LinearSegmentedColormap.from_list("signed", stops, bad=OUTSIDE)


def largest(numbers: Array) -> float:
    """The largest |x| of the numbers that are finite."""
    return float(np.max(np.abs(numbers), initial=0, where=np.isfinite(numbers)))


def scaled(numbers: Array) -> Array:
    """Numbers scaled to -1 ... 1: sign(x) * (|x| / largest |x|)**GAMMA. Infinity becomes 1; NaN stays."""
    numbers = np.asarray(numbers, "float64")
    most = largest(numbers)
    shares = np.clip(numbers / (most or 1.0), -1, 1)
    return np.sign(shares) * np.abs(shares) ** GAMMA


def on_grid(units: Array) -> Array:
    """Units (D,) on a nearly square grid, or in one row up to 32 units. NaN fills the places left over."""
    columns = len(units) if len(units) <= 32 else math.ceil(math.sqrt(len(units)))
    grid = np.full(-(-len(units) // columns) * columns, np.nan)
    grid[: len(units)] = units
    return grid.reshape(-1, columns)


def bare(axes: Axes, title: str = "", note: str = "") -> None:
    """Give axes a thin frame without ticks, a title above and a note below."""
    axes.set_xticks([])
    axes.set_yticks([])
    for spine in axes.spines.values():
        spine.set_color("#d0d0d0")
        spine.set_linewidth(0.6)
    axes.set_title(title, fontsize=9.5, color=INK, loc="left", pad=4)
    axes.set_xlabel(note, fontsize=8.5, color=GREY, loc="left", labelpad=4)


def draw_map(axes: Axes, numbers: Array, title: str = "", note: str = "", *, stretched: bool = False) -> None:
    """Draw one map (H, W), a square for each cell; with `stretched` the map fills its axes."""
    axes.imshow(
        scaled(numbers), cmap=signed_colours(), vmin=-1, vmax=1, interpolation="nearest",
        aspect="auto" if stretched else "equal",
    )  # fmt: skip
    bare(axes, title, note)


def draw_edge(axes: Axes, window: Window, inputs: tuple[int, int], outputs: tuple[int, int]) -> None:
    """Draw the padding around a map, so that no window leaves the picture: pale, as what lies outside the image."""
    before = window.pad
    after = [
        max(0, (count - 1) * stride - pad + kernel - size)
        for count, stride, pad, kernel, size in zip(
            outputs, window.stride, window.pad, window.kernel, inputs, strict=True
        )
    ]
    axes.set_facecolor(OUTSIDE)
    axes.set_ylim(inputs[0] + after[0] - 0.5, -before[0] - 0.5)
    axes.set_xlim(-before[1] - 0.5, inputs[1] + after[1] - 0.5)


def mark(axes: Axes, box: tuple[int, int, int, int], *, width: float = 1.8) -> None:
    """Draw the outline of the box (top, left, bottom, right) of cells; it may reach beyond the map."""
    from matplotlib.patches import Rectangle

    top, left, bottom, right = box
    outline: dict[str, Any] = {"fill": False, "edgecolor": LIT, "linewidth": width}
    axes.add_patch(Rectangle((left - 0.5, top - 0.5), right - left, bottom - top, clip_on=False, **outline))


def mark_cell(axes: Axes, cell: tuple[int, int]) -> None:
    """Draw the outline of one cell."""
    mark(axes, (cell[0], cell[1], cell[0] + 1, cell[1] + 1))


def draw_grid(axes: Axes, numbers: Array, title: str, *, lit: tuple[int, int] | None = None) -> None:
    """Draw a few numbers (H, W), each written in its cell; the title names their common power of ten."""
    most = largest(numbers)
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
    """Draw a bar for each name, the first on top: blue above zero, orange below, amber for bar `lit`.

    NaN and infinity have no bar, but are written.
    """
    values = np.asarray(values, "float64")
    lengths = np.where(np.isfinite(values), values, 0)
    colours = [LIT if k == lit else BLUE if value >= 0 else ORANGE for k, value in enumerate(values)]
    axes.barh(range(len(names)), lengths, color=colours, height=0.75)
    axes.set_yticks(range(len(names)), names, fontsize=8, color=INK, parse_math=False)
    axes.set_ylim(len(names) - 0.4, -0.6)
    axes.axvline(0, color=GREY, linewidth=0.7)
    low, high = min(0.0, lengths.min()), max(0.0, lengths.max())
    reach = (high - low) or 1.0
    axes.set_xlim(low - 0.45 * reach * (low < 0), high + 0.24 * reach * (high > 0 or low == 0))
    for k, (value, length) in enumerate(zip(values, lengths, strict=True)):
        side, space = ("right", -4) if length < 0 else ("left", 4)
        axes.annotate(
            number(float(value)), (length, k), (space, 0), textcoords="offset points",
            ha=side, va="center", fontsize=7.5, color=GREY,
        )  # fmt: skip
    axes.tick_params(length=0)
    axes.set_xticks([])
    for spine in axes.spines.values():
        spine.set_visible(False)
    axes.set_title(title, fontsize=9.5, color=INK, loc="left", pad=4)
