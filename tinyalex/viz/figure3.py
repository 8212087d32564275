"""Figure 3 of the paper: the kernels of the first layer as small colour pictures.

Axes: OC kernels, C channels (red, green, blue), KH, KW kernel size.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from tinyalex.errors import DivergenceError, ShapeError, UsageError
from tinyalex.viz.canvas import DPI, GREY, INK, new_figure

if TYPE_CHECKING:
    from matplotlib.figure import Figure

GAP = 6  # pixels between two kernels
MARGIN, TITLE, NOTE, BETWEEN = 48, 56, 52, 30  # pixels beside, above and below the grid, and between two grids


def kernels(w: NDArray[np.floating], columns: int = 1, *, each: bool = False) -> Figure:
    """Draw the kernels of the first layer; a weight of 0 is grey.

    The intensity of a colour is 0.5 + w / (2 m), from 0 to 1. m is the largest |w| of all kernels, or with `each` the
    largest of the kernel itself. `each` shows faint kernels better, but hides that they are faint.
    w: (OC, 3, KH, KW), RGB. There are 16 kernels in a row, or 8 if OC is at most 32.
    columns: of the net. With 2, the kernels of column 1 (GPU 1 in the paper) are drawn above those of column 2.
    Raises ShapeError for other shapes, UsageError where `columns` does not divide OC, DivergenceError for NaN and inf.
    """
    _check(w, columns)
    count, channels, height, width = w.shape
    per_row, tile = (16, 66) if count > 32 else (8, 96)  # tile: the width of a drawn kernel in pixels, roughly
    zoom = max(1, tile // max(height, width))  # whole pixels for each weight, so that all weights have the same size

    most = np.abs(w).max(axis=(1, 2, 3), keepdims=True) if each else np.abs(w).max(keepdims=True)
    shown = 0.5 + 0.5 * w / np.where(most == 0, 1, most)
    tiles = shown.transpose(0, 2, 3, 1).repeat(zoom, axis=1).repeat(zoom, axis=2)  # (OC, zoom*KH, zoom*KW, 3)
    grids = [_grid(part, per_row) for part in np.split(tiles, columns)]

    grid_height, grid_width = grids[0].shape[:2]
    full_width = max(grid_width + 2 * MARGIN, 4 * DPI)
    full_height = TITLE + columns * (grid_height + BETWEEN) - BETWEEN + NOTE
    figure = new_figure(full_width / DPI, full_height / DPI)
    for column, grid in enumerate(grids):
        bottom = full_height - TITLE - grid_height - column * (grid_height + BETWEEN)
        box = (MARGIN / full_width, bottom / full_height, grid_width / full_width, grid_height / full_height)
        axes = figure.add_axes(box)
        axes.imshow(grid, interpolation="nearest", aspect="auto")
        axes.set_axis_off()
        if columns > 1:
            middle = (bottom + grid_height / 2) / full_height
            at = ((MARGIN - 10) / full_width, middle)
            figure.text(*at, f"column {column + 1}", rotation=90, ha="right", va="center", fontsize=10, color=INK)
    title = f"{count} kernel{'s' * (count > 1)} of {height} × {width} × {channels}"
    figure.text(MARGIN / full_width, 1 - 0.62 * TITLE / full_height, title, va="center", fontsize=11, color=INK)
    ends = "each kernel's own largest weight" if each else f"±{most.item():.2g}"
    note = f"grey: 0, black and white: {ends}"
    figure.text(MARGIN / full_width, 0.5 * NOTE / full_height, note, va="center", fontsize=9, color=GREY)
    return figure


def _check(w: NDArray[np.floating], columns: int) -> None:
    """Raise unless `w` are finite kernels of a first layer that divide into `columns`."""
    if w.ndim != 4 or w.shape[1] != 3 or w.size == 0:
        raise ShapeError(f"got kernels of shape {w.shape}: expected (OC, 3, KH, KW); use those of the first layer")
    if columns < 1 or len(w) % columns:
        raise UsageError(f"got columns={columns} for {len(w)} kernels: expected a divisor of {len(w)}, such as 1")
    if not np.isfinite(w).all():
        raise DivergenceError("got kernels with NaN or infinity: expected finite weights; use an earlier checkpoint")


def _grid(tiles: NDArray[np.floating], per_row: int) -> NDArray[np.floating]:
    """Arrange tiles (n, h, w, 3) in rows of at most `per_row`, on white -> one picture (H, W, 3)."""
    count, height, width, _ = tiles.shape
    per_row = min(per_row, count)
    rows = -(-count // per_row)
    grid = np.ones((rows * (height + GAP) - GAP, per_row * (width + GAP) - GAP, 3), tiles.dtype)
    for index, tile in enumerate(tiles):
        row, column = divmod(index, per_row)
        top, left = row * (height + GAP), column * (width + GAP)
        grid[top : top + height, left : left + width] = tile
    return grid
