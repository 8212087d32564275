"""From one file to one image of a prepared set: read, scaled and cut, and as the shard keeps it (section 2)."""

import io
import os
import stat
from hashlib import blake2b

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from tinyalex.data.prepare import prepare_image, read_image
from tinyalex.data.shards.listing import Item
from tinyalex.data.shards.shard import Form
from tinyalex.errors import ImageError

LARGEST_FILE = 2**27  # bytes: each process holds one file whole
SMALLEST = 11  # pixels, the first kernel of the paper's net

# JPEG at this quality, with half the resolution in colour, is a tenth of the pixels' size: 21 kB of an image of
# 256 x 256, at 37 dB. Full resolution in colour at the same size needs quality 85, and is decoded half as fast.
QUALITY, SUBSAMPLING = 90, "4:2:0"


def content(item: Item) -> bytes:
    """The bytes of an image's file. Raises ImageError if it cannot be read, or is empty or too large."""
    try:
        with open(item.file, "rb", opener=_open_regular) as file:
            file.seek(item.offset or 0)
            data = file.read(LARGEST_FILE + 1 if item.offset is None else min(item.size, LARGEST_FILE + 1))
    except OSError as error:
        raise ImageError(item.name, error.strerror or str(error)) from error
    if not 0 < len(data) <= LARGEST_FILE:
        raise ImageError(item.name, f"more than {LARGEST_FILE:,} bytes" if data else "0 bytes")
    return data


def _open_regular(path: str, flags: int) -> int:
    """Open a file; a pipe or a device is an OSError, and does not wait for somebody who writes to it."""
    opened = os.open(path, flags | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_CLOEXEC", 0))
    if not stat.S_ISREG(os.fstat(opened).st_mode):
        os.close(opened)
        raise OSError(0, "not a regular file")
    return opened


def digest(data: bytes) -> int:
    """A number of 64 bits, never 0, that two files of a set share only if they are the same."""
    return int.from_bytes(blake2b(data, digest_size=8).digest(), "little") or 1


def decoded(item: Item, data: bytes) -> Image.Image:
    """The image in `data`, the file of `item`, at its own resolution. Raises ImageError for a bad one."""
    return read_image(io.BytesIO(data), smallest=SMALLEST, name=item.name)


def pixels(item: Item, data: bytes, size: int) -> NDArray[np.uint8]:
    """The same, scaled and cut: (size, size, 3) uint8."""
    return prepare_image(decoded(item, data), size)


def stored(image: NDArray[np.uint8], form: Form) -> tuple[NDArray[np.uint8] | bytes, NDArray[np.uint8]]:
    """An image (S, S, 3) uint8 as a shard of this form keeps it, and the pixels that are read back from it."""
    if form == "raw":
        return image, image
    file = io.BytesIO()
    Image.fromarray(image).save(file, "JPEG", quality=QUALITY, subsampling=SUBSAMPLING)
    return file.getvalue(), np.array(Image.open(file))
