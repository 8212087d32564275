"""CIFAR-10 (Krizhevsky 2009): 32 x 32 images of 10 classes, used in the experiments of section 3.3 and figure 1.

Its official layout is a folder with the files data_batch_1 ... data_batch_5, test_batch and batches.meta. Each batch
is a Python 2 pickle of a dict: "data" (n, 3072) uint8, the red, green and blue planes of each image one after the
other, and "labels", a list of n integers. Any number of data_batch files, with any number of rows, can be read.

Axes: N images, S stored height and width, 3 colours.
"""

import os
import pickle
import tarfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tinyalex.data.dataset import ArrayDataset, check_labels
from tinyalex.errors import DataError, LabelError, UsageError
from tinyalex.files import make_folder, replacing

URL = "https://www.cs.toronto.edu/~kriz/cifar-10-python.tar.gz"
MD5 = "c58f30108f718f92721af3b95e74349a"
FOLDER = "cifar-10-batches-py"  # the folder in the archive
FILES = (*(f"data_batch_{number}" for number in range(1, 6)), "test_batch", "batches.meta")
SIDE = 32


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
    folder = Path(folder).expanduser()
    if split not in ("train", "val"):
        raise UsageError(f"got split {split!r}: expected train or val")
    if not SIDE <= size <= 3 * SIDE - 2:  # a mirrored border is at most 31 pixels wide
        raise UsageError(
            f"got images of {size} x {size} for CIFAR-10: expected {SIDE} ... {3 * SIDE - 2}, as its own are 32 x 32; "
            "use the variant mini"
        )
    if not folder.is_dir():
        raise DataError(f"got {folder}: expected CIFAR-10's folder {FOLDER}")
    classes = _class_names(folder / "batches.meta")
    paths = [folder / "test_batch"] if split == "val" else _training_files(folder)
    parts = [_read_batch(path, len(classes)) for path in paths]
    labels = np.concatenate([labels for _, labels in parts])
    if len(labels) == 0:
        raise DataError(f"got {folder} without images of the split {split}: expected at least one")

    before = (size - SIDE) // 2
    border = (before, size - SIDE - before)
    images = np.concatenate(
        [np.pad(planes.transpose(0, 2, 3, 1), ((0, 0), border, border, (0, 0)), "reflect") for planes, _ in parts]
    )  # (N, S, S, 3)
    inside = slice(before, before + SIDE)
    return ArrayDataset("cifar10", images, labels, classes, pictures=images[:, inside, inside])


def cache_folder() -> Path:
    """The folder for downloads: $TINYALEX_CACHE/cifar-10-batches-py, or ~/.cache/tinyalex/cifar-10-batches-py."""
    return Path(os.environ.get("TINYALEX_CACHE", "~/.cache/tinyalex")).expanduser() / FOLDER


def download_cifar10(folder: str | Path | None = None) -> Path:
    """Download CIFAR-10 (170 MB) from its author's site into `folder`, unless it is there already -> the folder.

    folder: where the seven files go; None: `cache_folder()`. The archive's MD5 sum is checked.
    Raises: DataError if the download fails, the archive is not the expected one, or pooch is not installed.
    """
    folder = cache_folder() if folder is None else Path(folder).expanduser()
    if all((folder / name).is_file() for name in FILES):
        return folder
    try:
        import pooch
    except ImportError as error:
        raise DataError("got no pooch: expected it for a download; run pip install 'tinyalex[download]'") from error
    archive = make_folder(folder) / URL.rpartition("/")[2]
    try:
        pooch.retrieve(URL, f"md5:{MD5}", fname=archive.name, path=folder, progressbar=True)
    except (OSError, ValueError) as error:  # no network; another checksum
        reason = " ".join(str(error).split())
        raise DataError(
            f"cannot download {URL} ({reason}): expected a connection to it; try again, or download it in a browser"
        ) from error
    _extract(archive, folder)
    archive.unlink()
    return folder


def _extract(archive: Path, folder: Path) -> None:
    """Write the archive's seven files into `folder`, each in one piece."""
    try:
        with tarfile.open(archive) as tar:
            members = {member.name: member for member in tar.getmembers() if member.isfile()}
            members.pop(f"{FOLDER}/readme.html", None)
            if set(members) != {f"{FOLDER}/{name}" for name in FILES}:
                raise DataError(f"got {archive} with {sorted(members)}: expected CIFAR-10's {len(FILES)} files")
            for name in FILES:
                content = tar.extractfile(members[f"{FOLDER}/{name}"])
                assert content is not None  # only links and folders have none
                with replacing(folder / name) as file:
                    file.write(content.read())
    except (tarfile.TarError, EOFError, OSError) as error:
        raise DataError(
            f"cannot unpack {archive} ({error}): expected CIFAR-10's archive; remove it and download it again"
        ) from error


def _training_files(folder: Path) -> list[Path]:
    """The files data_batch_1, data_batch_2, ... of a folder, ordered by number."""
    paths = [path for path in folder.glob("data_batch_*") if path.name.rpartition("_")[2].isdecimal()]
    if not paths:
        raise DataError(f"got {folder} without data_batch_1: expected CIFAR-10's {', '.join(FILES)}")
    return sorted(paths, key=lambda path: int(path.name.rpartition("_")[2]))


def _class_names(path: Path) -> tuple[str, ...]:
    """The class names in the file batches.meta."""
    names = _load(path).get(b"label_names")
    if not isinstance(names, list) or not names or not all(isinstance(name, bytes) for name in names):
        raise DataError(f"got {path} without a list of label_names: expected CIFAR-10's batches.meta")
    return tuple(name.decode("utf-8", "replace") for name in names)


def _read_batch(path: Path, classes: int) -> tuple[NDArray[np.uint8], NDArray[np.int64]]:
    """One batch file -> images (n, 3, 32, 32) uint8, labels (n,) int64."""
    content = _load(path)
    data, labels = content.get(b"data"), content.get(b"labels")
    if not isinstance(data, _PickledArray) or not isinstance(labels, list):
        raise DataError(f"got {path} without data and labels: expected a batch of CIFAR-10")
    rows = data.values
    if rows.ndim != 2 or rows.shape[1] != 3 * SIDE * SIDE:
        raise DataError(f"got {path} with data of shape {rows.shape}: expected (rows, {3 * SIDE * SIDE})")
    if not all(isinstance(label, int) for label in labels):
        raise DataError(f"got {path} with labels that are not integers: expected a batch of CIFAR-10")
    try:
        numbers = np.array(labels, np.int64)
        check_labels(str(path), numbers, len(rows), classes)
    except (LabelError, OverflowError) as error:
        raise DataError(f"{error}; replace the file") from error
    return rows.reshape(-1, 3, SIDE, SIDE), numbers


# Reading pickles safely. A pickle is a program that may call anything by name. CIFAR-10's pickles name three things,
# and each is replaced by a stand-in instead of the real class. So nothing else can be called, names that NumPy has
# since changed still work, and no invented state (such as a dtype's flags) reaches NumPy's C code.


class _PickledArray:
    """In place of numpy.core.multiarray._reconstruct: an array whose shape and bytes come with its state."""

    def __init__(self, *_: object) -> None:
        self.values: NDArray[np.uint8] = np.empty(0, np.uint8)

    def __setstate__(self, state: tuple[int, Sequence[int], Any, bool, bytes]) -> None:
        _, shape, dtype, column_major, content = state
        if not isinstance(dtype, _PickledDtype) or dtype.code not in (b"u1", "u1"):
            raise ValueError("it holds an array that is not uint8")
        self.values = np.frombuffer(content, np.uint8).reshape(shape, order="F" if column_major else "C")


class _PickledDtype:
    """In place of numpy.dtype; only its code, such as b"u1", matters here."""

    def __init__(self, code: object = None, *_: object) -> None:
        self.code = code

    def __setstate__(self, state: object) -> None:
        """Ignore byte order and flags: they mean nothing for single bytes."""


class _PickledArrayType:
    """In place of numpy.ndarray, which the files name but do not call."""


_ADMITTED = {
    ("numpy.core.multiarray", "_reconstruct"): _PickledArray,
    ("numpy", "ndarray"): _PickledArrayType,
    ("numpy", "dtype"): _PickledDtype,
}


class _Unpickler(pickle.Unpickler):
    """Admits the three names in CIFAR-10's pickles and refuses all others."""

    def find_class(self, module: str, name: str) -> type:
        if (module, name) not in _ADMITTED:
            raise pickle.UnpicklingError(f"it asks for {module}.{name}, which no batch of CIFAR-10 does")
        return _ADMITTED[module, name]


def _load(path: Path) -> dict[object, object]:
    """The dict in a pickle, with Python 2 strings as bytes. Raises DataError if there is none."""
    try:
        with path.open("rb") as file:
            content = _Unpickler(file, encoding="bytes").load()
    except FileNotFoundError as error:
        raise DataError(f"{path} is missing: expected CIFAR-10's {', '.join(FILES)}") from error
    except Exception as error:  # a damaged pickle is a damaged program, and may fail in any way
        reason = " ".join(str(error).split()) or type(error).__name__
        raise DataError(f"cannot read {path} ({reason}): expected a batch of CIFAR-10; replace the file") from error
    if not isinstance(content, dict):
        raise DataError(f"got {path} with a {type(content).__name__}: expected a dict, as in CIFAR-10's files")
    return content
