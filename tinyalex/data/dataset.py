"""Data sets (section 2): labelled colour images of one stored size, and the names of the classes.

Axes: N images, S stored height and width, 3 colours (red, green, blue), bytes of 0 ... 255.
"""

from hashlib import sha256
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from tinyalex.errors import DataError, DTypeError, LabelError, ShapeError


class Dataset(Protocol):
    """Labelled images, read by index.

    name:    its name in reports and messages, such as "cifar10".
    classes: the class names; label i stands for classes[i].
    labels:  (N,) int64.
    size:    S, the height and width of every stored image; the net reads crops of it.
    """

    name: str
    classes: tuple[str, ...]
    labels: NDArray[np.int64]
    size: int

    def __len__(self) -> int:
        """N, the number of images."""
        ...

    def read(self, indices: NDArray[np.int64]) -> NDArray[np.uint8]:
        """The stored images `indices` (n,) -> (n, S, S, 3) uint8. Safe to call from several threads."""
        ...

    def picture(self, index: int) -> NDArray[np.uint8]:
        """One image at its own resolution, for people to look at: (height, width, 3) uint8."""
        ...

    def fingerprint(self) -> str:
        """64 hexadecimal digits, a SHA-256, that say whether another set has the same stored images and labels."""
        ...


class ArrayDataset:
    """Images in memory: images (N, S, S, 3) uint8, labels (N,) integers in 0 ... len(classes) - 1.

    pictures: (N, height, width, 3) uint8, the images at their own resolution; None: the same as `images`.
    Raises:   ShapeError, DTypeError or LabelError for other arrays; DataError if there are no images.
    """

    def __init__(
        self,
        name: str,
        images: NDArray[np.uint8],
        labels: NDArray[np.int64],
        classes: tuple[str, ...],
        *,
        pictures: NDArray[np.uint8] | None = None,
    ) -> None:
        if images.ndim != 4 or images.shape[1] != images.shape[2] or images.shape[3] != 3:
            raise ShapeError(f"{name}: got images of shape {images.shape}: expected (N, S, S, 3)")
        if images.dtype != np.uint8:
            raise DTypeError(f"{name}: got images of dtype {images.dtype}: expected uint8, 0 ... 255")
        if len(images) == 0:
            raise DataError(f"{name}: got no images: expected at least one")
        check_labels(name, labels, len(images), len(classes))
        self.name, self.images, self.classes = name, images, classes
        self.labels = labels.astype(np.int64)
        self.pictures = images if pictures is None else pictures
        self.size: int = images.shape[1]

    def __len__(self) -> int:
        """N, the number of images."""
        return len(self.labels)

    def read(self, indices: NDArray[np.int64]) -> NDArray[np.uint8]:
        """The images `indices` (n,) -> (n, S, S, 3) uint8."""
        return self.images[indices]

    def picture(self, index: int) -> NDArray[np.uint8]:
        """One image at its own resolution: (height, width, 3) uint8."""
        picture: NDArray[np.uint8] = self.pictures[index]
        return picture

    def fingerprint(self) -> str:
        """The SHA-256 of the labels and of all images."""
        digest = sha256(f"{self.images.shape}".encode())
        digest.update(self.labels.tobytes())
        digest.update(np.ascontiguousarray(self.images).data)
        return digest.hexdigest()


def check_labels(name: str, labels: NDArray[np.int64], images: int, classes: int) -> None:
    """Raise LabelError unless `labels` (images,) are integers in 0 ... classes - 1.   name: begins the message."""
    if labels.shape != (images,):
        raise LabelError(f"{name}: got labels of shape {labels.shape}: expected ({images},), one for each image")
    if not np.issubdtype(labels.dtype, np.integer):
        raise LabelError(f"{name}: got labels of dtype {labels.dtype}: expected integers")
    outside = labels[(labels < 0) | (labels >= classes)]
    if len(outside):
        raise LabelError(
            f"{name}: got label {outside[0]}: expected 0 ... {classes - 1}, as there are {classes} classes"
        )
