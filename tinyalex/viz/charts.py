"""Charts of a run: learning curves and confusion matrix."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from tinyalex.errors import DataError, LabelError, ShapeError
from tinyalex.viz.canvas import BLUE, GREY, INK, ORANGE, new_figure, shorten, tidy

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

MOST_RATES = 8  # with more changes of the learning rate than this, only the first and last rate are written
MOST_NUMBERED, MOST_NAMED = 20, 50  # a confusion matrix of at most so many classes has numbers, and names


def learning_curves(history: Sequence[Mapping[str, Any]]) -> Figure:
    """Draw the loss (left) and the error in percent (right) over the epochs; thin lines mark changes of learning rate.

    history: one record for each epoch, with `epoch` and any of `train_loss`, `val_loss` (mean nats of an image),
    `train_top1_error`, `val_top1_error`, `val_top5_error` (fractions) and `lr`. Missing values and None are not drawn.
    A point lies at the end of its epoch. A thin line lies at the end of the last epoch with the old learning rate.
    Raises DataError for an empty history.
    """
    if not history:
        raise DataError("got an empty history: expected a record for each epoch; train for at least one epoch")
    figure = new_figure(10, 4.2, arranged=True)
    loss, error = figure.subplots(1, 2)
    _curve(loss, history, "train_loss", "training", BLUE)
    _curve(loss, history, "val_loss", "validation", ORANGE)
    _curve(error, history, "train_top1_error", "training, top-1", BLUE, percent=True)
    _curve(error, history, "val_top1_error", "validation, top-1", ORANGE, percent=True)
    _curve(error, history, "val_top5_error", "validation, top-5", ORANGE, percent=True, dashed=True)

    first, last = history[0]["epoch"], history[-1]["epoch"]
    for axes, name in ((loss, "cross-entropy loss (nats)"), (error, "error (%)")):
        tidy(axes)
        axes.set_xlabel("epoch", fontsize=11, color=INK)
        axes.set_ylabel(name, fontsize=11, color=INK)
        axes.set_xlim(first - 1, last + 0.04 * (last - first + 1))
        axes.update_datalim([(first, 0)])  # so that matplotlib takes its margin of the whole height
        axes.autoscale_view(scalex=False)
        axes.set_ylim(bottom=0)
        axes.xaxis.get_major_locator().set_params(integer=True)
        axes.grid(axis="y", color="#e6e6e6", linewidth=0.8)
        axes.set_axisbelow(True)
        if axes.lines:
            axes.legend(loc="best", framealpha=1, edgecolor="white", borderaxespad=0, fontsize=10, labelcolor=INK)
        _mark_rates(axes, [(record["epoch"], record["lr"]) for record in history if record.get("lr") is not None])
    return figure


def _curve(
    axes: Axes,
    history: Sequence[Mapping[str, Any]],
    key: str,
    name: str,
    color: str,
    *,
    percent: bool = False,
    dashed: bool = False,
) -> None:
    """Draw a line through the records that have `key`; for a percentage the legend gives the last value."""
    points = [(record["epoch"], record[key]) for record in history if record.get(key) is not None]
    if not points:
        return
    epochs, values = np.array(points, dtype=float).T
    if percent:
        values = 100 * values
        name = f"{name}: {values[-1]:.1f} %"
    marker = "o" if len(points) <= 20 else ""  # a single epoch is a point, ninety are a line
    style = "--" if dashed else "-"
    axes.plot(epochs, values, style, color=color, label=name, linewidth=1.8, marker=marker, markersize=4)


def _mark_rates(axes: Axes, rates: list[tuple[float, float]]) -> None:
    """Draw a thin line at each change of the learning rate, and write each rate above the axes where it begins."""
    if not rates:
        return
    left, right = axes.get_xlim()
    changes = [(epoch, f"{new:.3g}") for (epoch, old), (_, new) in pairwise(rates) if new != old]
    labels = [(left, f"lr {rates[0][1]:.3g}"), *changes]
    if len(changes) > MOST_RATES:
        labels = [(left, f"lr {rates[0][1]:.3g} to {rates[-1][1]:.3g}")]
    row_ends: list[float] = []  # the end of the last label of each row; a label that would overlap goes one row up
    for epoch, text in labels:
        row = next((row for row, end in enumerate(row_ends) if end <= epoch), len(row_ends))
        row_ends[row : row + 1] = [epoch + 0.022 * (len(text) + 1) * (right - left)]
        axes.annotate(
            text,
            (epoch, 1),
            xycoords=("data", "axes fraction"),
            xytext=(0, 3 + 11 * row),
            textcoords="offset points",
            fontsize=9,
            color=GREY,
        )
    x = [epoch for epoch, _ in labels[1:]]
    axes.vlines(x, 0, 1, transform=axes.get_xaxis_transform(), color=GREY, linewidth=0.7, zorder=1)


def confusion_matrix(labels: ArrayLike, predicted: ArrayLike, classes: int) -> NDArray[np.int64]:
    """Count how often an image of class i was classified as j: counts[i, j] = #{n: labels[n] = i and predicted[n] = j}.

    labels, predicted (N,) integers from 0 to classes - 1 -> counts (classes, classes) int64.
    Raises LabelError for other values, ShapeError for arrays of different length.
    """
    true, guess = np.asarray(labels), np.asarray(predicted)
    if true.ndim != 1 or true.shape != guess.shape:
        raise ShapeError(
            f"got labels {true.shape} and predictions {guess.shape}: expected (N,) for both, one for each image"
        )
    for name, values in (("labels", true), ("predictions", guess)):
        if values.dtype.kind not in "iu" or (values.size and not 0 <= values.min() <= values.max() < classes):
            found = f"from {values.min()} to {values.max()}" if values.dtype.kind in "iu" else f"in {values.dtype}"
            raise LabelError(
                f"got {name} {found}: expected integers from 0 to {classes - 1}; check the number of classes"
            )
    cells = true.astype(np.int64) * classes + guess.astype(np.int64)
    return np.bincount(cells, minlength=classes * classes).astype(np.int64).reshape(classes, classes)


def confusion(matrix: ArrayLike, names: Sequence[str]) -> Figure:
    """Draw a confusion matrix: rows are true classes, columns are predictions, the shade is the percentage of the row.

    matrix: counts (classes, classes) from `confusion_matrix`.   names: a name for each class. Up to 20 classes the
    percentages are written in the cells, but none for a count of 0. Up to 50 classes the names are written at the axes.
    A class without images has an empty row. Raises ShapeError where the matrix does not fit the names.
    """
    from matplotlib.colors import PowerNorm

    counts = np.asarray(matrix)
    classes = len(names)
    if classes == 0 or counts.shape != (classes, classes):
        raise ShapeError(
            f"got a confusion matrix of shape {counts.shape}: expected a row and a column for each of {classes} names"
        )
    percent = 100 * counts / np.maximum(counts.sum(axis=1, keepdims=True), 1)  # (classes, classes)
    numbered, named = classes <= MOST_NUMBERED, classes <= MOST_NAMED

    side = min(max(3.2, 0.52 * classes if numbered else 0.2 * classes), 8)
    figure = new_figure(side + 2.4, side + 1.2, arranged=True)
    axes = figure.subplots()
    scale = PowerNorm(1 if numbered else 0.5, 0, 100)  # without numbers, a root scale shows rare confusions
    # "antialiased": large cells keep sharp edges; cells smaller than a pixel are averaged, not dropped
    image = axes.imshow(percent, cmap="Blues", norm=scale, interpolation="antialiased")
    tidy(axes, frame=("left", "right", "top", "bottom"))
    if named:
        short = [shorten(name, 20) for name in names]
        axes.set_xticks(range(classes), short, rotation=45, ha="right", rotation_mode="anchor", parse_math=False)
        axes.set_yticks(range(classes), short, parse_math=False)
        axes.tick_params(length=0, labelsize=10 if numbered else 8)
    if numbered:
        _write_percentages(axes, percent)
    axes.set_xlabel("predicted class", fontsize=11, color=INK)
    axes.set_ylabel("true class", fontsize=11, color=INK)
    _title(axes, counts)
    bar = figure.colorbar(image, ax=axes, shrink=0.6, aspect=25, pad=0.02, ticks=range(0, 101, 20))
    bar.set_label("share of the true class (%)", fontsize=10, color=INK)
    tidy(bar.ax, frame=())
    bar.outline.set_visible(False)
    return figure


def _write_percentages(axes: Axes, percent: NDArray[np.floating]) -> None:
    """Write each percentage above 0 in its cell of a confusion matrix."""
    for i, j in zip(*np.nonzero(percent), strict=True):
        ink = "white" if percent[i, j] > 55 else INK
        axes.text(j, i, f"{percent[i, j]:.0f}", ha="center", va="center", fontsize=9, color=ink)


def _title(axes: Axes, counts: NDArray[np.integer]) -> None:
    """Write the number of images and the top-1 error above a confusion matrix."""
    total = int(counts.sum())
    wrong = 100 * (1 - counts.trace() / max(total, 1))
    axes.set_title(f"{total:,} images, top-1 error {wrong:.1f} %", fontsize=11, color=INK, loc="left")
