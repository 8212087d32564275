"""CIFAR-10 (Krizhevsky 2009), the small set of section 3.3's and figure 1's experiments: 32 x 32 images of 10 classes.

Its official layout is a folder with the files data_batch_1 ... data_batch_5, test_batch and batches.meta, each a
pickle from Python 2 of a dict: "data" (n, 3072) uint8, red, green and blue plane of each image one after the other,
and "labels", a list of n integers. Files of any number of rows are read, and any number of data_batch files.

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
FOLDER = "cifar-10-batches-py"  # its name in the archive
FILES = (*(f"data_batch_{number}" for number in range(1, 6)), "test_batch", "batches.meta")
SIDE = 32


def load_cifar10(folder: str | Path, split: str, *, size: int = 36) -> ArrayDataset:
    """The images of `split`, "train" (all data_batch files) or "val" (test_batch), stored as size x size.

    size: S, 32 ... 94. Images lie centrally in S x S pixels, so that a net can read random crops of 32 x 32 of them
          as it reads 224 x 224 of 256 x 256. The border is the image mirrored at its edge (the edge itself is not
          repeated). So a crop is made of natural pixels wherever it lies, and the mean image goes on smoothly into
          the border: no frame tells the net where the crop was, as a black or a grey one would.
    picture(index) of the data set gives the 32 x 32 original.
    Raises: DataError naming the file, where one is missing, damaged, or holds anything but such a dict;
            UsageError on another split or size.
    """
    folder = Path(folder).expanduser()
    if split not in ("train", "val"):
        raise UsageError(f"unknown split {split!r}; expected train or val")
    if not SIDE <= size <= 3 * SIDE - 2:  # a mirrored border is at most 31 pixels wide
        raise UsageError(
            f"CIFAR-10's images are 32 x 32, too small for the {size} x {size} that this net asks for; "
            f"expected {SIDE} ... {3 * SIDE - 2}: take the variant mini"
        )
    if not folder.is_dir():
        raise DataError(f"there is no folder {folder}; expected CIFAR-10's {FOLDER}")
    classes = _class_names(folder / "batches.meta")
    paths = [folder / "test_batch"] if split == "val" else _training_files(folder)
    parts = [_read_batch(path, len(classes)) for path in paths]
    labels = np.concatenate([labels for _, labels in parts])
    if len(labels) == 0:
        raise DataError(f"{folder} holds no images of the split {split}; expected at least one")

    before = (size - SIDE) // 2
    border = (before, size - SIDE - before)
    images = np.concatenate(
        [np.pad(planes.transpose(0, 2, 3, 1), ((0, 0), border, border, (0, 0)), "reflect") for planes, _ in parts]
    )  # (N, S, S, 3)
    inside = slice(before, before + SIDE)
    return ArrayDataset("cifar10", images, labels, classes, pictures=images[:, inside, inside])


def cache_folder() -> Path:
    """Where a download is kept: $TINYALEX_CACHE/cifar-10-batches-py, or ~/.cache/tinyalex/cifar-10-batches-py."""
    return Path(os.environ.get("TINYALEX_CACHE", "~/.cache/tinyalex")).expanduser() / FOLDER


def download_cifar10(folder: str | Path | None = None) -> Path:
    """Fetch CIFAR-10 (170 MB) from its author's site into `folder` -> that folder; nothing is fetched if it is there.

    folder: what becomes cifar-10-batches-py; left out, that of `cache_folder`. The archive's MD5 sum is checked.
    Raises: DataError where the download fails, the archive is not the one expected, or pooch is not installed.
    """
    folder = cache_folder() if folder is None else Path(folder).expanduser()
    if all((folder / name).is_file() for name in FILES):
        return folder
    try:
        import pooch
    except ImportError as error:
        raise DataError("a download needs pooch: run pip install 'tinyalex[download]' first") from error
    archive = make_folder(folder) / URL.rpartition("/")[2]
    try:
        pooch.retrieve(URL, f"md5:{MD5}", fname=archive.name, path=folder, progressbar=True)
    except (OSError, ValueError) as error:  # no network; another checksum
        reason = " ".join(str(error).split())
        raise DataError(f"cannot download {URL} ({reason}); try again, or fetch it by other means") from error
    _extract(archive, folder)
    archive.unlink()
    return folder


def _extract(archive: Path, folder: Path) -> None:
    """Write the archive's seven files into `folder`; one that is there is whole."""
    try:
        with tarfile.open(archive) as tar:
            members = {member.name: member for member in tar.getmembers() if member.isfile()}
            members.pop(f"{FOLDER}/readme.html", None)
            if set(members) != {f"{FOLDER}/{name}" for name in FILES}:
                raise DataError(f"{archive} holds {sorted(members)}; expected CIFAR-10's {len(FILES)} files")
            for name in FILES:
                content = tar.extractfile(members[f"{FOLDER}/{name}"])
                assert content is not None  # only links and folders have none
                with replacing(folder / name) as file:
                    file.write(content.read())
    except (tarfile.TarError, EOFError, OSError) as error:
        raise DataError(f"cannot unpack {archive} ({error}); remove it and download it again") from error


def _training_files(folder: Path) -> list[Path]:
    """The files data_batch_1, data_batch_2, ... of a folder, in the order of their numbers."""
    paths = [path for path in folder.glob("data_batch_*") if path.name.rpartition("_")[2].isdecimal()]
    if not paths:
        raise DataError(f"{folder} holds no data_batch_1; expected CIFAR-10's {', '.join(FILES)}")
    return sorted(paths, key=lambda path: int(path.name.rpartition("_")[2]))


def _class_names(path: Path) -> tuple[str, ...]:
    """The class names in a batches.meta."""
    names = _load(path).get(b"label_names")
    if not isinstance(names, list) or not names or not all(isinstance(name, bytes) for name in names):
        raise DataError(f"{path} holds no list of label_names; expected CIFAR-10's batches.meta")
    return tuple(name.decode("utf-8", "replace") for name in names)


def _read_batch(path: Path, classes: int) -> tuple[NDArray[np.uint8], NDArray[np.int64]]:
    """One batch file -> images (n, 3, 32, 32) uint8, labels (n,) int64."""
    content = _load(path)
    data, labels = content.get(b"data"), content.get(b"labels")
    if not isinstance(data, _PickledArray) or not isinstance(labels, list):
        raise DataError(f"{path} holds no data and labels; expected a batch of CIFAR-10")
    rows = data.values
    if rows.ndim != 2 or rows.shape[1] != 3 * SIDE * SIDE:
        raise DataError(f"{path} holds data of shape {rows.shape}; expected (rows, {3 * SIDE * SIDE})")
    if not all(isinstance(label, int) for label in labels):
        raise DataError(f"{path} holds labels that are not integers")
    try:
        numbers = np.array(labels, np.int64)
        check_labels(str(path), numbers, len(rows), classes)
    except (LabelError, OverflowError) as error:
        raise DataError(f"{error}; replace the file") from error
    return rows.reshape(-1, 3, SIDE, SIDE), numbers


# Reading pickles safely. A pickle is a program that may call anything it names; CIFAR-10's name three things. Each is
# answered with a stand-in, not the real class: nothing else can be reached, an old name that NumPy has retired makes
# no difference, and no state that a file makes up (a dtype's flags, say) reaches NumPy's C code.


class _PickledArray:
    """What numpy.core.multiarray._reconstruct gives: an array whose shape and bytes come with the state."""

    def __init__(self, *_: object) -> None:
        self.values: NDArray[np.uint8] = np.empty(0, np.uint8)

    def __setstate__(self, state: tuple[int, Sequence[int], Any, bool, bytes]) -> None:
        _, shape, dtype, column_major, content = state
        if not isinstance(dtype, _PickledDtype) or dtype.code not in (b"u1", "u1"):
            raise ValueError("an array that is not uint8")
        self.values = np.frombuffer(content, np.uint8).reshape(shape, order="F" if column_major else "C")


class _PickledDtype:
    """What numpy.dtype gives; only its code, such as b"u1", matters here."""

    def __init__(self, code: object = None, *_: object) -> None:
        self.code = code

    def __setstate__(self, state: object) -> None:
        """Byte order and the like: meaningless for single bytes."""


class _PickledArrayType:
    """numpy.ndarray, which is only named."""


_ADMITTED = {
    ("numpy.core.multiarray", "_reconstruct"): _PickledArray,
    ("numpy", "ndarray"): _PickledArrayType,
    ("numpy", "dtype"): _PickledDtype,
}


class _Unpickler(pickle.Unpickler):
    """Admits CIFAR-10's three globals and refuses every other."""

    def find_class(self, module: str, name: str) -> type:
        if (module, name) not in _ADMITTED:
            raise pickle.UnpicklingError(f"it asks for {module}.{name}, which no batch of CIFAR-10 does")
        return _ADMITTED[module, name]


def _load(path: Path) -> dict[object, object]:
    """The dict in a pickle, its Python 2 strings as bytes; DataError where there is none."""
    try:
        with path.open("rb") as file:
            content = _Unpickler(file, encoding="bytes").load()
    except FileNotFoundError as error:
        raise DataError(f"{path} is missing; expected CIFAR-10's {', '.join(FILES)}") from error
    except Exception as error:  # damaged bytes are a damaged program: it may fail in any way
        reason = " ".join(str(error).split()) or type(error).__name__
        raise DataError(f"cannot read {path} as a batch of CIFAR-10 ({reason}); replace it") from error
    if not isinstance(content, dict):
        raise DataError(f"{path} holds a {type(content).__name__}; expected a dict, as CIFAR-10's files do")
    return content
