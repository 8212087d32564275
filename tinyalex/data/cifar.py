"""CIFAR-10 and CIFAR-100 (Krizhevsky 2009): 32 x 32 images of 10 or 100 classes. Section 3.3 and figure 1 use CIFAR-10.

The official layout of CIFAR-10 is a folder with the files data_batch_1 ... data_batch_5, test_batch and batches.meta;
that of CIFAR-100 has train, test and meta. Each is a pickle of a dict: "data" (n, 3072) uint8, the red, green and blue
planes of each image one after the other, and "labels", a list of n integers; in CIFAR-100 "fine_labels". The official
ones come from Python 2; those that Python 3 and any NumPy wrote again can be read too. CIFAR-10 may have any number of
data_batch files, with any number of rows. The 20 coarse labels of CIFAR-100 are not used.

Axes: N images, S stored height and width, 3 colours.
"""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from tinyalex.data.dataset import ArrayDataset, check_labels
from tinyalex.data.pickles import PickledArray, read_pickle
from tinyalex.errors import DataError, LabelError, UsageError
from tinyalex.files import at_home, one_line

SIDE = 32
LARGEST = 2**30  # bytes of a file that is read; the largest official one has 155 million
MOST_LETTERS = 100_000  # in all class names


@dataclass(frozen=True)
class Cifar:
    """One of the two sets: what its files, and the entries in them, are called.

    name, title: as in `--data cifar10`, and in a sentence.
    folder, md5: the folder in the official archive, and the archive's sum.
    train: the training files; `load` takes any that are called like the first, with another number.
    """

    name: str
    title: str
    folder: str
    md5: str
    train: tuple[str, ...]
    val: str
    meta: str
    labels: str
    class_names: str

    @property
    def files(self) -> tuple[str, ...]:
        """The names of all files."""
        return (*self.train, self.val, self.meta)

    @property
    def archive(self) -> str:
        """The name of the official archive of the Python version."""
        return self.folder.replace("-batches-py", "-python") + ".tar.gz"

    def __str__(self) -> str:
        return f"{self.title}'s {', '.join(self.files)}"


CIFAR10 = Cifar(
    name="cifar10",
    title="CIFAR-10",
    folder="cifar-10-batches-py",
    md5="c58f30108f718f92721af3b95e74349a",
    train=tuple(f"data_batch_{number}" for number in range(1, 6)),
    val="test_batch",
    meta="batches.meta",
    labels="labels",
    class_names="label_names",
)
CIFAR100 = Cifar(
    name="cifar100",
    title="CIFAR-100",
    folder="cifar-100-python",
    md5="eb9058c3a382ffc7106e4002c42a8d85",
    train=("train",),
    val="test",
    meta="meta",
    labels="fine_labels",
    class_names="fine_label_names",
)
CIFARS = {kind.name: kind for kind in (CIFAR10, CIFAR100)}


def load_cifar10(folder: str | Path, split: str, *, size: int = 36) -> ArrayDataset:
    """The images of `split`, "train" (all data_batch files) or "val" (test_batch), stored as size x size.

    size: S, 32 ... 94. Each image lies in the centre of S x S pixels, so that random crops of 32 x 32 can be taken,
          as the paper takes 224 x 224 from 256 x 256. The border is the image mirrored at its edge, without repeating
          the edge: every crop has natural pixels only, and the mean image continues smoothly into the border. A black
          or grey border would tell the net where the crop lies.
    picture(index) of the data set is the original, 32 x 32.
    Raises: DataError naming the file, if one is missing, damaged, or not a batch of CIFAR-10;
            UsageError for another split or size.
    """
    return load_cifar(CIFAR10, folder, split, size)


def load_cifar100(folder: str | Path, split: str, *, size: int = 36) -> ArrayDataset:
    """The images of `split`, "train" or "val" (the file test), with their fine labels; else as `load_cifar10`."""
    return load_cifar(CIFAR100, folder, split, size)


def load_cifar(kind: Cifar, folder: str | Path, split: str, size: int) -> ArrayDataset:
    """The images of one split of `kind`: see `load_cifar10`."""
    folder = at_home(folder)
    if split not in ("train", "val"):
        raise UsageError(f"got split {split!r}: expected train or val")
    if not SIDE <= size <= 3 * SIDE - 2:  # a mirrored border is at most 31 pixels wide
        raise UsageError(
            f"got images of {size} x {size} for {kind.title}: expected {SIDE} ... {3 * SIDE - 2}, as its own are "
            f"{SIDE} x {SIDE}; use the variant mini"
        )
    _check_folder(kind, folder)
    classes = _class_names(kind, folder / kind.meta)
    paths = [folder / kind.val] if split == "val" else _training_files(kind, folder)
    batches = [_read_batch(kind, path, len(classes)) for path in paths]
    labels = np.concatenate([labels for _, labels in batches])
    if len(labels) == 0:
        raise DataError(f"got {folder} without images of the split {split}: expected at least one")

    before = (size - SIDE) // 2
    inside = slice(before, before + SIDE)
    images = np.empty((len(labels), size, size, 3), np.uint8)
    start = 0
    while batches:  # each is forgotten when it has been copied: all images twice may not fit into memory
        planes, _ = batches.pop(0)
        images[start : start + len(planes), inside, inside] = planes.transpose(0, 2, 3, 1)
        start += len(planes)
    _mirror_border(images, before)
    return ArrayDataset(kind.name, images, labels, classes, pictures=images[:, inside, inside])


def _mirror_border(images: NDArray[np.uint8], before: int) -> None:
    """Fill the border of `images` (N, S, S, 3) with the mirrored image; `before` pixels are above and left of it."""
    size = images.shape[1]
    source = before + np.pad(np.arange(SIDE), (before, size - SIDE - before), "reflect")  # (S,)
    border = np.flatnonzero(source != np.arange(size))
    for place in border:
        images[:, place] = images[:, source[place]]
    for place in border:
        images[:, :, place] = images[:, :, source[place]]


def _check_folder(kind: Cifar, folder: Path) -> None:
    """Raise DataError if `folder` is missing, or holds the other set or another version of this one."""
    if not folder.is_dir():
        raise DataError(f"got {folder}: expected {kind.title}'s folder {kind.folder}")
    if (folder / kind.meta).exists():
        return
    other = CIFAR100 if kind is CIFAR10 else CIFAR10
    if (folder / other.meta).exists():
        raise DataError(f"got {folder}, which holds {other.title}: expected {kind}; write {other.name}:{folder}")
    if any(any(folder.glob(pattern)) for pattern in ("*.bin", "*.mat")):
        raise DataError(
            f"got {folder}, which holds the binary or the Matlab version: expected {kind}; use the Python version, "
            f"{kind.archive}"
        )


def _training_files(kind: Cifar, folder: Path) -> list[Path]:
    """The files data_batch_1, data_batch_2, ... of a folder, ordered by number; or the one file train."""
    first = kind.train[0]
    number = {path: path.name.removeprefix(first.rstrip("1")) for path in folder.glob(first.rstrip("1") + "*")}
    paths = [path for path in number if path.name == first or number[path].isdecimal()]
    if not paths:
        raise DataError(f"got {folder} without {first}: expected {kind}")
    return sorted(paths, key=lambda path: int(number[path] or 0))


def _class_names(kind: Cifar, path: Path) -> tuple[str, ...]:
    """The class names in the file batches.meta, or meta."""
    names = _read_dict(kind, path).get(kind.class_names)
    if not isinstance(names, list) or not names or not all(isinstance(name, (bytes, str)) for name in names):
        raise DataError(f"got {path} without a list of {kind.class_names}: expected {kind.title}'s {kind.meta}")
    if sum(map(len, names)) > MOST_LETTERS:  # a pickle can hold a long name once, and name it a million times
        raise DataError(f"got {path} with names of more than {MOST_LETTERS:,} letters: expected {kind.title}'s")
    return tuple(map(_text, names))


def _read_batch(kind: Cifar, path: Path, classes: int) -> tuple[NDArray[np.uint8], NDArray[np.int64]]:
    """One batch file -> images (n, 3, 32, 32) uint8, labels (n,) int64."""
    content = _read_dict(kind, path)
    data, labels = content.get("data"), content.get(kind.labels)
    if not isinstance(data, PickledArray) or not isinstance(labels, list):
        raise DataError(f"got {path} without data and {kind.labels}: expected a batch of {kind.title}")
    rows = data.values
    if rows.dtype != np.uint8:
        raise DataError(f"got {path} with data of {rows.dtype}: expected uint8")
    if rows.ndim != 2 or rows.shape[1] != 3 * SIDE * SIDE:
        raise DataError(f"got {path} with data of shape {rows.shape}: expected (rows, {3 * SIDE * SIDE})")
    if not all(isinstance(label, int) for label in labels):
        raise DataError(f"got {path} with labels that are not integers: expected a batch of {kind.title}")
    try:
        numbers = np.array(labels, np.int64)
        check_labels(str(path), numbers, len(rows), classes)
    except (LabelError, OverflowError) as error:
        raise DataError(f"{error}; replace the file") from error
    return rows.reshape(-1, 3, SIDE, SIDE), numbers


def _read_dict(kind: Cifar, path: Path) -> dict[str, object]:
    """The dict in the pickle at `path`. Raises DataError if there is none."""
    try:
        if not path.is_file():
            raise DataError(f"{path} is missing or not a file: expected {kind}")
        if path.stat().st_size > LARGEST:
            raise DataError(f"got {path} of {path.stat().st_size:,} bytes: expected at most {LARGEST:,}; split it")
        content = read_pickle(path.read_bytes())
    except DataError:
        raise
    except (OSError, ValueError, TypeError, IndexError, OverflowError) as error:
        raise DataError(
            f"cannot read {path} ({one_line(error)}): expected a batch of {kind.title}; replace the file"
        ) from error
    if not isinstance(content, dict):
        raise DataError(f"got {path} with a {type(content).__name__}: expected a dict, as in {kind.title}'s files")
    return {_text(key): value for key, value in content.items()}


def _text(value: bytes | str) -> str:
    """A string of Python 3, or of Python 2, as text."""
    return value if isinstance(value, str) else value.decode("utf-8", "replace")
