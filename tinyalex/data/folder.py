"""Images in a folder of class folders (section 2); layout.py says what lies where.

Axes: N images, S stored height and width, 3 colours.
"""

import os
from contextlib import suppress
from hashlib import sha256
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from tinyalex.data.layout import HELD_OUT, check_images, check_same_classes, image_entries, readable_names, subfolders
from tinyalex.data.prepare import Preparation, prepare_image, read_image, regular_file
from tinyalex.errors import DataError
from tinyalex.files import at_home

SAMPLES, SAMPLE = 64, 2**20  # the files, and the bytes of each, that a fingerprint reads
MEMORY = 2**30  # bytes; if a set's prepared images need more, they are decoded again at each read


class FolderDataset:
    """Images in files, each decoded and prepared as size x size when it is first read.

    Prepared images stay in memory if all N of them fit in MEMORY; otherwise each read decodes them again.
    paths: N texts, as a million objects of class Path take a gigabyte. Symbolic links are followed, wherever they
           lead: folders often link to another disk. What is no image is refused, wherever it lies.
    smallest: the least width and height of an image, in pixels: the size of the net's first kernel.
    preparation: how they become size x size; None: as `Preparation(size)`.
    `read` and `picture` raise DataError, naming the file, if an image cannot be decoded or is too small.
    """

    def __init__(
        self,
        name: str,
        paths: list[str],
        labels: NDArray[np.int64],
        classes: tuple[str, ...],
        size: int,
        *,
        smallest: int = 1,
        preparation: Preparation | None = None,
    ) -> None:
        self.name, self.paths, self.labels, self.classes = name, paths, labels, classes
        self.size, self.smallest, self.preparation = size, smallest, preparation or Preparation(size)
        shape = (len(paths), size, size, 3)
        # np.empty reserves address space; the system provides memory only where images are written
        self._kept = np.empty(shape, np.uint8) if np.prod(shape, dtype=np.int64) <= MEMORY else None
        self._is_kept = np.zeros(len(paths), bool)
        self._fingerprint: str | None = None

    def __len__(self) -> int:
        """N, the number of images."""
        return len(self.paths)

    def read(self, indices: NDArray[np.int64]) -> NDArray[np.uint8]:
        """The prepared images `indices` (n,) -> (n, S, S, 3) uint8."""
        if self._kept is None:
            out = np.empty((len(indices), self.size, self.size, 3), np.uint8)
            for image, index in zip(out, indices, strict=True):
                image[:] = self._prepare(index)
            return out
        # Two threads may prepare the same image at once: they write the same bytes, and mark it only afterwards.
        for index in indices[~self._is_kept[indices]]:
            self._kept[index] = self._prepare(index)
            self._is_kept[index] = True
        return self._kept[indices]

    def picture(self, index: int) -> NDArray[np.uint8]:
        """One image at its own resolution, upright: (height, width, 3) uint8."""
        return np.array(read_image(self.paths[index], smallest=self.smallest))

    def _prepare(self, index: int) -> NDArray[np.uint8]:
        """Decode one image -> (S, S, 3) uint8."""
        return prepare_image(read_image(self.paths[index], smallest=self.smallest), self.preparation)

    def class_folders(self) -> tuple[str, ...]:
        """The name of each class's folder."""
        _, firsts = np.unique(self.labels, return_index=True)
        return tuple(Path(self.paths[first]).parent.name for first in firsts)

    def part(self, indices: NDArray[np.int64]) -> "FolderDataset":
        """The images `indices` (n,) as a data set of their own, none of them read yet."""
        paths, labels = [self.paths[index] for index in indices], self.labels[indices]
        return FolderDataset(
            self.name, paths, labels, self.classes, self.size, smallest=self.smallest, preparation=self.preparation
        )

    def fingerprint(self) -> str:
        """The SHA-256 of names, labels, sizes in bytes, the beginnings of SAMPLES files, and the preparation.

        The names are those below the folder that all files are in, so that a set may be moved. A file that is changed
        without changing its size may go unnoticed. Files are looked at once, when this is first called.
        """
        if self._fingerprint is None:
            self._fingerprint = _fingerprint(self.paths, self.labels, self.preparation)
        return self._fingerprint


def _fingerprint(paths: list[str], labels: NDArray[np.int64], preparation: Preparation) -> str:
    usual = preparation == Preparation(preparation.size)
    digest = sha256(f"folder {preparation.size if usual else preparation}".encode())
    common = os.path.commonpath((min(paths), max(paths)))
    above, top = len(common), "" if common else os.sep  # in the folder "." a path begins with no separator
    for path, label in zip(paths, labels.tolist(), strict=True):
        digest.update(b"%s\0%d %d\0" % (os.fsencode(top + path[above:]), label, _bytes_of(path)))
    for index in np.unique(np.linspace(0, len(paths) - 1, SAMPLES).astype(int)):
        with suppress(OSError, ValueError), regular_file(paths[index]) as file:  # examine.py tells what is no file
            digest.update(file.read(SAMPLE))
    return digest.hexdigest()


def _bytes_of(path: str) -> int:
    """The size of a file, or -1 if there is none."""
    try:
        return os.stat(path).st_size  # noqa: PTH116 (a million times)
    except OSError:
        return -1


def load_folder(
    root: str | Path, *, size: int, smallest: int = 1, preparation: Preparation | None = None
) -> tuple[FolderDataset, FolderDataset]:
    """The data sets (train, validation) of the folder ROOT, stored as size x size; layout.py describes its layout.

    Hidden files and files without an image's suffix are skipped. Images are decoded when they are first read.
    smallest, preparation: as for `FolderDataset`.
    Raises DataError if there is no such folder, no class folder, a class without images, or if train and val have
    different classes.
    """
    root = at_home(root)
    if not root.is_dir():
        raise DataError(f"got {root}: expected a folder that holds one folder of images for each class")
    train_root, val_root = root / "train", root / "val"
    if subfolders(train_root) or subfolders(val_root):  # without subfolders, "train" is itself a class
        train, val = _images_by_class(train_root), _images_by_class(val_root)
        check_same_classes(train, val, train_root, val_root)
    else:
        images = _images_by_class(root, held_out=True)
        val = {name: paths[::HELD_OUT] for name, paths in images.items()}
        train = {name: [p for i, p in enumerate(paths) if i % HELD_OUT] for name, paths in images.items()}
    classes = readable_names(root, list(train))
    name = root.resolve().name

    def dataset(images: dict[str, list[str]]) -> FolderDataset:
        """Of the paths of each class; class i of the dict has label i."""
        paths = [path for of_class in images.values() for path in of_class]
        labels = np.repeat(np.arange(len(images)), [len(of_class) for of_class in images.values()])
        return FolderDataset(name, paths, labels, classes, size, smallest=smallest, preparation=preparation)

    return dataset(train), dataset(val)


def _images_by_class(folder: Path, *, held_out: bool = False) -> dict[str, list[str]]:
    """The paths of the images by class name; both are sorted by name. Of pipes and the like reading complains."""
    classes = subfolders(folder)
    if not classes:
        raise DataError(f"got {folder} without class folders: expected one folder of images for each class")
    images = {}
    for class_folder in classes:
        paths = [entry.path for entry in image_entries(class_folder) if not entry.is_dir()]
        check_images(class_folder, len(paths), held_out=held_out)
        images[class_folder.name] = paths
    return images
