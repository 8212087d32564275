"""Figure 4 of the paper (section 6.1): test images with the five likeliest classes, and their nearest training images.

Axes: Q test images, N training images, D features of the last hidden layer, h, w height and width of one picture.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import ArrayLike, NDArray

from tinyalex.errors import ShapeError
from tinyalex.viz.canvas import AMBER, INK, ORANGE, PALE, Picture, new_figure, shorten, show_picture, tidy

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

FULL = 1.3  # the width of a chart, in lengths of a full bar: the percentages stand clear of it
EIGHTHS = " ▏▎▍▌▋▊▉"
CHUNK = 4 << 20  # numbers held at once while distances are computed: 32 MB


def likeliest(probabilities: ArrayLike, count: int = 5) -> NDArray[np.intp]:
    """The classes of the `count` largest probabilities (classes,), largest first; on a tie the lower."""
    return np.argsort(-np.asarray(probabilities, dtype=float), kind="stable")[:count]


def bars(names: Sequence[str], probabilities: ArrayLike, width: int = 40) -> str:
    """The five likeliest classes as text, a line each: name, bar and percentage.

    names: one a class; probabilities (classes,); width: characters of a bar that means 100 %. A bar is drawn to an
    eighth of a character. Raises ShapeError where the names do not fit the probabilities.
    """
    p = np.asarray(probabilities, dtype=float)
    if p.shape != (len(names),):
        raise ShapeError(f"probabilities of shape {p.shape} for {len(names)} names; expected one a class")
    best = likeliest(p)
    short = [shorten(names[c], 30) for c in best]
    margin = max(map(len, short), default=0)
    lines = []
    for name, c in zip(short, best, strict=True):
        full, eighths = divmod(round(8 * width * p[c]), 8)
        bar = "█" * full + EIGHTHS[eighths].strip()
        lines.append(f"{name:<{margin}}  {bar:<{width}} {100 * p[c]:5.1f} %")
    return "\n".join(lines)


def predictions(
    pictures: Sequence[Picture],
    labels: Sequence[int] | NDArray[np.integer] | None,
    probabilities: ArrayLike,
    names: Sequence[str],
    *,
    captions: Sequence[str] | None = None,
) -> Figure:
    """Draw figure 4, left: each picture, its true class, and its five likeliest as bars, the correct one in amber.

    pictures: N of (h, w, 3) uint8, of any sizes; labels (N,), or None where unknown; probabilities (N, classes), a full
    bar being 1; names: one a class; captions: what to write under the pictures in place of the true class.
    Raises ShapeError where these do not fit each other.
    """
    p = np.asarray(probabilities, dtype=float)
    count = len(pictures)
    if (
        count == 0
        or p.shape != (count, len(names))
        or any(len(x) != count for x in (labels, captions) if x is not None)
    ):
        raise ShapeError(
            f"{count} pictures with probabilities {p.shape} and {len(names)} names; expected probabilities "
            "(pictures, classes), a name a class, and a label and a caption a picture"
        )
    if captions is None:
        captions = [""] * count if labels is None else [names[label] for label in labels]
    across = min(count, 4)
    rows = -(-count // across)
    heights = (2.15, 0.38, 1.2, 0.3)  # inches: picture, its caption, its bars, space
    width, height = 2.35 * across + 0.1, sum(heights) * rows
    figure = new_figure(width, height)
    grid = figure.add_gridspec(
        len(heights) * rows,
        across,
        height_ratios=heights * rows,
        left=0.1 / width,
        right=1 - 0.1 / width,
        top=1 - 0.1 / height,
        bottom=0,
        wspace=0.1,
        hspace=0,
    )
    for n, picture in enumerate(pictures):
        row, column = divmod(n, across)
        image = figure.add_subplot(grid[4 * row, column])
        show_picture(image, picture)
        image.set_xlabel(shorten(captions[n], 24), fontsize=11, color=INK, labelpad=5, parse_math=False)
        chart = figure.add_subplot(grid[4 * row + 2, column])
        _draw_bars(chart, p[n], names, None if labels is None else int(labels[n]))
    return figure


def _draw_bars(axes: Axes, p: NDArray[np.floating], names: Sequence[str], true: int | None) -> None:
    """The likeliest classes of one picture, the first on top: a bar as long as its probability, and its name on it."""
    best = likeliest(p)
    axes.barh(range(len(best)), p[best], height=0.82, color=[AMBER if c == true else PALE for c in best])
    for place, c in enumerate(best):
        text = shorten(names[c], 22)
        axes.text(0.02, place, text, va="center", fontsize=9, color=INK, parse_math=False)
        axes.text(FULL - 0.01, place, f"{100 * p[c]:.0f} %", va="center", ha="right", fontsize=9, color=INK)
    axes.set_xlim(0, FULL)
    axes.set_ylim(4.5, -0.5)  # five places, even where there are fewer classes
    axes.set_xticks([])
    axes.set_yticks([])
    tidy(axes, frame=("left",))


def neighbours(
    queries: Sequence[Picture],
    found: Sequence[Sequence[Picture]],
    query_labels: Sequence[str],
    found_labels: Sequence[Sequence[str]],
) -> Figure:
    """Draw figure 4, right: a row a test image, and beside it the training images nearest to it, the nearest first.

    queries: Q of (h, w, 3) uint8; found: for each as many pictures, as `nearest` finds them; the labels: their classes'
    names, written under them. A neighbour of another class than its test image has a frame and a name in orange.
    Raises ShapeError where these do not fit each other.
    """
    count, across = len(queries), len(found[0]) if found else 0
    if not (
        count == len(found) == len(query_labels) == len(found_labels)
        and across > 0
        and all(len(row) == across for row in (*found, *found_labels))
    ):
        raise ShapeError(
            f"{count} test images with {len(found)} rows of neighbours, or labels of other lengths; expected for each "
            "test image a label and a row, and for each neighbour a label"
        )
    side, gap, top = 1.3, 0.3, 0.4
    width, height = side * (across + 1) + gap + 0.2, (side + 0.24) * count + top
    figure = new_figure(width, height)
    grid = figure.add_gridspec(
        count,
        across + 2,
        width_ratios=[side, gap, *[side] * across],  # the second column is the space between
        left=0.1 / width,
        right=1 - 0.1 / width,
        top=1 - top / height,
        bottom=0.24 / height,
        wspace=0.07,
        hspace=0.22,
    )
    for row, query in enumerate(queries):
        cells = [(0, query, query_labels[row])]
        cells += [(2 + k, found[row][k], found_labels[row][k]) for k in range(across)]
        for column, picture, label in cells:
            axes = figure.add_subplot(grid[row, column])
            show_picture(axes, picture)
            same = label == query_labels[row]
            axes.set_xlabel(
                shorten(label, 18), fontsize=8.5, color=INK if same else ORANGE, labelpad=3, parse_math=False
            )
            if not same:
                for spine in axes.spines.values():
                    spine.set(visible=True, color=ORANGE, linewidth=2.5)
            if row == 0 and column in (0, 2):
                title = "test image" if column == 0 else "nearest training images"
                left = axes.get_position(original=True).x0
                figure.text(left, 1 - 0.5 * top / height, title, va="center", fontsize=11, color=INK)
    return figure


def nearest(queries: NDArray[np.floating], train: NDArray[np.floating], k: int = 6) -> NDArray[np.intp]:
    """The k training images nearest to each query by Euclidean distance, nearest first; on a tie the lower index first.

    queries (Q, D), train (N, D) -> indices (Q, k). The differences are squared and summed as they are, in float64 and
    a few rows at a time: q.q - 2 q.t + t.t is faster, but its rounding can reorder near neighbours and part equal ones.
    Raises ShapeError for other shapes, or where k is not between 1 and N.
    """
    if queries.ndim != 2 or train.ndim != 2 or queries.shape[1] != train.shape[1]:
        raise ShapeError(f"features {queries.shape} and {train.shape} cannot be compared; expected (Q, D) and (N, D)")
    if not 1 <= k <= len(train):
        raise ShapeError(f"k={k} nearest of {len(train)} training images; expected k from 1 to {len(train)}")
    step = max(1, CHUNK // max(1, train.shape[1]))
    found = np.empty((len(queries), k), np.intp)
    for row, query in enumerate(queries.astype(np.float64)):
        squares = [((train[i : i + step] - query) ** 2).sum(axis=1) for i in range(0, len(train), step)]
        found[row] = np.argsort(np.concatenate(squares), kind="stable")[:k]
    return found
