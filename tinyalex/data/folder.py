"""A folder of class folders, the layout that ImageNet is usually kept in (section 2).

    ROOT/train/<class>/*   ROOT/val/<class>/*      or      ROOT/<class>/*

In the second form every tenth image of each class (the first, the eleventh, ... by name) is kept for validation.
Classes are numbered in the order of their folders' names. ROOT/classes.tsv, where there is one, gives readable names:
a line per class, "index <tab> folder <tab> name".

Axes: N images, S stored height and width, 3 colours.
"""

from collections import Counter
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from tinyalex.data.prepare import prepare_image, read_image
from tinyalex.errors import DataError
from tinyalex.files import legible

SUFFIXES = {".jpg", ".jpeg", ".png", ".webp", ".bmp", ".gif", ".tif", ".tiff"}
HELD_OUT = 10  # one image in ten is for validation, where the folder itself does not say which
MEMORY = 2**30  # bytes that a set's prepared images may fill before they are decoded afresh each time


class FolderDataset:
    """Images in files, decoded and prepared (size, size) when they are first read.

    Prepared images stay in memory if all N of them fit in `memory` bytes; else each read decodes again.
    smallest: the least width and height that an image may have, that of the net's first kernel.
    `read` and `picture` raise DataError naming a file that cannot be decoded or is smaller.
    """

    def __init__(
        self,
        name: str,
        paths: list[Path],
        labels: NDArray[np.int64],
        classes: tuple[str, ...],
        size: int,
        *,
        smallest: int = 1,
        memory: int = MEMORY,
    ) -> None:
        self.name, self.paths, self.labels, self.classes = name, paths, labels, classes
        self.size, self.smallest = size, smallest
        shape = (len(paths), size, size, 3)
        # np.empty takes memory only as images are written into it
        self._kept = np.empty(shape, np.uint8) if np.prod(shape, dtype=np.int64) <= memory else None
        self._is_kept = np.zeros(len(paths), bool)

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
        # Two threads may prepare one image at once: they write the same bytes, and mark it only afterwards.
        for index in indices[~self._is_kept[indices]]:
            self._kept[index] = self._prepare(index)
            self._is_kept[index] = True
        return self._kept[indices]

    def picture(self, index: int) -> NDArray[np.uint8]:
        """One image at its own resolution, upright: (height, width, 3) uint8."""
        return np.array(read_image(self.paths[index], smallest=self.smallest))

    def _prepare(self, index: int) -> NDArray[np.uint8]:
        """Decode one image -> (S, S, 3) uint8."""
        return prepare_image(read_image(self.paths[index], smallest=self.smallest), self.size)


def load_folder(root: str | Path, *, size: int, smallest: int = 1) -> tuple[FolderDataset, FolderDataset]:
    """The images under ROOT (train, validation), stored as size x size; see the module's docstring for the layout.

    Files without an image's suffix and hidden ones are passed over; images are decoded when they are read.
    Raises DataError: no such folder, no class folders, a class without images, train and val of other classes.
    """
    root = Path(root).expanduser()
    if not root.is_dir():
        raise DataError(f"there is no folder {root}; expected one of class folders with images")
    train_root, val_root = root / "train", root / "val"
    if _subfolders(train_root) or _subfolders(val_root):  # else they are classes, of railway pictures, say
        train, val = _images_by_class(train_root), _images_by_class(val_root)
        if differing := sorted(train.keys() ^ val.keys()):
            where, other = (train_root, val_root) if differing[0] in train else (val_root, train_root)
            raise DataError(f"class {differing[0]} is in {where} but not in {other}; expected the same classes")
    else:
        images = _images_by_class(root)
        for name, paths in images.items():
            if len(paths) < 2:
                raise DataError(f"class folder {root / name} has 1 image; expected 2, to keep one for validation")
        val = {name: paths[::HELD_OUT] for name, paths in images.items()}
        train = {name: [p for i, p in enumerate(paths) if i % HELD_OUT] for name, paths in images.items()}
    classes = _readable_names(root, list(train))
    name = root.resolve().name
    return _dataset(name, train, classes, size, smallest), _dataset(name, val, classes, size, smallest)


def _dataset(
    name: str, images: dict[str, list[Path]], classes: tuple[str, ...], size: int, smallest: int
) -> FolderDataset:
    """The data set of the images of each class, in the classes' order."""
    paths = [path for of_class in images.values() for path in of_class]
    labels = np.repeat(np.arange(len(images)), [len(of_class) for of_class in images.values()])
    return FolderDataset(name, paths, labels, classes, size, smallest=smallest)


def _subfolders(folder: Path) -> list[Path]:
    """The folders in a folder, by name, without hidden ones; none where there is no such folder."""
    if not folder.is_dir():
        return []
    return sorted(path for path in folder.iterdir() if path.is_dir() and not path.name.startswith("."))


def _images_by_class(folder: Path) -> dict[str, list[Path]]:
    """Class name -> the paths of its images, both in the order of their names."""
    classes = _subfolders(folder)
    if not classes:
        raise DataError(f"{folder} has no class folders; expected one folder of images for each class")
    images = {}
    for class_folder in classes:
        paths = sorted(
            path
            for path in class_folder.iterdir()
            if path.suffix.lower() in SUFFIXES and not path.name.startswith(".") and path.is_file()
        )
        if not paths:
            raise DataError(f"class folder {class_folder} has no images; expected {', '.join(sorted(SUFFIXES))}")
        images[class_folder.name] = paths
    return images


def _readable_names(root: Path, folders: list[str]) -> tuple[str, ...]:
    """The classes' names by ROOT/classes.tsv, else those of their folders."""
    table = root / "classes.tsv"
    if not table.is_file():
        return _unlike(folders, folders)
    names = {}
    try:
        text = table.read_text(encoding="utf-8")
    except UnicodeDecodeError as error:
        raise DataError(f"{table} is not UTF-8 ({error.reason} at byte {error.start}): save it as that") from error
    for number, line in enumerate(text.splitlines(), start=1):
        fields = line.split("\t")
        if len(fields) != 3:
            raise DataError(f"{table} line {number} has {len(fields)} fields; expected index, folder, name")
        names[fields[1]] = fields[2]
    return _unlike([names.get(folder, folder) for folder in folders], folders)


def _unlike(names: list[str], folders: list[str]) -> tuple[str, ...]:
    """The names, with that of the folder where two are alike: ImageNet has two cranes, a bird and a machine."""
    readable = [legible(name) for name in names]
    uses = Counter(readable)
    return tuple(n if uses[n] == 1 else f"{n} ({legible(f)})" for n, f in zip(readable, folders, strict=True))
