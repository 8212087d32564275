"""A prepared set as data sets for training and validation.

Axes: N images, S stored height and width, 3 colours (red, green, blue).
"""

import hashlib
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from tinyalex.data.shards.index import INDEX, Index, index_bytes, parse_index
from tinyalex.data.shards.measured import read_statistics
from tinyalex.data.shards.reading import open_shard
from tinyalex.data.statistics import PixelStatistics
from tinyalex.errors import DataError
from tinyalex.files import at_home


class PreparedDataset:
    """The images of one split of a prepared set.

    statistics: of the pixels of the training images, whichever split this is.
    Memory: 24 bytes for each image, its label and its row of the shard's table. No file stays open, so the data set can
    be sent to another process.
    Raises DataError, naming the file, if a shard is missing, has another length than the index says, or a table that
    contradicts it. The bytes of an image are checked when it is read.
    """

    def __init__(self, folder: Path, index: Index, split: str, statistics: PixelStatistics, digest: str) -> None:
        self.name, self.classes, self.size = index.name, index.classes, index.size
        self.statistics = statistics
        entries = index.splits[split]
        self._shards = [open_shard(folder, entry, index.form, index.size, len(index.classes)) for entry in entries]
        self.labels = np.concatenate([shard.table["label"] for shard in self._shards]).astype(np.int64)
        self._firsts = np.cumsum([0, *(entry.images for entry in entries)])[:-1]  # the first image of each shard
        self._fingerprint = hashlib.sha256(f"{split} {digest}".encode()).hexdigest()

    def __len__(self) -> int:
        """N, the number of images."""
        return len(self.labels)

    def read(self, indices: NDArray[np.int64]) -> NDArray[np.uint8]:
        """The images `indices` (n,) -> (n, S, S, 3) uint8.

        Raises DataError, naming the shard and the image, for one that cannot be read or has changed; IndexError for an
        index outside 0 ... N - 1.
        """
        if len(indices) and not 0 <= indices.min() <= indices.max() < len(self):
            raise IndexError(f"got indices {indices.min()} ... {indices.max()}: expected 0 ... {len(self) - 1}")
        out = np.empty((len(indices), self.size, self.size, 3), np.uint8)
        shards = np.searchsorted(self._firsts, indices, side="right") - 1
        numbers = indices - self._firsts[shards]  # of the images in their shards
        for shard in np.unique(shards):
            places = np.flatnonzero(shards == shard)
            self._shards[shard].read((numbers[place], out[place]) for place in places)
        return out

    def picture(self, index: int) -> NDArray[np.uint8]:
        """One image as it is stored, its only resolution: (S, S, 3) uint8."""
        image: NDArray[np.uint8] = self.read(np.array([index]))[0]
        return image

    def fingerprint(self) -> str:
        """64 hexadecimal digits, a SHA-256 of the index, in which every shard's checksum stands."""
        return self._fingerprint


def load_prepared(folder: str | Path, *, size: int) -> tuple[PreparedDataset, PreparedDataset]:
    """The data sets (train, validation) of the prepared set in `folder`, whose images must be stored as size x size.

    Raises DataError if the set is unfinished, damaged, of another size, or made by a newer version.
    """
    folder = at_home(folder)
    content = index_bytes(folder)
    index = parse_index(content, folder / INDEX)
    if index.size != size:
        raise DataError(
            f"got {folder} with images of {index.size} x {index.size}: expected {size} x {size} for this net; prepare "
            f"such a set with tinyalex prepare SRC DST --size {size}"
        )
    statistics = read_statistics(folder, index.statistics, size)
    digest = hashlib.sha256(content).hexdigest()
    train, val = (PreparedDataset(folder, index, split, statistics, digest) for split in ("train", "val"))
    return train, val
