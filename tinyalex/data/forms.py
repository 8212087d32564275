"""The ten outlines of the data set `shapes`, as polygons.

Proportions vary a little from picture to picture, so no class is one fixed template. Mirroring, rotating, stretching
and slanting, which `shapes` does to every form, never turn one form into another.

Axes: points x, y of about -1 ... 1; x runs to the right, y downwards.
"""

import math
from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw

Points = NDArray[np.float64]  # (points, 2)
Form = list[tuple[Points, bool]]  # polygons, drawn one after the other: True fills, False cuts a hole

SUPERSAMPLING = 3  # drawn at three times the size and averaged, so that edges are smooth


def circle(radius: float, x: float = 0.0, y: float = 0.0) -> Points:
    """Points on a circle around (x, y) -> (64, 2)."""
    angle = 2 * math.pi * np.arange(64) / 64
    return np.stack([x + radius * np.cos(angle), y + radius * np.sin(angle)], axis=1)


def rectangle(half_width: float, half_height: float) -> Points:
    """The corners of a rectangle around (0, 0) -> (4, 2)."""
    return np.array([(-1, -1), (1, -1), (1, 1), (-1, 1)]) * (half_width, half_height)


def arrow(rng: np.random.Generator) -> Form:
    """A shaft and a head."""
    neck, shaft, head = rng.uniform(-0.05, 0.2), rng.uniform(0.2, 0.32), rng.uniform(0.75, 0.95)
    lower = np.array([(-1, shaft), (neck, shaft), (neck, head), (1, 0)])
    upper = lower[-2::-1] * (1, -1)
    return [(np.concatenate([lower, upper]), True)]


def crescent(rng: np.random.Generator) -> Form:
    """A disc minus a second disc to its right."""
    return [(circle(1), True), (circle(rng.uniform(0.75, 0.88), rng.uniform(0.42, 0.55)), False)]


def cross(rng: np.random.Generator) -> Form:
    """Two bars."""
    half_width = rng.uniform(0.24, 0.36)
    return [(rectangle(1, half_width), True), (rectangle(half_width, 1), True)]


def disc(rng: np.random.Generator) -> Form:
    """A filled circle; stretching makes it an ellipse."""
    return [(circle(rng.uniform(0.8, 0.95)), True)]


def heart(rng: np.random.Generator) -> Form:
    """Two lobes, a notch between them and a tip below: the well-known heart curve, a sum of cosines, centred."""
    t = 2 * math.pi * np.arange(64) / 64
    x = np.sin(t) ** 3
    y = (13 * np.cos(t) - 5 * np.cos(2 * t) - 2 * np.cos(3 * t) - np.cos(4 * t) + 2.5) / rng.uniform(13.5, 16)
    return [(np.stack([x, -y], axis=1), True)]


def key(rng: np.random.Generator) -> Form:
    """A bow with a hole, a shaft and two teeth."""
    bow, tooth = rng.uniform(0.42, 0.5), rng.uniform(0.38, 0.5)
    upper = [(-0.5, -0.14), (1, -0.14)]
    teeth = [(1, tooth), (0.78, tooth), (0.78, 0.14), (0.6, 0.14), (0.6, tooth), (0.38, tooth), (0.38, 0.14)]
    shaft = np.array([*upper, *teeth, (-0.5, 0.14)])
    return [(shaft, True), (circle(bow, -0.5), True), (circle(0.45 * bow, -0.5), False)]


def ring(rng: np.random.Generator) -> Form:
    """A disc with a round hole in its middle."""
    return [(circle(1), True), (circle(rng.uniform(0.48, 0.68)), False)]


def square(rng: np.random.Generator) -> Form:
    """Four sides; stretching and slanting make it a rectangle or a parallelogram."""
    half_side = rng.uniform(0.74, 0.84)
    return [(rectangle(half_side, half_side), True)]


def star(rng: np.random.Generator) -> Form:
    """Five points."""
    corner = np.arange(10)
    radius = np.where(corner % 2, rng.uniform(0.4, 0.5), 1.08)
    angle = 2 * math.pi * corner / 10
    return [(np.stack([radius * np.sin(angle), -radius * np.cos(angle)], axis=1), True)]


def triangle(rng: np.random.Generator) -> Form:
    """Three sides."""
    return [(np.array([(0, -1), (0.95, 0.7), (-0.95, 0.7)]) * rng.uniform(0.95, 1.1), True)]


FORMS: tuple[Callable[[np.random.Generator], Form], ...] = (
    arrow,
    crescent,
    cross,
    disc,
    heart,
    key,
    ring,
    square,
    star,
    triangle,
)


def draw_mask(form: Form, matrix: Points, centre: Points, height: int, width: int) -> Image.Image:
    """The part of each pixel that `form` covers, 0 ... 255, as a grey image of height x width.

    A point p of the form lies at the pixel `matrix` (2, 2) @ p + `centre` (2,).
    """
    canvas = Image.new("L", (width * SUPERSAMPLING, height * SUPERSAMPLING))
    draw = ImageDraw.Draw(canvas)
    for points, filled in form:
        placed = (points @ matrix.T + centre) * SUPERSAMPLING
        draw.polygon(placed.ravel().tolist(), fill=255 if filled else 0)
    return canvas.reduce(SUPERSAMPLING)
