"""What is looked at in a recorded pass: a step, a map and a cell of it; and the few numbers that make that cell.

Axes: C maps, H, W height and width, KH, KW window size. A row of D units is taken as D maps of one cell.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from itertools import product
from typing import Any

import numpy as np

from tinyalex.backend import Array
from tinyalex.errors import ShapeError, UsageError
from tinyalex.step.field import Box, receptive_field, window_of
from tinyalex.step.recording import Recording
from tinyalex.step.steps import Direction, Step
from tinyalex.window import Pair, Window

COLOURS = ("red", "green", "blue")


@dataclass(frozen=True)
class Look:
    """A cell of a step, resolved: the pictures and the sums are drawn from it.

    left, right: the map of the input side and of the output side.   cell: (row, column), of the output, or on the way
    back of the input.   x, y, dy, dx: (C, H, W) or (D,), of one image; None where the step has no such array.
    """

    recording: Recording
    step: Step
    image: int
    left: int
    right: int
    cell: Pair
    x: Array
    y: Array
    dy: Array
    dx: Array

    @property
    def kind(self) -> str:
        """The kind of the layer."""
        return self.step.explanation.kind

    @property
    def back(self) -> bool:
        """Is it a step backward?"""
        return self.step.direction == "backward"

    @property
    def focus(self) -> Array:
        """The array that the cell lies in: y, or on the way back dx."""
        return self.dx if self.back else self.y

    @property
    def in_maps(self) -> bool:
        """Does the cell lie in maps, not among units?"""
        return bool(self.focus.ndim == 3)

    @property
    def reads_image(self) -> bool:
        """Is the input the image, in its three colours?"""
        return self.step.name == self.recording.rows[0].name and len(self.x) == 3

    @property
    def window(self) -> Window:
        """The window that the layer slides over its input; of a layer that looks at a cell at a time, that cell."""
        one_cell = Window((1, 1), (1, 1), (0, 0), False)
        return (window_of(self.step.row) if self.step.row else None) or one_cell

    def name_of(self, channel: int) -> str:
        """What a map of the input is called: of the image, its colour."""
        return COLOURS[channel] if self.reads_image else f"map {channel}"

    def parameter(self, key: str) -> Array:
        """The layer's "w" or "b"."""
        return self.recording.params[f"{self.step.name}.{key}"]

    def first_channel(self, kernel: int) -> int:
        """The first of the channels that a kernel of the convolution reads."""
        w, layer = self.parameter("w"), self.step.layer
        return int(kernel // (len(w) // layer.groups) * w.shape[1])

    def first_kernel(self, channel: int) -> int:
        """The first of the kernels that read a channel of the convolution's input."""
        w, layer = self.parameter("w"), self.step.layer
        return int(channel // w.shape[1] * (len(w) // layer.groups))

    def receptive_field(self) -> Box:
        """The pixels of the image that the cell depends on; on the way back, the cell of the input."""
        names = [row.name for row in self.recording.rows]
        if self.step.row is None:
            return receptive_field(self.recording.rows, names[-1])
        number = names.index(self.step.name) - self.back
        if number < 0:  # the cell is a pixel of the image itself
            return Box(*self.cell, self.cell[0] + 1, self.cell[1] + 1)
        return receptive_field(self.recording.rows, names[number], self.cell if self.in_maps else None)


def look(
    recording: Recording,
    name: str,
    *,
    cell: Pair | None = None,
    channel: int | None = None,
    other: int | None = None,
    direction: Direction = "forward",
    image: int = 0,
) -> Look:
    """The cell that `tinyalex.step.show` draws; without a cell or map, the one with the largest number.

    Raises UsageError for a layer, direction, image or map that the pass does not have, ShapeError for such a cell.
    """
    if direction not in ("forward", "backward"):
        raise UsageError(f"direction={direction!r}: expected 'forward' or 'backward'")
    both = recording[name]
    step = both.forward if direction == "forward" else both.backward
    if step is None:
        raise UsageError(
            f"{name} has no backward step: record with labels; of the loss, forward shows its gradient too"
        )
    if not 0 <= image < len(recording.x):
        raise UsageError(f"image={image}: the pass holds the images 0 ... {len(recording.x) - 1}")
    found = {**both.forward.arrays, **step.arrays}
    arrays: dict[str, Any] = {key: found[key][image] if key in found else None for key in ("x", "y", "dy", "dx")}
    focus = arrays["y" if direction == "forward" else "dx"]
    channel, cell = _chosen(step, focus, channel, cell, signed=direction == "forward")
    at = Look(recording, step, image, channel, channel, cell, **arrays)
    across = _other_side(at, channel, other)
    return replace(at, right=across) if at.back else replace(at, left=across)


def _chosen(step: Step, focus: Array, channel: int | None, cell: Pair | None, signed: bool) -> tuple[int, Pair]:
    """The map and cell asked for, or the largest; of gradients, which have no preferred sign, the largest in size."""
    if focus.ndim == 1 and cell is not None:
        raise ShapeError(f"{step.name} has units, no maps: name one as channel=, without cell=")
    maps = focus if focus.ndim == 3 else focus[:, None, None]
    C, H, W = maps.shape
    if channel is not None and not 0 <= channel < C:
        raise UsageError(f"channel={channel}: {step.name} has {C} {'maps' if focus.ndim == 3 else 'units'} here")
    if cell is not None and not (len(cell) == 2 and 0 <= cell[0] < H and 0 <= cell[1] < W):
        raise ShapeError(f"cell={cell}: the maps of {step.name} are {H} x {W} here, counted from 0")
    size = maps if signed else np.abs(maps)
    if channel is None:
        channel = int((size.max(axis=(1, 2)) if cell is None else size[:, cell[0], cell[1]]).argmax())
    if cell is None:
        row, column = np.unravel_index(size[channel].argmax(), (H, W))
        cell = int(row), int(column)
    return channel, (int(cell[0]), int(cell[1]))


def _other_side(at: Look, channel: int, other: int | None) -> int:
    """The map on the other side of the layer: the one asked for, or that with the largest share in the cell."""
    if at.kind == "conv":
        first, shares = conv_shares(at)
        if other is None:
            return first + int(np.abs(shares).argmax())
        if not first <= other < first + len(shares):
            what = "kernels" if at.back else "channels"
            raise UsageError(f"other={other}: the {what} here are {first} ... {first + len(shares) - 1}")
        return other
    if other is not None:
        raise UsageError(f"other={other}: only a convolution joins several maps")
    if at.kind == "flatten":
        shape = (at.dx if at.back else at.x).shape
        if at.back:
            return int(np.ravel_multi_index((channel, *at.cell), shape))
        return int(np.unravel_index(channel, shape)[0])
    return channel


# ---------------------------------------------------------------- the numbers of a cell


def under(window: Window, maps: Array, cell: Pair) -> Array:
    """What the window at an output cell sees of maps (..., H, W): (..., KH, KW), NaN outside them."""
    KH, KW = window.kernel
    top, left = (place * stride - pad for place, stride, pad in zip(cell, window.stride, window.pad, strict=True))
    seen = np.full((*maps.shape[:-2], KH, KW), np.nan)
    for i, j in product(range(KH), range(KW)):
        if 0 <= top + i < maps.shape[-2] and 0 <= left + j < maps.shape[-1]:
            seen[..., i, j] = maps[..., top + i, left + j]
    return seen


def over(window: Window, cell: Pair, output: Pair) -> tuple[list[Pair], list[Pair]]:
    """Along each axis the windows that see an input cell: (which window, which of its cells)."""
    sides: list[list[Pair]] = []
    for place, kernel, stride, pad, count in zip(cell, window.kernel, window.stride, window.pad, output, strict=True):
        found = [(number, place + pad - number * stride) for number in range(count)]
        sides.append([(number, inside) for number, inside in found if 0 <= inside < kernel])
    return sides[0], sides[1]


def joined_cells(at: Look) -> tuple[int, int, int, int] | None:
    """The cells on the maps of the other side that the cell is joined with: top, left, bottom, right, as far as the
    window reaches, be it past the edge. None where it is joined with units, or with all of them.
    """
    (row, column), window = at.cell, at.window
    if at.kind == "flatten" and not at.back:
        _, row, column = (int(place) for place in np.unravel_index(at.right, at.x.shape))
    elif not at.in_maps or at.kind == "flatten":
        return None
    elif at.back:
        rows, columns = over(window, at.cell, at.dy.shape[1:])
        return (rows[0][0], columns[0][0], rows[-1][0] + 1, columns[-1][0] + 1) if rows and columns else None
    top, left = (
        place * stride - pad for place, stride, pad in zip((row, column), window.stride, window.pad, strict=True)
    )
    return top, left, top + window.kernel[0], left + window.kernel[1]


def winner(at: Look, place: Pair) -> Pair:
    """The cell (i, j) of the pooling window at an output place that was the largest, the first of equals."""
    i, j = np.unravel_index(np.nanargmax(under(at.window, at.x[at.left], place)), at.window.kernel)
    return int(i), int(j)


def conv_terms(at: Look) -> tuple[Array, Array]:
    """The two factors of every product of a convolution's cell.

    Forward: what the kernel sees and its weights, both (C/G, KH, KW).   Backward: for each kernel that reads the map,
    dy of the windows over the cell and the weights that they met it with, both (OC/G, windows, windows).
    """
    w = at.parameter("w")
    if not at.back:
        first = at.first_channel(at.right)
        return under(at.window, at.x[first : first + w.shape[1]], at.cell), w[at.right]
    first = at.first_kernel(at.left)
    rows, columns = over(at.window, at.cell, at.dy.shape[1:])
    count = len(w) // at.step.layer.groups
    kernels = slice(first, first + count)
    places = np.ix_(*([number for number, _ in side] for side in (rows, columns)))
    cells = np.ix_(*([inside for _, inside in side] for side in (rows, columns)))
    return at.dy[kernels][:, places[0], places[1]], w[kernels, at.left % w.shape[1]][:, cells[0], cells[1]]


def conv_shares(at: Look) -> tuple[int, Array]:
    """The number of the first map on the other side, and the share of each of them in the cell."""
    one, two = conv_terms(at)
    shares = np.nansum(one.astype("float64") * two, axis=(1, 2))
    return (at.first_kernel(at.left) if at.back else at.first_channel(at.right)), shares


def neighbours(at: Look, channel: int, first: int) -> list[int]:
    """The maps channel + first ... of a normalisation's window that exist in the channel's group."""
    layer = at.step.layer
    per_group = len(at.y) // layer.groups
    start = channel // per_group * per_group
    window = range(channel + first, channel + first + layer.size)
    return [j for j in window if start <= j < start + per_group]
