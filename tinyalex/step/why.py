"""How the number of a cell is computed: a drawing of its terms, for each kind of layer."""

from __future__ import annotations

import math
from collections.abc import Callable
from itertools import product
from typing import TYPE_CHECKING, Any

import numpy as np

from tinyalex.backend import Array
from tinyalex.step.facts import number
from tinyalex.step.look import (
    Look,
    connected_cells,
    conv_shares,
    conv_terms,
    neighbours,
    window_contents,
    windows_containing,
    winner,
)
from tinyalex.step.paint import LIT, draw_bars, draw_grid
from tinyalex.step.words import entry, say
from tinyalex.viz.canvas import GREY, INK

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import SubFigure

MOST_BARS = 8


def draw_why(figure: SubFigure, at: Look) -> None:
    """Draw how the number of the cell is computed; for a kind of layer outside `WHY`, only what it is computed from."""
    WHY.get(at.kind, _plain)(figure, at)


def _write(axes: Axes, text: str) -> None:
    """Write the calculation, which ends in the number of the cell."""
    axes.set_axis_off()
    axes.text(0, 0.5, text.replace("-", "−"), fontsize=10, color=INK, va="center", linespacing=1.7)


def _strongest(values: Array, lit: int | None = None) -> tuple[Array, int | None]:
    """The indices of the values with the largest magnitudes, `lit` among them; and where `lit` is among these."""
    order = np.argsort(-np.abs(values), kind="stable")[:MOST_BARS]
    if lit is None:
        return order, None
    if lit not in order:
        order[-1] = lit
    return order, int(np.flatnonzero(order == lit)[0])


def _plain(figure: SubFigure, at: Look) -> None:
    """The numbers in the window (in a backward step those of the windows that contain the cell), and the result."""
    grid, text = figure.subplots(1, 2)
    if not at.in_maps:
        read = np.reshape(at.dy[at.right] if at.back else at.x[at.left], (1, 1))
    elif at.back:
        windows = windows_containing(at.window, at.cell, at.dy.shape[1:])
        read = at.dy[at.right][np.ix_(*([number for number, _ in side] for side in windows))]
    else:
        read = window_contents(at.window, at.x[at.left], at.cell)
    if read.size:
        draw_grid(grid, read, "dy of the windows that contain the cell" if at.back else say("window"))
    else:
        grid.set_axis_off()
    place = (at.left if at.back else at.right, *(at.cell if at.in_maps else ()))
    _write(text, f"by the formula above\n{'dx' if at.back else 'y'} = {number(at.focus[place])}")


def _conv(figure: SubFigure, at: Look) -> None:
    """Three grids, the two factors and their products, for one map; and the share of each map on the other side."""
    first, shares = conv_shares(at)
    one, two = conv_terms(at)
    side = at.right if at.back else at.left
    axes = figure.subplots(1, 5, width_ratios=(1, 1, 1, 1.3, 1.1))
    titles = (say("windows" if at.back else "window"), say("weights"), say("products"))
    if one[0].size:
        for k, (title, values) in enumerate(
            zip(titles, (one[side - first], two[side - first], (one * two)[side - first]), strict=True)
        ):
            draw_grid(axes[k], np.asarray(values, "float64"), title)
    else:
        for unused in axes[:3]:
            unused.set_axis_off()
    order, lit = _strongest(shares, side - first)
    names = [f"kernel {first + k + 1}" if at.back else at.name_of(first + k) for k in order]
    draw_bars(axes[3], names, shares[order], lit=lit, title=f"share of each of {len(shares)}")
    if at.back:
        _write(axes[4], f"their sum\n= {number(at.dx[(at.left, *at.cell)])}")
    else:
        bias = float(at.parameter("b")[at.right])
        y = number(at.y[(at.right, *at.cell)])
        _write(axes[4], f"{say('sum', one.size)} {number(float(shares.sum()))}\n+ {say('bias')} {number(bias)}\n= {y}")


def _activation(figure: SubFigure, at: Look) -> None:
    """The function with the cell as a point on it; in a backward step, its slope there."""
    place = (at.right, *at.cell) if at.y.ndim == 3 else (at.right,)
    x, y = float(at.x[place]), float(at.y[place])
    axes, text = figure.subplots(1, 2, width_ratios=(1.4, 1))
    compute: Callable[[Array], Array] = np.tanh if at.kind == "tanh" else lambda v: np.maximum(v, 0)
    reach = max(1.0, 1.3 * abs(x)) if math.isfinite(x) else 1.0
    dots = np.linspace(-reach, reach, 201)
    axes.plot(dots, compute(dots), color=INK, linewidth=1.4)
    axes.plot([x, x, 0], [0, y, y], color=GREY, linewidth=0.8, linestyle=":")
    axes.plot([x], [y], "o", color=LIT, markersize=8)
    axes.axhline(0, color=GREY, linewidth=0.6)
    axes.axvline(0, color=GREY, linewidth=0.6)
    axes.tick_params(labelsize=8, colors=GREY)
    for spine in axes.spines.values():
        spine.set_visible(False)
    if at.back:
        slope, dy, dx = 1 - y * y if at.kind == "tanh" else float(y > 0), at.dy[place], at.dx[place]
        _write(text, f"slope {number(slope)} here\ndx = {number(dy)} · {number(slope)} = {number(dx)}")
    else:
        name = "tanh(x)" if at.kind == "tanh" else "max(0, x)"
        _write(text, f"x = {number(x)}\ny = {name} = {number(y)}")


def _lrn(figure: SubFigure, at: Look) -> None:
    """Forward: the squares of the maps in the window. Backward: the term of each map that the cell damps."""
    layer: Any = at.step.layer
    half = layer.size // 2
    axes, text = figure.subplots(1, 2, width_ratios=(1.4, 1))

    def scale(j: int) -> float:
        seen = neighbours(at, j, -half)
        return float(layer.k + layer.alpha * np.square(at.x[(seen, *at.cell)], dtype="float64").sum())

    c = at.left
    x, s = float(at.x[(c, *at.cell)]), scale(c)
    if not at.back:
        seen = neighbours(at, c, -half)
        squares = np.square(at.x[(seen, *at.cell)])
        draw_bars(axes, [f"map {j + 1}" for j in seen], squares, lit=seen.index(c), title=say("squares"))
        total, y = number(float(squares.sum())), number(at.y[(c, *at.cell)])
        damping = f"s = k + α · sum = {number(layer.k)} + {number(layer.alpha)} · {total} = {number(s)}"
        _write(text, f"{damping}\ny = x / sᵝ = {number(x)} / {number(s)}$^{{{layer.beta}}}$ = {y}")
        return
    seen = neighbours(at, c, half - layer.size + 1)
    taken = np.array([float(at.dy[(j, *at.cell)] * at.y[(j, *at.cell)]) / scale(j) for j in seen])
    draw_bars(
        axes, [f"map {j + 1}" for j in seen], taken, lit=seen.index(c), title="dy · y / s of the maps that it damps"
    )
    own = float(at.dy[(c, *at.cell)]) * s**-layer.beta
    cost = -2 * layer.alpha * layer.beta * x * taken.sum()
    _write(text, f"dy / sᵝ = {number(own)}\n−2αβ x · sum = {number(cost)}\ndx = {number(at.dx[(c, *at.cell)])}")


def _spatial_norm(figure: SubFigure, at: Look) -> None:
    """Forward: the squares of the cells in the window. Backward: the terms of the cells that the cell damps."""
    layer: Any = at.step.layer
    left, text = figure.subplots(1, 2)
    scale = 1 + layer.alpha * layer._sum_around(np.square(at.x[None], dtype="float64"))[0, at.left]
    if at.back:
        taken = at.dy[at.left].astype("float64") * at.y[at.left] / scale
        draw_grid(left, window_contents(at.window, taken, at.cell), "dy · y / s of the cells around")
        _write(text, f"dx = dy / sᵝ − 2αβ x · their sum\ndx = {number(at.dx[(at.left, *at.cell)])}")
    else:
        s, y = float(scale[at.cell]), at.y[(at.left, *at.cell)]
        draw_grid(left, window_contents(at.window, np.square(at.x[at.left]), at.cell), "x² of the cells around")
        _write(text, f"s = 1 + α · sum = {number(s)}\ny = x / sᵝ = {number(y)}")


def _pool(figure: SubFigure, at: Look) -> None:
    """Forward: the window and its largest cell. Backward: the gradient from each window that contains the cell."""
    grid, text = figure.subplots(1, 2)
    if not at.back:
        i, j = winner(at, at.cell)
        draw_grid(grid, window_contents(at.window, at.x[at.left], at.cell), say("window"), lit=(i, j))
        (top, left, *_), c = connected_cells(at) or (0, 0), at.left
        _write(text, f"{entry('x', c, top + i, left + j)} wins\ny = {number(at.y[(at.right, *at.cell)])}")
        return
    rows, columns = windows_containing(at.window, at.cell, at.dy.shape[1:])
    sent = np.zeros((len(rows), len(columns)))
    for (k, (u, i)), (m, (v, j)) in product(enumerate(rows), enumerate(columns)):
        sent[k, m] = at.dy[at.left, u, v] if winner(at, (u, v)) == (i, j) else 0
    if sent.size:
        draw_grid(grid, sent, "dy of the windows where it is the maximum")
    else:
        grid.set_axis_off()
    _write(text, f"{sent.size} windows contain the cell\ndx = {number(at.dx[(at.left, *at.cell)])}")


def _average_pool(figure: SubFigure, at: Look) -> None:
    """Forward: the window and its mean. Backward: the share from each window that contains the cell."""
    grid, text = figure.subplots(1, 2)
    cells = at.window.cells_inside(*at.x.shape[1:])
    if not at.back:
        seen, n = window_contents(at.window, at.x[at.left], at.cell), cells[at.cell[0]][at.cell[1]]
        draw_grid(grid, seen, say("window"))
        total, y = number(float(np.nansum(seen, dtype="float64"))), number(at.y[(at.right, *at.cell)])
        _write(text, f"sum {total}\n÷ {n} cells\ny = {y}")
        return
    rows, columns = windows_containing(at.window, at.cell, at.dy.shape[1:])
    shares = np.array([[at.dy[at.right, u, v] / cells[u][v] for v, _ in columns] for u, _ in rows])
    if shares.size:
        draw_grid(grid, shares, "dy ÷ cells of the windows that contain it")
    else:
        grid.set_axis_off()
    _write(text, f"{shares.size} windows contain the cell\ndx = their sum = {number(at.dx[(at.left, *at.cell)])}")


def _linear(figure: SubFigure, at: Look) -> None:
    """The largest products in the sum of a unit, or in a backward step of a feature."""
    axes, text = figure.subplots(1, 2, width_ratios=(1.4, 1))
    w = at.parameter("w")
    terms = w[:, at.left] * at.dy if at.back else w[at.right] * at.x
    what = "dy" if at.back else "x"
    order, _ = _strongest(terms)
    draw_bars(axes, [entry(what, int(k)) for k in order], terms[order], title=f"the largest of {len(terms):,} products")
    total = number(float(terms.sum(dtype="float64")))
    if at.back:
        _write(text, f"{say('sum', len(terms))} {total}\n{entry('dx', at.left)} = {number(at.dx[at.left])}")
    else:
        bias, y = number(float(at.parameter("b")[at.right])), number(at.y[at.right])
        _write(
            text,
            f"{say('sum', len(terms))} {total}\n+ {say('bias')} {bias}\n{entry('y', at.right)} = {y}",
        )


def _dropout(figure: SubFigure, at: Look) -> None:
    """The number before and after the mask."""
    text = figure.subplots()
    before, after = (at.dy, at.dx) if at.back else (at.x, at.y)
    _write(text, f"{say('unit', at.left + 1, len(before))}\n{number(before[at.left])} becomes {number(after[at.left])}")


def _flatten(figure: SubFigure, at: Look) -> None:
    """The cell and the feature that hold the same number."""
    maps = at.dx if at.back else at.x
    unit = at.right
    c, p, q = (int(place) for place in np.unravel_index(unit, maps.shape))
    _, H, W = maps.shape
    where = f"{entry('y', unit)} is {entry('x', c, p, q)}"
    _write(figure.subplots(), f"{where}, as {c} · {H * W} + {p} · {W} + {q} = {unit}")


def _loss(figure: SubFigure, at: Look) -> None:
    """Logits, probabilities and gradient of the likeliest classes; the right class in amber."""
    axes = figure.subplots(1, 3)
    label = None if at.recording.labels is None else int(at.recording.labels[at.image])
    order, lit = _strongest(at.y, label)
    names = [at.recording.classes[k][:18] for k in order]
    titles = [say(name) for name in ("logits", "probabilities", "gradient")]
    for one, title, values in zip(axes, titles, (at.x, at.y, at.dx), strict=True):
        draw_bars(one, names, values[order], lit=lit, title=title)
    if label is not None:
        loss = number(-math.log(max(float(at.y[label]), np.finfo(at.y.dtype).tiny)))
        axes[1].set_xlabel(f"p = {number(float(at.y[label]))}: {say('loss', loss)}", fontsize=9, color=INK)


WHY: dict[str, Callable[[Any, Look], None]] = {
    "conv": _conv,
    "relu": _activation,
    "tanh": _activation,
    "lrn": _lrn,
    "spatial-norm": _spatial_norm,
    "pool": _pool,
    "average-pool": _average_pool,
    "linear": _linear,
    "dropout": _dropout,
    "flatten": _flatten,
    "loss": _loss,
}
