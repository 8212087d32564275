"""The images that the golden numbers belong to; NumPy only, read by make_golden.py and by test_golden.py.

Blocks of colour under noise, whole numbers divided by a power of two: every value is the same in float32, in float64
and on every machine. Axes: N images, 3 colours, H, W height and width.
"""

import numpy as np


def blocks(colours, size):
    """Each of the coarse cells `colours` (N, 3, h, w) becomes a square block: (N, 3, size, size)."""
    side = size // colours.shape[2]
    return colours.repeat(side, axis=2).repeat(side, axis=3)


def training_batches(classes=4, steps=10, count=16, size=32):
    """`steps` pairs (x (count, 3, size, size) float32, labels (count,) below `classes`), about -4 ... 4.

    Every class has a pattern of its own, so that there is something to learn; four of ten classes, so that ten steps
    are enough to see the loss fall.
    """
    rng = np.random.default_rng(2012)
    patterns = rng.integers(-127, 128, (classes, 3, 8, 8))
    made = []
    for _ in range(steps):
        labels = rng.integers(0, classes, count)
        noise = rng.integers(-15, 16, (count, 3, size, size))
        made.append(((blocks(patterns[labels], size) + noise).astype(np.float32) / 32, labels))
    return made


def two_images(pixel_scale, size=224):
    """x (2, 3, size, size) float32 and labels (2,) below 1000: pixels of -127 ... 127, divided by pixel_scale."""
    rng = np.random.default_rng(1012)
    pixels = blocks(rng.integers(-96, 97, (2, 3, 14, 14)), size) + rng.integers(-31, 32, (2, 3, size, size))
    return pixels.astype(np.float32) / np.float32(pixel_scale), np.array([7, 812])
