"""Sections 2 and 4.1: the mean image of a training set, and the principal components of its colours.

Each pixel's mean over the training set is subtracted from the net's input. The colour noise needs the covariance of the
RGB values of the same pixels, so one pass over the images measures both. It adds integers: the sums are exact, and so
do not depend on the order of the images or on how they are shared out among threads.

Axes: N images, S height and width, 3 colours (red, green, blue).
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tinyalex.data.dataset import Dataset
from tinyalex.errors import DataError

BATCH = 64  # images that are read at a time


@dataclass(frozen=True)
class PixelStatistics:
    """The statistics of a training set's pixels.

    mean:         (S, S, 3) float32, each pixel's mean over the images, in 0 ... 255.
    eigenvalues:  (3,) float64, largest first, of the covariance of the RGB values, with pixels in 0 ... 1.
    eigenvectors: (3, 3) float64, in columns: eigenvectors[:, i] is the RGB direction of eigenvalues[i].

    The paper does not state the unit of the covariance. Its noise multiplies the eigenvalues, which are squares of
    pixel values: with pixels in 0 ... 255 the noise would drown every image; in 0 ... 1 it is a few grey levels.
    """

    mean: NDArray[np.float32]
    eigenvalues: NDArray[np.float64]
    eigenvectors: NDArray[np.float64]


class PixelSums:
    """Exact sums over images of S x S pixels: add images or other sums in any order, then ask for the statistics.

    count:    N, the number of images added.
    total:    (S, S, 3) int64, the sum of each pixel over the images.
    products: (3, 3) int64, the sum of p p^T over all pixels p of all images. It has room for 10**14 pixels.
    """

    def __init__(self, size: int) -> None:
        self.count = 0
        self.total = np.zeros((size, size, 3), np.int64)
        self.products = np.zeros((3, 3), np.int64)

    def add(self, images: NDArray[np.uint8]) -> None:
        """Add images (n, S, S, 3) uint8."""
        self.count += len(images)
        for image in images:  # one at a time, as its float64 copy then stays in the cache
            self.total += image
            pixels = image.reshape(-1, 3).astype(np.float64)  # (S*S, 3)
            self.products += (pixels.T @ pixels).astype(np.int64)  # exact: far below 2**53

    def merge(self, other: "PixelSums") -> None:
        """Add the images that `other` has added."""
        self.count += other.count
        self.total += other.total
        self.products += other.products

    def statistics(self) -> PixelStatistics:
        """The mean of each pixel and the principal components of the RGB values, over all images added.

        mean = total / N;   covariance = products / (N S S) - m m^T,  m the mean RGB value.

        The largest entry of each eigenvector is made positive: its sign is otherwise arbitrary.
        Raises DataError if no image was added.
        """
        if self.count == 0:
            raise DataError("got no images: expected at least one, as their mean is needed")
        pixel_count = self.count * self.total.shape[0] ** 2
        mean_colour = self.total.sum(axis=(0, 1)) / pixel_count
        covariance = (self.products / pixel_count - np.outer(mean_colour, mean_colour)) / 255**2
        eigenvalues, eigenvectors = np.linalg.eigh(covariance)  # smallest first
        eigenvalues = np.maximum(eigenvalues[::-1], 0.0)  # rounding may leave -1e-17 where a set is all grey
        eigenvectors = eigenvectors[:, ::-1]
        largest = np.abs(eigenvectors).argmax(axis=0)
        eigenvectors = eigenvectors * np.sign(eigenvectors[largest, np.arange(3)])
        return PixelStatistics((self.total / self.count).astype(np.float32), eigenvalues, eigenvectors)

    def arrays(self) -> dict[str, NDArray[np.int64]]:
        """The sums as arrays that can be stored; `from_arrays` reads them."""
        return {"count": np.array(self.count, np.int64), "total": self.total, "products": self.products}

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, NDArray[Any]], size: int) -> "PixelSums":
        """The sums of images of size x size pixels that `arrays` stored.

        Raises DataError if an array is missing, or has another shape or dtype.
        """
        sums = cls(size)
        for name, own in sums.arrays().items():
            found = arrays.get(name)
            if found is None or found.shape != own.shape or found.dtype != own.dtype:
                what = "nothing" if found is None else f"{found.dtype} of shape {found.shape}"
                raise DataError(f"got {what} for the sums' {name}: expected int64 of shape {own.shape}")
        sums.count, sums.total, sums.products = int(arrays["count"]), arrays["total"], arrays["products"]
        return sums


def pixel_statistics(dataset: Dataset, progress: Callable[[int], object] | None = None) -> PixelStatistics:
    """The mean of each pixel and the principal components of the RGB values, over all images, in one pass.

    progress: called after each batch with its number of images, such as the `update` of a tqdm bar.
    Raises:   DataError if the data set is empty.
    """
    if len(dataset) == 0:
        raise DataError(f"{dataset.name}: got no images: expected at least one")
    sums = PixelSums(dataset.size)
    for start in range(0, len(dataset), BATCH):
        images = dataset.read(np.arange(start, min(start + BATCH, len(dataset))))
        sums.add(images)
        if progress is not None:
            progress(len(images))
    return sums.statistics()
