"""Section 2: every image becomes a square of S x S pixels.

The paper scales each image so that its shorter side is 256, and cuts out the central 256 x 256 pixels. Other people's
nets expect squares that were made in other ways: see `Preparation`.

Axes: S height and width, 3 colours (red, green, blue).
"""

import stat
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from io import BytesIO
from math import inf
from pathlib import Path
from typing import IO, Literal

import numpy as np
from numpy.typing import NDArray
from PIL import ExifTags, Image, ImageOps, UnidentifiedImageError

from tinyalex.errors import ImageError, UsageError
from tinyalex.files import legible, one_line

BACKGROUND = (255, 255, 255, 255)  # white, as transparent pictures are usually shown on a white page

# The decoders that Pillow may try on a file. Photographs do not come in its other formats, and one runs a program.
FORMATS = ("JPEG", "PNG", "WEBP", "BMP", "GIF", "TIFF")

# A file of a few bytes may claim any size, and its pixels are decoded as a whole: 4 bytes each, 16 if transparent.
LARGEST = 100_000_000  # pixels, as 10,000 x 10,000
LARGEST_FILE = 2**29  # bytes; some decoders read the whole file first
LARGEST_SIDE = 10_000  # pixels of a prepared image
NARROWEST = 100  # the longer side in shorter sides; of a line of pixels the central square shows nothing


def to_rgb(image: Image.Image) -> Image.Image:
    """The image in 8-bit RGB, upright by its EXIF orientation; its size stays, or is transposed by a quarter turn.

    Transparent pixels (LA, PA, RGBA, or a transparent palette entry) are blended with white. Modes "I" and "I;16" are
    read as 16-bit grey, 0 ... 65535. An animation gives its current frame. An RGB image is returned as it is.
    """
    if image.getexif().get(ExifTags.Base.Orientation, 1) != 1:
        image = ImageOps.exif_transpose(image)
    if image.mode.startswith("I"):
        grey = np.clip(np.asarray(image), 0, 65535).astype(np.int32)
        image = Image.fromarray(((grey + 128) // 257).astype(np.uint8))  # 257 * 255 = 65535: white stays white
    elif image.has_transparency_data:
        image = image.convert("RGBA")
        image = Image.alpha_composite(Image.new("RGBA", image.size, BACKGROUND), image)
    return image if image.mode == "RGB" else image.convert("RGB")


@dataclass(frozen=True)
class Preparation:
    """How a picture of any size becomes the square that crops are taken from, and its pixels what a net reads.

    size:   S, of the square.
    rule:   "square": the central square of the picture, scaled to S x S; the paper's.
            "scale":  the shorter side scaled to S, then the central S x S pixels; torchvision's, to the last bit: the
                      longer side is rounded down to a whole number of pixels, so the picture is a little distorted.
            "warp":   all of the picture squeezed into S x S; Caffe's.
    filter: what scaling computes a pixel from; torchvision and Caffe take "bilinear".
    scale:  what red, green and blue, in 0 ... 255 less their mean, are divided by.
    Raises UsageError for a size outside 1 ... LARGEST_SIDE, or a scale that is not three finite numbers above 0.
    """

    size: int
    rule: Literal["square", "scale", "warp"] = "square"
    filter: Literal["bicubic", "bilinear"] = "bicubic"
    scale: tuple[float, ...] = (1.0, 1.0, 1.0)

    def __post_init__(self) -> None:
        if not 1 <= self.size <= LARGEST_SIDE or len(self.scale) != 3 or not all(0 < one < inf for one in self.scale):
            raise UsageError(
                f"got the size {self.size} and the scale {self.scale} of prepared images: expected a size of 1 ... "
                f"{LARGEST_SIDE} and three numbers above 0"
            )


def prepare_image(image: Image.Image, preparation: Preparation | int) -> NDArray[np.uint8]:
    """A picture of any size and mode -> (S, S, 3) uint8, as `preparation` says; a number S stands for Preparation(S).

    The paper scales first and cuts the square out afterwards; the other order gives the same and scales fewer pixels.
    If what is left over is an odd number of pixels, the square lies half a pixel left of the centre, or above it; with
    the rule "scale" there are as many pixels left of it as half of what is left over, rounded to an even number.
    """
    how = Preparation(preparation) if isinstance(preparation, int) else preparation
    image, S = to_rgb(image), how.size
    resampling = Image.Resampling[how.filter.upper()]
    match how.rule:
        case "square":
            side = min(image.size)
            left, top = (image.width - side) // 2, (image.height - side) // 2
            square = (left, top, left + side, top + side)
            # reducing_gap: average a large image down cheaply to three times the size, then filter it well
            return np.array(image.resize((S, S), resampling, box=square, reducing_gap=3.0))
        case "scale":
            width, height = (S * side // min(image.size) for side in image.size)
            left, top = round((width - S) / 2), round((height - S) / 2)
            return np.array(image.resize((width, height), resampling).crop((left, top, left + S, top + S)))
        case "warp":
            return np.array(image.resize((S, S), resampling))


def read_image(source: str | Path | IO[bytes], *, smallest: int = 1, name: str | None = None) -> Image.Image:
    """The image in a file, upright, in 8-bit RGB; of an animation its first frame.

    source:   the path of the file, or its content as a binary file, which is called `name` in messages.
    smallest: the least width and height, in pixels, such as the size of the net's first kernel.
    Raises:   ImageError, naming the file, if it is missing, no regular file, damaged, cut short, of more than LARGEST
              pixels, more than NARROWEST times as long as wide, or too small. Nothing is decoded if its size tells.
    """
    with _opened(source, smallest, name, whole=True) as image:
        image.load()
        return to_rgb(image)


def check_header(source: str | Path | IO[bytes], *, smallest: int = 1, name: str | None = None) -> None:
    """Read the beginning of a file only. Arguments and errors are those of `read_image`; damage further on stays."""
    with _opened(source, smallest, name):
        pass


@contextmanager
def _opened(
    source: str | Path | IO[bytes], smallest: int, name: str | None, *, whole: bool = False
) -> Iterator[Image.Image]:
    """The image, not decoded yet. Every exception in the block is one of the image: it becomes an ImageError.

    whole: read the file into memory first. A PNG may say that gigabytes follow, and reading these from a file takes
           the memory for them, whatever its size.
    """
    name = legible(str(source)) if name is None else name
    try:
        with (
            regular_file(source) as file,
            Image.open(BytesIO(file.read()) if whole else file, formats=FORMATS) as image,
        ):
            _check_size(*image.size, smallest)
            yield image
    except FileNotFoundError as error:
        raise ImageError(name, "it does not exist") from error
    except UnidentifiedImageError as error:
        raise ImageError(name, f"none of {', '.join(FORMATS)}") from error
    except Exception as error:  # on a damaged file Pillow's decoders can raise almost any exception
        raise ImageError(name, getattr(error, "strerror", None) or one_line(error)) from error


@contextmanager
def regular_file(source: str | Path | IO[bytes]) -> Iterator[IO[bytes]]:
    """The file at a path, open for reading, or the open file `source`. Only a regular file is opened.

    Opening a named pipe waits for somebody who writes to it, and opening a device may do anything.
    """
    if not isinstance(source, str | Path):
        yield source
        return
    found = Path(source).stat()
    if not stat.S_ISREG(found.st_mode):
        raise ValueError("a folder" if stat.S_ISDIR(found.st_mode) else "a pipe, a device or a socket")
    if not 0 < found.st_size <= LARGEST_FILE:
        raise ValueError(f"{found.st_size:,} bytes" + (f": more than {LARGEST_FILE:,}" if found.st_size else ""))
    with Path(source).open("rb") as file:
        yield file


def _check_size(width: int, height: int, smallest: int) -> None:
    """Raise ValueError for a size that is not worth decoding, or not safe."""
    pixels = f"{width} x {height} pixels"
    if min(width, height) < smallest:
        raise ValueError(f"{pixels}: fewer than the {smallest} x {smallest} of the net's first kernel")
    if width * height > LARGEST:
        raise ValueError(f"{pixels}: more than {LARGEST:,}")
    if max(width, height) > NARROWEST * min(width, height):
        raise ValueError(f"{pixels}: longer than {NARROWEST} times its shorter side")
