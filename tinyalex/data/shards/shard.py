"""One shard: a file with some of a prepared set's images, and a table with a row for each of them.

    n images, one after the other: S x S x 3 bytes each (form "raw"), or JPEG files of S x S pixels (form "jpeg")
    n rows of 16 bytes, little-endian: end     uint64, where the image ends; it begins where the one before ended
                                       label   int32
                                       check   uint32, the CRC-32 of the image's bytes, started from the label

The index holds n and the size of the file, so the place of everything follows. CRC-32 tells every single changed byte.

Axes: N images, S stored height and width, 3 colours (red, green, blue).
"""

import hashlib
import zlib
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
ROW = np.dtype([("end", "<u8"), ("label", "<i4"), ("check", "<u4")])
LARGEST_LABEL = 2**31 - 1


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


def longest_image(size: int) -> int:
    """The most bytes that an image in a shard may have: a JPEG file can exceed its pixels, but not by much."""
    return 2 * size * size * 3 + 2**16


def image_check(image: bytes | memoryview, label: int) -> int:
    """The number in the column `check` of a shard's table, of an image's bytes and its label."""
    return zlib.crc32(image, label)


def shard_name(split: str, number: int, form: Form) -> str:
    """The name of a split's shard below the set's folder, such as "train/00000.raw"."""
    return f"{split}/{number:05}{SUFFIXES[form]}"


class ShardWriter:
    """Writes one shard; made by `new_shard`, after whose block `entry` says what was written."""

    entry: ShardEntry

    def __init__(self, file: IO[bytes], form: Form, size: int) -> None:
        self._file, self.form, self.size = file, form, size
        self._sum = hashlib.sha256()
        self._rows: list[tuple[int, int, int]] = []
        self._end = 0

    def add(self, image: NDArray[np.uint8] | bytes, label: int) -> None:
        """Append an image and its label.

        image:  for a raw shard (S, S, 3) uint8; for a JPEG shard the bytes of a JPEG file of S x S pixels.
        Raises: ShapeError, DTypeError or LabelError for another image or label; OSError if the disk is full.
        """
        if not 0 <= label <= LARGEST_LABEL:
            raise LabelError(f"got label {label}: expected 0 ... {LARGEST_LABEL}")
        if isinstance(image, np.ndarray) != (self.form == "raw"):
            raise DTypeError(f"got {type(image).__name__}: expected an image for a {self.form} shard")
        if isinstance(image, np.ndarray):
            if image.shape != (self.size, self.size, 3):
                raise ShapeError(f"got an image of shape {image.shape}: expected ({self.size}, {self.size}, 3)")
            if image.dtype != np.uint8:
                raise DTypeError(f"got an image of dtype {image.dtype}: expected uint8")
            image = image.tobytes()
        if not 0 < len(image) <= longest_image(self.size):
            raise ShapeError(f"got a JPEG file of {len(image)} bytes: expected 1 ... {longest_image(self.size)}")
        self._write(image)
        self._end += len(image)
        self._rows.append((self._end, label, image_check(image, label)))

    def finish(self, name: str) -> None:
        """Append the table, and make the entry.   name: the shard's name in the index."""
        table = np.array(self._rows, ROW)
        self._write(table.tobytes())
        self.entry = ShardEntry(name, len(table), self._end + table.nbytes, self._sum.hexdigest())

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
