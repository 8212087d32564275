"""The compiled twin of tinyalex.data.augment: one pass over memory, from the stored bytes to the net's input."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from tinyalex.backend.cpu.compiled import Floats, compiled
from tinyalex.backend.memory import empty


def _augment(mean, images, tops, lefts, mirrored, noise, scale, y):
    """y[k] = (a crop of image k // V - that of the mean + noise[k]) / scale, mirrored or not, line by line.

    mean (S, 3*S), images (n, S, 3*S), y (n*V, crop, 3*crop): the numbers of a line in one piece, so that several are
    computed at once. Moves 9 bytes for each float32 number.
    """
    crop, numbers = y.shape[1], y.shape[2]
    views = y.shape[0] // max(1, images.shape[0])
    added = np.empty(numbers, y.dtype)
    for k in range(y.shape[0]):
        for t in range(numbers):
            added[t] = noise[k, t % 3]
        left = 3 * lefts[k]
        for i in range(crop):
            stored, average = images[k // views, tops[k] + i, left:], mean[tops[k] + i, left:]
            line = y[k, i]
            for t in range(numbers):
                line[t] = (y.dtype.type(stored[t]) - average[t] + added[t]) / scale
            if mirrored[k]:
                for j in range(crop // 2):
                    for c in range(3):
                        one, other = 3 * j + c, 3 * (crop - 1 - j) + c
                        line[one], line[other] = line[other], line[one]


_augment_compiled = compiled(_augment)


def augment(
    mean: Floats,
    images: NDArray[np.uint8],
    tops: NDArray[np.int32],
    lefts: NDArray[np.int32],
    mirrored: NDArray[np.bool_],
    noise: Floats,
    crop: int,
    scale: float,
) -> Floats:
    """The twin of tinyalex.data.augment.augment. It uses the calling thread only: a loader has threads of its own."""
    n, S = images.shape[:2]
    y = empty((len(tops), crop, crop, 3), mean.dtype)
    lines: list[NDArray[Any]] = [
        np.ascontiguousarray(mean).reshape(S, 3 * S),
        np.ascontiguousarray(images).reshape(n, S, 3 * S),
    ]
    noise = np.ascontiguousarray(noise, mean.dtype)
    number = mean.dtype.type(scale)
    _augment_compiled(*lines, tops, lefts, mirrored, noise, number, y.reshape(len(tops), crop, 3 * crop))
    return y.transpose(0, 3, 1, 2)
