"""Where a million images lie, in few bytes: about 50 for each, where a list of paths would take 500.

Axes: N images.
"""

import hashlib
import os
from array import array
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray


class Item(NamedTuple):
    """One image of a listing.

    file:   the file to read, an image or a tar file.
    name:   what a person finds the image by: its path, or its name within the tar file.
    label:  its class.
    offset: where its bytes begin in a tar file; None: it is a file of its own.
    size:   the number of its bytes when it was listed.
    """

    file: str
    name: str
    label: int
    offset: int | None
    size: int


@dataclass(frozen=True)
class Listing:
    """The images of one split, sorted by class and name.

    places:  the folders in which they lie: (folder, "") on the disk, or (tar file, folder within it).
    classes: the names of the classes; label i stands for classes[i].
    names:   the names of all files, without folders, one after the other.
    ends:    (N,) int64, where each name ends.
    place:   (N,) int32, the place of each image.   labels: (N,) int32.
    offsets: (N,) int64, where an image begins in a tar file; -1 in a folder.   sizes: (N,) int64, in bytes.
    """

    places: tuple[tuple[str, str], ...]
    classes: tuple[str, ...]
    names: bytes
    ends: NDArray[np.int64]
    place: NDArray[np.int32]
    labels: NDArray[np.int32]
    offsets: NDArray[np.int64]
    sizes: NDArray[np.int64]

    def __len__(self) -> int:
        """N, the number of images."""
        return len(self.labels)

    def __getitem__(self, index: int) -> Item:
        """Image `index`."""
        file, folder = self.places[self.place[index]]
        name = os.fsdecode(self._name(index))
        shown = "/".join(part for part in (file, folder, name) if part)
        label, offset, size = int(self.labels[index]), int(self.offsets[index]), int(self.sizes[index])
        if offset < 0:
            return Item(f"{file}/{name}", shown, label, None, size)
        return Item(file, shown, label, offset, size)

    def _name(self, index: int) -> bytes:
        return self.names[self.ends[index - 1] if index else 0 : self.ends[index]]

    def take(self, indices: NDArray[np.int64]) -> "Listing":
        """The images `indices` (n,), in their order."""
        names = [self._name(index) for index in indices.tolist()]
        ends = np.cumsum([len(name) for name in names], dtype=np.int64)
        return replace(
            self,
            names=b"".join(names),
            ends=ends,
            place=self.place[indices],
            labels=self.labels[indices],
            offsets=self.offsets[indices],
            sizes=self.sizes[indices],
        )

    def fingerprint(self) -> str:
        """A sha256 of the classes, and of the name, label and size of each image, wherever the images lie."""
        digest = hashlib.sha256("\n".join(self.classes).encode(errors="surrogateescape"))
        digest.update(self.names)
        for column in (self.ends, self.labels, self.sizes):
            digest.update(column.tobytes())
        return digest.hexdigest()


class Lister:
    """Gathers images in any order, then makes a Listing.

    from_table: whether a table named the classes.   left_out: (name, reason) of the last image left out of each class.
    """

    from_table = False

    def __init__(self) -> None:
        self.left_out: dict[str, tuple[str, str]] = {}
        self._places: dict[tuple[str, str], int] = {}
        self._classes: dict[str, int] = {}
        self._names = bytearray()
        self._ends, self._offsets, self._sizes = array("q"), array("q"), array("q")
        self._place, self._labels = array("i"), array("i")

    def add(self, place: tuple[str, str], name: str, class_name: str, size: int, offset: int = -1) -> None:
        """Add the image `name` of `size` bytes in `place`, in a tar file at `offset`; Listing explains a place."""
        self._names += os.fsencode(name)
        self._ends.append(len(self._names))
        self._place.append(self._places.setdefault(place, len(self._places)))
        self._labels.append(self._classes.setdefault(class_name, len(self._classes)))
        self._offsets.append(offset)
        self._sizes.append(size)

    def without_images(self) -> list[str]:
        """The classes whose images were all left out."""
        return sorted(self.left_out.keys() - self._classes.keys())

    def listing(self) -> Listing:
        """What was added, sorted by class and name. Labels number the classes by their names' order."""
        classes = sorted(self._classes)
        rank = np.empty(len(classes), np.int32)
        rank[[self._classes[name] for name in classes]] = np.arange(len(classes), dtype=np.int32)
        found = Listing(
            tuple(self._places),
            tuple(classes),
            bytes(self._names),
            np.array(self._ends, np.int64),
            np.array(self._place, np.int32),
            rank[np.array(self._labels, np.int32)],
            np.array(self._offsets, np.int64),
            np.array(self._sizes, np.int64),
        )
        return found.take(_by_class_and_name(found))


def _by_class_and_name(found: Listing) -> NDArray[np.int64]:
    """The order of the images of `found` by class, and by name within a class -> (N,)."""
    by_class = np.argsort(found.labels, kind="stable")
    order = np.empty_like(by_class)
    bounds = np.searchsorted(found.labels[by_class], np.arange(len(found.classes) + 1))
    for first, last in pairwise(bounds):  # one class at a time: its names alone are in memory
        images = by_class[first:last].tolist()
        order[first:last] = sorted(images, key=found._name)
    return order
