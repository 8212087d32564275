"""Figure 4 of the paper (section 6.1): test images with their five likeliest classes, and the nearest training images.

Axes: Q test images, N training images, D features of the last hidden layer, h, w height and width of one picture.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import ArrayLike, NDArray

from tinyalex.errors import ShapeError
from tinyalex.viz.canvas import AMBER, INK, ORANGE, PALE, Picture, new_figure, shorten, show_picture, tidy

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

FULL = 1.3  # the width of a chart; a bar of 100 % is 1 wide, so the percentages have room beside it
ROW = (2.15, 0.38, 1.2, 0.3)  # inches: a picture, its caption, its bars, space
EIGHTHS = " ▏▎▍▌▋▊▉"
CHUNK = 4 << 20  # numbers in memory at once while distances are computed: 32 MB


def likeliest(probabilities: ArrayLike, count: int = 5) -> NDArray[np.intp]:
    """The classes of the `count` largest probabilities (classes,), the largest first; of equal ones the lower class."""
    return np.argsort(-np.asarray(probabilities, dtype=float), kind="stable")[:count]


def bars(names: Sequence[str], probabilities: ArrayLike, width: int = 40) -> str:
    """The five likeliest classes as text, one line each: name, bar and percentage.

    names: a name for each class.   probabilities: (classes,).   width: the characters of a bar of 100 %. The length of
    a bar is exact to an eighth of a character. Raises ShapeError for another number of names.
    """
    p = np.asarray(probabilities, dtype=float)
    if p.shape != (len(names),):
        raise ShapeError(f"got probabilities of shape {p.shape} for {len(names)} names: expected one for each name")
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
    """Draw figure 4, left: each picture, its true class, and its five likeliest classes as bars, the true one in amber.

    pictures: N of (h, w, 3) uint8, of any sizes.   labels: (N,), or None if unknown.   probabilities: (N, classes).
    names: a name for each class.   captions: texts to write under the pictures in place of the true class.
    Raises ShapeError where these do not fit each other.
    """
    p = np.asarray(probabilities, dtype=float)
    count = len(pictures)
    fit = p.shape == (count, len(names)) and all(len(x) == count for x in (labels, captions) if x is not None)
    if count == 0 or not fit:
        raise ShapeError(
            f"got {count} pictures with probabilities {p.shape} and {len(names)} names: expected probabilities "
            "(pictures, classes), a name for each class, and a label and a caption for each picture"
        )
    if captions is None:
        captions = [""] * count if labels is None else [names[label] for label in labels]
    across = min(count, 4)
    rows = -(-count // across)
    width, height = 2.35 * across + 0.1, sum(ROW) * rows
    figure = new_figure(width, height)
    edges = {"left": 0.1 / width, "right": 1 - 0.1 / width, "top": 1 - 0.1 / height, "bottom": 0}
    grid = figure.add_gridspec(4 * rows, across, height_ratios=ROW * rows, **edges, wspace=0.1, hspace=0)
    for n, picture in enumerate(pictures):
        row, column = divmod(n, across)
        image = figure.add_subplot(grid[4 * row, column])
        show_picture(image, picture)
        image.set_xlabel(shorten(captions[n], 24), fontsize=11, color=INK, labelpad=5, parse_math=False)
        chart = figure.add_subplot(grid[4 * row + 2, column])
        _draw_bars(chart, p[n], names, None if labels is None else int(labels[n]))
    return figure


def _draw_bars(axes: Axes, p: NDArray[np.floating], names: Sequence[str], true: int | None) -> None:
    """Draw the likeliest classes of one picture, the first on top: a bar as long as the probability, with the name."""
    best = likeliest(p)
    axes.barh(range(len(best)), p[best], height=0.82, color=[AMBER if c == true else PALE for c in best])
    for place, c in enumerate(best):
        text = shorten(names[c], 22)
        axes.text(0.02, place, text, va="center", fontsize=9, color=INK, parse_math=False)
        axes.text(FULL - 0.01, place, f"{100 * p[c]:.0f} %", va="center", ha="right", fontsize=9, color=INK)
    axes.set_xlim(0, FULL)
    axes.set_ylim(4.5, -0.5)  # room for five bars, even if there are fewer classes
    axes.set_xticks([])
    axes.set_yticks([])
    tidy(axes, frame=("left",))


def neighbours(
    queries: Sequence[Picture],
    found: Sequence[Sequence[Picture]],
    query_labels: Sequence[str],
    found_labels: Sequence[Sequence[str]],
    *,
    titles: tuple[str, str] = ("test image", "nearest training images"),
    classes: bool = True,
) -> Figure:
    """Draw figure 4, right: in each row a test image, and beside it the nearest training images, the nearest first.

    queries: Q test images of (h, w, 3) uint8.   found: for each the training images that `nearest` finds, equally many.
    query_labels, found_labels: the names of their classes, written below. A neighbour of another class than the test
    image has a frame and a name in orange.   classes: False if the labels are any texts; then nothing is orange.
    titles: of the test images and of the others.
    Raises ShapeError where these do not fit each other.
    """
    count, across = len(queries), len(found[0]) if found else 0
    rows_fit = count == len(found) == len(query_labels) == len(found_labels)
    if not rows_fit or across == 0 or any(len(row) != across for row in (*found, *found_labels)):
        raise ShapeError(
            f"got {count} test images with {len(found)} rows of neighbours and {len(found_labels)} of labels: expected "
            "for each test image a label and a row, and for each neighbour a label"
        )
    side, gap, top = 1.3, 0.3, 0.4
    width, height = side * (across + 1) + gap + 0.2, (side + 0.24) * count + top
    figure = new_figure(width, height)
    widths = [side, gap, *[side] * across]  # the second column is the space between
    grid = figure.add_gridspec(
        count, across + 2, width_ratios=widths, left=0.1 / width, right=1 - 0.1 / width, top=1 - top / height,
        bottom=0.24 / height, wspace=0.07, hspace=0.22,
    )  # fmt: skip
    for row, query in enumerate(queries):
        cells = [(0, query, query_labels[row])]
        cells += [(2 + k, found[row][k], found_labels[row][k]) for k in range(across)]
        for column, picture, label in cells:
            axes = figure.add_subplot(grid[row, column])
            _draw_labelled(axes, picture, label, same=not classes or label == query_labels[row])
            if row == 0 and column in (0, 2):
                left = axes.get_position(original=True).x0
                figure.text(left, 1 - 0.5 * top / height, titles[column // 2], va="center", fontsize=11, color=INK)
    return figure


def _draw_labelled(axes: Axes, picture: Picture, label: str, same: bool) -> None:
    """Draw a picture with its label below; not the same class: with a frame and a label in orange."""
    show_picture(axes, picture)
    axes.set_xlabel(shorten(label, 18), fontsize=8.5, color=INK if same else ORANGE, labelpad=3, parse_math=False)
    if not same:
        for spine in axes.spines.values():
            spine.set(visible=True, color=ORANGE, linewidth=2.5)


def nearest(queries: NDArray[np.floating], train: NDArray[np.floating], k: int = 6) -> NDArray[np.intp]:
    """The k training images nearest to each query by Euclidean distance, nearest first; of equal ones the lower index.

    queries (Q, D), train (N, D) -> indices (Q, k). It sums the squared differences in float64, a few rows at a time.
    The formula q.q - 2 q.t + t.t is faster, but its rounding can change the order of near neighbours.
    Raises ShapeError for other shapes, or where k is not between 1 and N.
    """
    if queries.ndim != 2 or train.ndim != 2 or queries.shape[1] != train.shape[1]:
        raise ShapeError(f"got features {queries.shape} and {train.shape}: expected (Q, D) and (N, D)")
    if not 1 <= k <= len(train):
        raise ShapeError(f"got k={k}: expected 1 to {len(train)}, the number of training images")
    step = rows_at_once(train.shape[1])
    return nearest_among(queries, (train[i : i + step] for i in range(0, len(train), step)), k)[0]


def rows_at_once(D: int) -> int:
    """How many rows of D features are compared at a time."""
    return max(1, CHUNK // max(1, D))


def nearest_among(
    queries: NDArray[np.floating], parts: Iterable[NDArray[np.floating]], k: int
) -> tuple[NDArray[np.intp], NDArray[np.float64]]:
    """As `nearest`, for training images that come in parts -> indices and distances (Q, k), fewer if there are fewer.

    queries (Q, D), each part (n, D). Memory: that of a part in float64, and of Q (n + k) numbers.
    """
    wanted = queries.astype(np.float64)
    indices, squares = np.empty((len(wanted), 0), np.intp), np.empty((len(wanted), 0))
    first = 0
    for part in parts:
        of_part = np.stack([((part - query) ** 2).sum(axis=1) for query in wanted])  # (Q, n)
        numbers = np.broadcast_to(np.arange(first, first + len(part)), of_part.shape)
        indices, squares = np.hstack([indices, numbers]), np.hstack([squares, of_part])
        best = np.argsort(squares, axis=1, kind="stable")[:, :k]
        indices, squares = np.take_along_axis(indices, best, axis=1), np.take_along_axis(squares, best, axis=1)
        first += len(part)
    return indices, np.sqrt(squares)
