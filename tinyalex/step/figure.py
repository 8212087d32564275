"""One cell of a recorded pass as a figure: its receptive field, its terms, and for a convolution the matrix product."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from tinyalex.backend import Array
from tinyalex.layers.conv import im2col
from tinyalex.step.facts import number, times
from tinyalex.step.look import Look, connected_cells, look, winner
from tinyalex.step.paint import bare, draw_edge, draw_map, mark, mark_cell, on_grid
from tinyalex.step.recording import Recording
from tinyalex.step.steps import Direction
from tinyalex.step.why import draw_why
from tinyalex.step.words import entry, say
from tinyalex.viz.canvas import GREY, INK, new_figure

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure, SubFigure

ROWS = 17  # how many rows of a matrix are drawn, the marked one in the middle


def show(
    recording: Recording,
    layer: str,
    cell: tuple[int, int] | None = None,
    channel: int | None = None,
    direction: Direction = "forward",
    *,
    other: int | None = None,
    image: int = 0,
) -> Figure:
    """Draw one cell of a layer's step: its receptive field, the maps, the kernel, and how its number is computed.

    layer: the name of a layer, or "loss".   cell: (row, column) in the output; for a backward step, in the gradient of
    the input.   channel: the map that the cell lies in, or for a layer of units the unit.
    other: for a convolution, the map on the other side: the input map, or for a backward step the kernel.
    image: the number of the image in the pass.
    Without a cell, channel or other map, the one with the largest number is drawn.
    Raises UsageError for a layer, direction, image or map that the pass does not have, ShapeError for such a cell.
    """
    return draw(look(recording, layer, cell=cell, channel=channel, other=other, direction=direction, image=image))


def draw(at: Look) -> Figure:
    """The pictures on top; below them how the number is computed; for a convolution forward also the matrix product."""
    as_product = at.kind == "conv" and not at.back
    heading = 1.15 if r"\frac" in at.step.latex else 0.9  # a fraction is two lines high
    heights = [heading, 3.1, 2.5, 2.5][: 4 if as_product else 3]
    figure = new_figure(11, sum(heights), arranged=True)
    figure.set_layout_engine("constrained", w_pad=0.06, h_pad=0.03)
    parts: Any = figure.subfigures(len(heights), 1, height_ratios=heights)
    _heading(parts[0], at)
    _pictures(parts[1], at)
    draw_why(parts[2], at)
    if as_product:
        _matrix_product(parts[3], at)
    return figure


def _heading(figure: SubFigure, at: Look) -> None:
    """The name of the step, its section of the paper, and its formula."""
    step = at.step
    arrow = "← backward" if at.back else "→ forward"
    figure.text(0.012, 0.95, f"{step.name}  {arrow}", fontsize=14, color=INK, va="top", weight="bold")
    about = f"{step.explanation.title}, section {step.section}"
    large = step.latex.replace(r"\frac", r"\dfrac")
    figure.text(0.988, 0.95, about, fontsize=10, color=GREY, va="top", ha="right")
    figure.text(0.012, 0.1, f"${large}$", fontsize=11, color=INK, va="bottom")


def _pictures(figure: SubFigure, at: Look) -> None:
    """The image with the receptive field, the map on the input side, the kernel, the map on the output side."""
    with_kernel = at.kind == "conv"
    widths = [1, 1, 0.5, 1] if with_kernel else [1, 1, 1]
    axes = list(figure.subplots(1, len(widths), width_ratios=widths))
    _image(axes[0], at)
    inputs, outputs = (at.dx, at.dy) if at.back else (at.x, at.y)
    shown, title = _map_of(inputs, at.left)
    draw_map(axes[1], shown, f"{'dx' if at.back else 'x'}, {at.name_of(at.left) if at.reads_image else title}")
    if with_kernel:
        _kernel(axes[2], at)
    shown, title = _map_of(outputs, at.right)
    draw_map(axes[-1], shown, f"{'dy' if at.back else 'y'}, {title}")
    _marks(axes[1], axes[-1], at)
    for one in axes[1:]:
        one.annotate(
            "←" if at.back else "→", (0, 0.5), (-15, 0), xycoords="axes fraction", textcoords="offset points",
            ha="center", va="center", fontsize=15, color=GREY,
        )  # fmt: skip


def _image(axes: Axes, at: Look) -> None:
    """The picture, pale outside the receptive field."""
    top, left, bottom, right = field = at.receptive_field()
    picture = np.array(at.recording.pictures[at.image])
    pale = (255 - (255 - picture.astype("float32")) * 0.35).astype("uint8")
    pale[top:bottom, left:right] = picture[top:bottom, left:right]
    axes.imshow(pale, interpolation="nearest")
    mark(axes, field)
    pixels = say("field", bottom - top, right - left, top + 1, bottom, left + 1, right)
    bare(axes, f"image, {say('image')}", pixels)


def _map_of(array: Array, channel: int) -> tuple[Array, str]:
    """One map, or the units on a grid, with a title."""
    if array.ndim == 3:
        return array[channel], say("map", channel + 1, len(array))
    return on_grid(array), say("units", len(array))


def _kernel(axes: Axes, at: Look) -> None:
    """The kernel: in colour if it reads the image, else its weights for the map on the input side."""
    kernels = at.parameter("w")
    w, title = kernels[at.right], say("kernel", at.right + 1, len(kernels))
    if at.reads_image:
        axes.imshow(0.5 + 0.5 * w.transpose(1, 2, 0) / (np.abs(w).max() or 1), interpolation="nearest")
        bare(axes, title, times(w.shape))
    else:
        draw_map(axes, w[at.left % len(w)], title, f"its weights for {at.name_of(at.left)}")


def _marks(left: Axes, right: Axes, at: Look) -> None:
    """Mark the cell; on the other side the cells that it is connected with, and for pooling the largest of them."""
    here, there = (left, right) if at.back else (right, left)
    one, other = (at.left, at.right) if at.back else (at.right, at.left)
    inputs, outputs = (at.dx, at.dy) if at.back else (at.x, at.y)
    across = outputs if at.back else inputs
    mark_cell(here, at.cell if at.in_maps else divmod(one, on_grid(at.focus).shape[1]))
    place = (one, *at.cell) if at.in_maps else (one,)
    note = f"{entry('dx' if at.back else 'y', *place)} = {number(at.focus[place])}"
    here.set_xlabel(note, loc="left", fontsize=8.5, color=GREY)
    box = connected_cells(at)
    if at.step.row and at.step.row.window and not at.back:
        draw_edge(there, at.window, at.x.shape[1:], at.y.shape[1:])
    if box is not None:
        mark(there, box)
    elif at.kind not in ("linear", "loss") and across.ndim == 1:
        mark_cell(there, divmod(other, on_grid(across).shape[1]))
    if at.kind == "pool" and not at.back and box is not None:
        i, j = winner(at, at.cell)
        mark_cell(there, (box[0] + i, box[1] + j))


def _matrix_product(figure: SubFigure, at: Look) -> None:
    """The matrix product of the convolution: patches, kernels, the products of the marked rows, and the output.

    A row of im2col is the patch of one place of the output.
    """
    w = at.parameter("w")
    OC, channels = len(w), w.shape[1]
    first = at.first_channel(at.right)
    patches = im2col(at.x[None, first : first + channels], at.window)  # (OH*OW, KH*KW*C/G)
    kernels = w.transpose(0, 2, 3, 1).reshape(OC, -1)  # (OC, KH*KW*C/G)
    OH, OW = at.y.shape[1:]
    place = at.cell[0] * OW + at.cell[1]
    per_group = OC // at.step.layer.groups
    group = at.right // per_group * per_group
    rows = _around(place, 0, OH * OW)
    beside = _around(at.right, group, group + per_group)
    grid = figure.add_gridspec(3, 2, width_ratios=(4.6, 1), height_ratios=(3, 3, 0.7))
    strips: list[Any] = [figure.add_subplot(grid[k, 0]) for k in range(3)]
    lit = patches[place] * kernels[at.right]
    patches_shown = say("patches", rows.start + 1, rows.stop, OH * OW)
    draw_map(strips[0], patches[rows], f"im2col: {patches_shown}", stretched=True)
    draw_map(strips[1], kernels[beside], f"W: {say('kernels', beside.start + 1, beside.stop, OC)}", stretched=True)
    draw_map(strips[2], lit[None], say("marked"), stretched=True)
    for axes, row in ((strips[0], place - rows.start), (strips[1], at.right - beside.start)):
        mark(axes, (row, 0, row + 1, patches.shape[1]), width=1.4)
    product = figure.add_subplot(grid[:, 1])
    draw_map(product, patches[rows] @ kernels[beside].T, "Y = patches · Wᵀ", f"the sum: {number(float(lit.sum()))}")
    mark_cell(product, (place - rows.start, at.right - beside.start))


def _around(place: int, start: int, stop: int) -> slice:
    """The slice of ROWS places around `place`, within start ... stop - 1."""
    first = max(start, min(place - ROWS // 2, stop - ROWS))
    return slice(first, min(first + ROWS, stop))
