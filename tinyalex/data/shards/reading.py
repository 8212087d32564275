"""Reading one shard.

Images are read by plain file operations, not through a memory map. A disk then gets one request for each image: cold
reads were four times as fast as page faults, and reads from the system's cache no slower. And a file that is cut short
during a run is an error, where a map would kill the process.

Axes: n images, S stored height and width, 3 colours (red, green, blue).
"""

import io
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL.JpegImagePlugin import JpegImageFile

from tinyalex.data.shards.index import AGAIN
from tinyalex.data.shards.shard import ROW, Form, ShardEntry, image_check, longest_image
from tinyalex.errors import DataError
from tinyalex.files import one_line

CHECK = "list all damaged shards with tinyalex prepare --check"


@dataclass(frozen=True)
class Shard:
    """A shard whose table has been read, (n,) rows of ROW.

    No file stays open: threads share it, and it can be sent to another process.
    """

    path: Path
    form: Form
    size: int
    table: NDArray[np.void]

    def read(self, images: Iterable[tuple[int, NDArray[np.uint8]]]) -> None:
        """Read images: `images` gives the number of each in the shard, and the array (S, S, 3) to read it into.

        Raises DataError, naming the shard and the image, for one that cannot be read or has changed.
        """
        try:
            with self.path.open("rb", buffering=0) as file:
                for number, out in images:
                    row = self.table[number]
                    begin = int(self.table[number - 1]["end"]) if number else 0
                    file.seek(begin)
                    content = out.data if self.form == "raw" else memoryview(bytearray(int(row["end"]) - begin))
                    if file.readinto(content) != content.nbytes:
                        raise DataError(f"got {self.path}, cut short before image {number}; {CHECK}")
                    if image_check(content, int(row["label"])) != row["check"]:
                        raise DataError(f"got image {number} of {self.path}, changed since it was prepared; {CHECK}")
                    if self.form == "jpeg":
                        self._decode(content, number, out)
        except OSError as error:
            raise DataError(f"cannot read {self.path} ({error.strerror or error}); {CHECK}") from error

    def _decode(self, content: memoryview, number: int, out: NDArray[np.uint8]) -> None:
        """Decode one JPEG file into `out` (S, S, 3), if it says that it has that size."""
        try:
            with JpegImageFile(io.BytesIO(content)) as image:  # not Image.open, which looks for other formats too
                if image.size != (self.size, self.size) or image.mode != "RGB":
                    raise ValueError(f"{image.mode} of {image.width} x {image.height}, not RGB of the set's size")
                out[:] = np.asarray(image)
        except Exception as error:  # on a damaged file Pillow's decoders can raise almost any exception
            raise DataError(f"cannot decode image {number} of {self.path} ({one_line(error)}); {AGAIN}") from error


def open_shard(folder: Path, entry: ShardEntry, form: Form, size: int, classes: int) -> Shard:
    """A shard of the set in `folder`, its table read; `entry`, `form` and `size` are what the set's index says.

    classes: the number of classes, which all labels are below.
    Raises DataError, naming the file, if it is missing, has another length, or its table contradicts the index.
    """
    path = folder / entry.file
    n, content = entry.images, entry.bytes - entry.images * ROW.itemsize  # content: the bytes of all images
    try:
        check_length(path, entry.bytes)
        table = np.fromfile(path, ROW, n, offset=content)
    except OSError as error:
        raise DataError(f"cannot read {path} ({error.strerror or error}); {CHECK}") from error
    ends, labels = table["end"], table["label"]
    begins = np.concatenate([np.zeros(1, ends.dtype), ends])[:n]
    longest = longest_image(size) if form == "jpeg" else size * size * 3
    fits = len(table) == n and (ends[-1:] == content).all() and (begins < ends).all()  # so all lie in the file
    if not (fits and (ends - begins <= longest).all() and ((labels >= 0) & (labels < classes)).all()):
        raise DataError(f"got {path}, whose table contradicts the index; {AGAIN}")
    return Shard(path, form, size, table)


def check_length(path: Path, length: int) -> None:
    """Raise DataError unless there is a file of `length` bytes."""
    if not path.is_file():
        raise DataError(f"got no {path}: expected a shard of {length:,} bytes; {AGAIN}")
    if (found := path.stat().st_size) != length:
        raise DataError(f"got {path} of {found:,} bytes: expected {length:,}; {AGAIN}")
