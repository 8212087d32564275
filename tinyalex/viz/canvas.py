"""What the pictures share: colours, an empty figure, the style of axes, photographs, and writing to a file."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from tinyalex.errors import ShapeError, UsageError
from tinyalex.files import replacing

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

Picture = NDArray[np.uint8]  # (h, w, 3): h rows, w columns, RGB, 0 to 255

DPI = 150
INK, GREY, PALE = "#222222", "#808080", "#cfdae5"
BLUE, ORANGE = "#0072b2", "#d55e00"  # from Okabe and Ito: distinct for all kinds of colour vision
AMBER = "#f0b04f"  # light enough for dark text on it


def new_figure(width: float, height: float, *, arranged: bool = False) -> Figure:
    """An empty white figure of width x height inches; with `arranged` the axes make room for their labels."""
    from matplotlib.figure import Figure  # takes half a second, so import it only when needed
    from matplotlib.layout_engine import ConstrainedLayoutEngine

    layout = ConstrainedLayoutEngine(w_pad=0.1, h_pad=0.1, compress=True) if arranged else None
    return Figure((width, height), dpi=DPI, facecolor="white", layout=layout)


def tidy(axes: Axes, frame: tuple[str, ...] = ("left", "bottom")) -> None:
    """Give axes small grey ticks, and only the named sides of the frame."""
    axes.tick_params(labelsize=10, color=GREY, labelcolor=INK, length=3)
    for side, spine in axes.spines.items():
        spine.set_visible(side in frame)
        spine.set_color(GREY)


def show_picture(axes: Axes, picture: Picture) -> None:
    """Draw a photograph in its own proportions, smoothly resampled, without ticks or frame.

    picture: (h, w, 3) uint8.   Raises ShapeError for another shape or dtype.
    """
    if picture.ndim != 3 or picture.shape[2] != 3 or picture.dtype != np.uint8 or picture.size == 0:
        raise ShapeError(
            f"got a picture of shape {picture.shape} and dtype {picture.dtype}: expected (h, w, 3) and uint8; "
            "move the channels last and undo the mean subtraction"
        )
    axes.imshow(picture, interpolation="lanczos")
    axes.set_anchor("S")  # at the bottom, next to its caption
    axes.set_xticks([])
    axes.set_yticks([])
    tidy(axes, frame=())


def shorten(name: str, limit: int) -> str:
    """`name` in at most `limit` characters: its first synonym ("tench, Tinca tinca" -> "tench"), cut off if need be."""
    if len(name) > limit:
        name = name.split(",")[0].strip()
    return name if len(name) <= limit else name[: limit - 1].rstrip() + "…"


def save(figure: Figure, path: str | os.PathLike[str]) -> Path:
    """Write `figure` to `path` as a PNG of 150 dots an inch, and return the path.

    It makes the folder if need be. An error never leaves half a file. Raises UsageError where it cannot write.
    """
    path = Path(path)
    try:
        with replacing(path) as file:
            figure.savefig(file, format="png", dpi=DPI)
    except OSError as error:
        raise UsageError(
            f"got {path} for the picture ({error.strerror}): expected a file that can be written; choose another place"
        ) from error
    return path
