"""Section 2: every image becomes a square of S x S pixels.

The paper scales each image so that its shorter side is 256, and cuts out the central 256 x 256 pixels.

Axes: S height and width, 3 colours (red, green, blue).
"""

from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageOps, UnidentifiedImageError

from tinyalex.errors import DataError

BACKGROUND = (255, 255, 255, 255)  # white, as transparent pictures are usually shown on a white page

# The decoders that Pillow may try on a file. Photographs do not come in its other formats, and one runs a program.
FORMATS = ("JPEG", "PNG", "WEBP", "BMP", "GIF", "TIFF")


def to_rgb(image: Image.Image) -> Image.Image:
    """The image in 8-bit RGB, upright by its EXIF orientation; its size stays, or is transposed by a quarter turn.

    Transparent pixels (LA, PA, RGBA, or a transparent palette entry) are blended with white. Modes "I" and "I;16" are
    read as 16-bit grey, 0 ... 65535. An animation gives its current frame.
    """
    image = ImageOps.exif_transpose(image)
    if image.mode.startswith("I"):
        grey = np.clip(np.asarray(image), 0, 65535)
        image = Image.fromarray(np.rint(grey / 257).astype(np.uint8))  # 257 * 255 = 65535: white stays white
    elif image.has_transparency_data:
        image = image.convert("RGBA")
        image = Image.alpha_composite(Image.new("RGBA", image.size, BACKGROUND), image)
    return image.convert("RGB")


def prepare_image(image: Image.Image, size: int) -> NDArray[np.uint8]:
    """An image of any size and mode -> (size, size, 3) uint8: its central square, scaled to size x size.

    The paper scales first and cuts afterwards; the other order gives the same and scales fewer pixels. If the sides
    differ by an odd number of pixels, the square lies half a pixel left of the centre, or above it.
    """
    image = to_rgb(image)
    side = min(image.size)
    left, top = (image.width - side) // 2, (image.height - side) // 2
    square = (left, top, left + side, top + side)
    # reducing_gap: average a large image down cheaply to three times the size, then filter it well
    scaled = image.resize((size, size), Image.Resampling.BICUBIC, box=square, reducing_gap=3.0)
    return np.array(scaled)


def read_image(path: str | Path, *, smallest: int = 1) -> Image.Image:
    """The image in a file, upright, in 8-bit RGB.

    smallest: the least width and height, in pixels, such as the size of the net's first kernel.
    Raises:   DataError, naming the file, if it is missing, damaged, cut short, too large to be safe, or too small.
    """
    try:
        with Image.open(path, formats=FORMATS) as image:
            picture = to_rgb(image)
    except FileNotFoundError as error:
        raise DataError(f"got {path}, which does not exist: expected an image file") from error
    except IsADirectoryError as error:
        raise DataError(f"got {path}, a folder: expected an image file") from error
    except UnidentifiedImageError as error:
        raise DataError(f"got {path}: expected an image, one of {', '.join(FORMATS)}") from error
    except Exception as error:  # on a damaged file Pillow's decoders can raise almost any exception
        reason = " ".join(str(error).split())
        raise DataError(f"cannot read {path} ({reason}): expected an image; replace or remove it") from error
    if min(picture.size) < smallest:
        raise DataError(
            f"got {path} of {picture.width} x {picture.height} pixels: expected at least {smallest} x {smallest}, "
            "the size of the net's first kernel"
        )
    return picture
