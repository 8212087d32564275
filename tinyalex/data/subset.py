"""A part of a data set: for a quick trial, or to check that a net can learn a hundred images by heart."""

from hashlib import sha256

import numpy as np
from numpy.typing import NDArray

from tinyalex.data.dataset import Dataset
from tinyalex.data.folder import FolderDataset
from tinyalex.errors import UsageError


class Subset:
    """The images `indices` (n,) of a data set, as a data set."""

    def __init__(self, dataset: Dataset, indices: NDArray[np.int64]) -> None:
        self.name, self.classes, self.size = dataset.name, dataset.classes, dataset.size
        self.labels = dataset.labels[indices]
        self._dataset, self._indices = dataset, indices

    def __len__(self) -> int:
        """n, the number of images."""
        return len(self._indices)

    def read(self, indices: NDArray[np.int64]) -> NDArray[np.uint8]:
        """The stored images `indices` (n,) of the subset -> (n, S, S, 3) uint8."""
        return self._dataset.read(self._indices[indices])

    def picture(self, index: int) -> NDArray[np.uint8]:
        """Image `index` of the subset at its own resolution: (height, width, 3) uint8."""
        return self._dataset.picture(int(self._indices[index]))

    def fingerprint(self) -> str:
        """The SHA-256 of the whole set's fingerprint and of the indices; of files in a folder that of these alone."""
        if isinstance(self._dataset, FolderDataset):
            return self._dataset.part(self._indices).fingerprint()  # other files may come and go
        return sha256(self._dataset.fingerprint().encode() + self._indices.astype(np.int64).tobytes()).hexdigest()


def subset(dataset: Dataset, count: int) -> Dataset:
    """The first images of each class of a data set, `count` in all, spread over the classes as evenly as possible.

    All images of a set are the set itself. A part of a folder keeps its prepared images in memory if these few fit.
    Raises UsageError for a count below 1 or above the number of images.
    """
    if not 1 <= count <= len(dataset):
        raise UsageError(f"got limit={count}: expected 1 ... {len(dataset)}, the number of images")
    if count == len(dataset):
        return dataset
    rank = np.zeros(len(dataset), np.int64)  # within its class: 0 for the first image, 1 for the second, ...
    for label in range(len(dataset.classes)):
        of_class = dataset.labels == label
        rank[of_class] = np.arange(of_class.sum())
    chosen = np.sort(np.argsort(rank, kind="stable")[:count])
    return dataset.part(chosen) if isinstance(dataset, FolderDataset) else Subset(dataset, chosen)
