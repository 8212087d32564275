"""A folder of class folders, the usual layout of ImageNet (section 2).

    ROOT/train/<class>/*   ROOT/val/<class>/*      or      ROOT/<class>/*

In the second layout every tenth image of each class (the first, the eleventh, ... by name) is used for validation.
Classes are numbered in the order of their folders' names. ROOT/classes.tsv, if it exists, gives readable names: one
line for each class, "index <tab> folder <tab> name".

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
HELD_OUT = 10  # one image in ten is for validation, unless the folder has a train and a val folder
MEMORY = 2**30  # bytes; if a set's prepared images need more, they are decoded again at each read


class FolderDataset:
    """Images in files, each decoded and prepared as size x size when it is first read.

    Prepared images stay in memory if all N of them fit in MEMORY; otherwise each read decodes them again.
    smallest: the least width and height of an image, in pixels: the size of the net's first kernel.
    `read` and `picture` raise DataError, naming the file, if an image cannot be decoded or is too small.
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
    ) -> None:
        self.name, self.paths, self.labels, self.classes = name, paths, labels, classes
        self.size, self.smallest = size, smallest
        shape = (len(paths), size, size, 3)
        # np.empty reserves address space; the system provides memory only where images are written
        self._kept = np.empty(shape, np.uint8) if np.prod(shape, dtype=np.int64) <= MEMORY else None
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
        return prepare_image(read_image(self.paths[index], smallest=self.smallest), self.size)


def load_folder(root: str | Path, *, size: int, smallest: int = 1) -> tuple[FolderDataset, FolderDataset]:
    """The data sets (train, validation) of the folder ROOT, stored as size x size; the module describes its layout.

    Hidden files and files without an image's suffix are skipped. Images are decoded when they are first read.
    smallest: the least width and height of an image, in pixels.
    Raises DataError if there is no such folder, no class folder, a class without images, or if train and val have
    different classes.
    """
    root = Path(root).expanduser()
    if not root.is_dir():
        raise DataError(f"got {root}: expected a folder that holds one folder of images for each class")
    train_root, val_root = root / "train", root / "val"
    if _subfolders(train_root) or _subfolders(val_root):  # without subfolders, "train" is itself a class
        train, val = _images_by_class(train_root), _images_by_class(val_root)
        if differing := sorted(train.keys() ^ val.keys()):
            where, other = (train_root, val_root) if differing[0] in train else (val_root, train_root)
            raise DataError(
                f"got class {differing[0]} in {where} but not in {other}: expected the same classes in both"
            )
    else:
        images = _images_by_class(root)
        for name, paths in images.items():
            if len(paths) < 2:
                raise DataError(
                    f"got class folder {root / name} with 1 image: expected 2 or more, one of them for validation"
                )
        val = {name: paths[::HELD_OUT] for name, paths in images.items()}
        train = {name: [p for i, p in enumerate(paths) if i % HELD_OUT] for name, paths in images.items()}
    classes = _readable_names(root, list(train))
    name = root.resolve().name
    return _dataset(name, train, classes, size, smallest), _dataset(name, val, classes, size, smallest)


def _dataset(
    name: str, images: dict[str, list[Path]], classes: tuple[str, ...], size: int, smallest: int
) -> FolderDataset:
    """The data set of `images`, the paths of each class; class i of the dict has label i."""
    paths = [path for of_class in images.values() for path in of_class]
    labels = np.repeat(np.arange(len(images)), [len(of_class) for of_class in images.values()])
    return FolderDataset(name, paths, labels, classes, size, smallest=smallest)


def _subfolders(folder: Path) -> list[Path]:
    """The folders in a folder, sorted by name, without hidden ones; none if the folder does not exist."""
    if not folder.is_dir():
        return []
    return sorted(path for path in folder.iterdir() if path.is_dir() and not path.name.startswith("."))


def _images_by_class(folder: Path) -> dict[str, list[Path]]:
    """The paths of the images by class name; both are sorted by name."""
    classes = _subfolders(folder)
    if not classes:
        raise DataError(f"got {folder} without class folders: expected one folder of images for each class")
    images = {}
    for class_folder in classes:
        paths = sorted(
            path
            for path in class_folder.iterdir()
            if path.suffix.lower() in SUFFIXES and not path.name.startswith(".") and path.is_file()
        )
        if not paths:
            raise DataError(f"got class folder {class_folder} without images: expected {', '.join(sorted(SUFFIXES))}")
        images[class_folder.name] = paths
    return images


def _readable_names(root: Path, folders: list[str]) -> tuple[str, ...]:
    """The names of the classes: from ROOT/classes.tsv if it exists, otherwise the names of their folders."""
    table = root / "classes.tsv"
    if not table.is_file():
        return _distinct(folders, folders)
    names = {}
    try:
        text = table.read_text(encoding="utf-8")
    except UnicodeDecodeError as error:
        raise DataError(
            f"got {table} ({error.reason} at byte {error.start}): expected UTF-8; save it as that"
        ) from error
    for number, line in enumerate(text.splitlines(), start=1):
        fields = line.split("\t")
        if len(fields) != 3:
            raise DataError(f"got {table} line {number} with {len(fields)} fields: expected index, folder, name")
        names[fields[1]] = fields[2]
    return _distinct([names.get(folder, folder) for folder in folders], folders)


def _distinct(names: list[str], folders: list[str]) -> tuple[str, ...]:
    """The names, with the folder added where two are equal: ImageNet has two cranes, a bird and a machine."""
    readable = [legible(name) for name in names]
    uses = Counter(readable)
    return tuple(n if uses[n] == 1 else f"{n} ({legible(f)})" for n, f in zip(readable, folders, strict=True))
