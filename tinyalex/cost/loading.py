"""How fast stored images become batches: they are read, decoded and augmented, and no net computes beside."""

import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from tinyalex.data import Augmenter, Dataset, PixelStatistics, batches, subset
from tinyalex.errors import at_least

IMAGES = 4096  # of a pass, at most


@dataclass(frozen=True)
class Loading:
    """images: of a pass.   images_per_s, median_images_per_s: of the fastest pass, and of the median."""

    images: int
    images_per_s: float
    median_images_per_s: float


def loading(
    open_images: Callable[[], Dataset], crop: int, batch: int, *, workers: int | None = None, passes: int = 3
) -> Loading:
    """Time passes over the images in random order, each augmented as in training, on the CPU.

    open_images: opens the images, anew for each pass, as those that were read may stay in memory.
    crop:        height and width of what a net reads.   batch, workers: as for `tinyalex.data.batches`.
    Raises UsageError for fewer than 1 image, worker or pass.
    """
    at_least(1, passes=passes)
    rates = []
    for number in range(passes):
        dataset = open_images()
        dataset = subset(dataset, min(len(dataset), IMAGES))
        augmenter = Augmenter(_any_statistics(dataset.size), crop)
        augmenter.centre(np.zeros((1, dataset.size, dataset.size, 3), np.uint8))  # compiled before the clock starts
        began = time.perf_counter()
        images = sum(len(y) for _, y in batches(dataset, augmenter, batch, seed=0, epoch=number, workers=workers))
        rates.append(images / (time.perf_counter() - began))
    return Loading(images, max(rates), statistics.median(rates))


def _any_statistics(size: int) -> PixelStatistics:
    """Statistics of no images: the time does not depend on their values."""
    return PixelStatistics(np.zeros((size, size, 3), np.float32), np.ones(3), np.eye(3))
