"""Dead leaves: cluttered backgrounds with the statistics of natural images, for the data set `shapes`.

In photographs, things of all sizes hide each other. The dead leaves model imitates this: discs fall on one another
like leaves on the ground. Their radii r have the density ~ r^-3, so that no size stands out, and a part of the picture,
enlarged, looks like the whole. As in photographs, the amplitude spectrum falls roughly as 1 / frequency, edges are
sharp and run in all directions, and brightness varies more than colour.

Source: A. Lee, D. Mumford, J. Huang, "Occlusion models for natural images" (2001).
Axes: height, width, 3 colours (red, green, blue), bytes of 0 ... 255.
"""

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw

Floats = NDArray[np.float64]

LEAVES = 320
SMALLEST, LARGEST = 0.02, 0.6  # radii, as fractions of the longer side
SUPERSAMPLING = 2  # drawn at twice the size and averaged, so that edges are smooth

# The directions in which the colours of a photograph differ: brightness most, then orange-blue, then green-purple.
COLOUR_AXES = np.array([[1.0, 1.0, 1.0], [1.0, 0.1, -1.0], [0.5, -0.8, 0.5]])
DARKEST, LIGHTEST = 8, 247


def power_law_radii(rng: np.random.Generator, count: int, smallest: float, largest: float) -> Floats:
    """`count` radii with density ~ r^-3 between `smallest` and `largest` -> (count,) float64, in the same unit.

    P(radius > r) = (r^-2 - largest^-2) / (smallest^-2 - largest^-2), solved for r at uniform random numbers.
    """
    inverse_square = rng.uniform(largest**-2, smallest**-2, count)
    return 1 / np.sqrt(inverse_square)


def colours_around(rng: np.random.Generator, centre: Floats, spread: tuple[float, float, float], count: int) -> Floats:
    """`count` colours -> (count, 3) float64: normal around `centre` (3,), deviations `spread` along COLOUR_AXES."""
    offsets: Floats = (rng.standard_normal((count, 3)) * spread) @ COLOUR_AXES
    return np.clip(centre + offsets, DARKEST, LIGHTEST)


def dead_leaves(rng: np.random.Generator, height: int, width: int) -> NDArray[np.uint8]:
    """A background of overlapping discs -> (height, width, 3) uint8; its mean colour and contrast are random too."""
    mean = colours_around(rng, np.full(3, rng.uniform(60, 150)), (0, 18, 9), 1)[0]
    spread = (rng.uniform(18, 38), rng.uniform(4, 14), rng.uniform(2, 9))
    colours = colours_around(rng, mean, spread, LEAVES).astype(int)

    shape = np.array([height, width]) * SUPERSAMPLING
    radii = power_law_radii(rng, LEAVES, SMALLEST * shape.max(), LARGEST * shape.max())
    y, x = rng.uniform(-0.1, 1.1, (2, LEAVES)) * shape[:, None]  # some reach past the edge
    boxes = np.stack([x - radii, y - radii, x + radii, y + radii], axis=1)  # (LEAVES, 4)

    image = Image.new("RGB", (width * SUPERSAMPLING, height * SUPERSAMPLING), tuple(mean.astype(int)))
    draw = ImageDraw.Draw(image)
    for box, colour in zip(boxes.tolist(), colours.tolist(), strict=True):
        draw.ellipse(box, fill=tuple(colour))
    return np.asarray(image.reduce(SUPERSAMPLING))
