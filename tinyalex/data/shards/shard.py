"""One shard: a file with some of a prepared set's images and their labels.

    form "raw"    n images of S x S x 3 bytes, one after the other; n labels
    form "jpeg"   n JPEG files, one after the other; n + 1 offsets, where each begins and the last one ends; n labels

A label is an int32 and an offset a uint64, both little-endian. The index holds n and the size of the file, so the place
of everything follows, and the images of a raw shard can be mapped into memory.

Axes: N images, S stored height and width, 3 colours (red, green, blue).
"""

import hashlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Literal

import numpy as np
from numpy.typing import NDArray

from tinyalex.errors import DTypeError, LabelError, ShapeError
from tinyalex.files import replacing

Form = Literal["raw", "jpeg"]
SUFFIXES: dict[Form, str] = {"raw": ".raw", "jpeg": ".jpegs"}
LABEL, OFFSET = np.dtype("<i4"), np.dtype("<u8")


@dataclass(frozen=True)
class ShardEntry:
    """What the index says about a shard.

    file:   its name below the set's folder, such as "train/00000.raw".
    images: n, the number of its images.
    bytes:  the size of the file.
    sha256: the checksum of the file, 64 hexadecimal digits.
    """

    file: str
    images: int
    bytes: int
    sha256: str


def shard_name(split: str, number: int, form: Form) -> str:
    """The name of a split's shard below the set's folder, such as "train/00000.raw"."""
    return f"{split}/{number:05}{SUFFIXES[form]}"


class ShardWriter:
    """Writes one shard; made by `new_shard`, after whose block `entry` says what was written."""

    entry: ShardEntry

    def __init__(self, file: IO[bytes], form: Form, size: int) -> None:
        self._file, self.form, self.size = file, form, size
        self._sum = hashlib.sha256()
        self._offsets, self._labels = [0], list[int]()

    def add(self, image: NDArray[np.uint8] | bytes, label: int) -> None:
        """Append an image and its label.

        image:  for a raw shard (S, S, 3) uint8; for a JPEG shard the bytes of a JPEG file of S x S pixels.
        Raises: ShapeError, DTypeError or LabelError for another image or label; OSError if the disk is full.
        """
        if not 0 <= label <= np.iinfo(LABEL).max:
            raise LabelError(f"got label {label}: expected 0 ... {np.iinfo(LABEL).max}")
        if isinstance(image, np.ndarray) != (self.form == "raw"):
            raise DTypeError(f"got {type(image).__name__}: expected an image for a {self.form} shard")
        if isinstance(image, np.ndarray):
            if image.shape != (self.size, self.size, 3):
                raise ShapeError(f"got an image of shape {image.shape}: expected ({self.size}, {self.size}, 3)")
            if image.dtype != np.uint8:
                raise DTypeError(f"got an image of dtype {image.dtype}: expected uint8")
            image = image.tobytes()
        self._write(image)
        self._offsets.append(self._offsets[-1] + len(image))
        self._labels.append(label)

    def finish(self, name: str) -> None:
        """Append the offsets and the labels, and make the entry.   name: the shard's name in the index."""
        if self.form == "jpeg":
            self._write(np.array(self._offsets, OFFSET).tobytes())
        self._write(np.array(self._labels, LABEL).tobytes())
        self.entry = ShardEntry(name, len(self._labels), self._file.tell(), self._sum.hexdigest())

    def _write(self, data: bytes) -> None:
        self._file.write(data)
        self._sum.update(data)


@contextmanager
def new_shard(folder: Path, split: str, number: int, form: Form, size: int) -> Iterator[ShardWriter]:
    """A writer of the shard `shard_name(split, number, form)` below `folder`.

    The shard is written to the disk in one piece: if the block raises an exception, or the process is killed, there is
    no such file, or the one that was there before.
    """
    name = shard_name(split, number, form)
    with replacing(folder / name) as file:
        writer = ShardWriter(file, form, size)
        yield writer
        writer.finish(name)
