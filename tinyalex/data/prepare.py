"""Section 2: every image becomes a square of S x S pixels, from which the mean of the training set is subtracted.

The paper scales each image so that its shorter side is 256, cuts out the central 256 x 256 pixels, and subtracts each
pixel's mean over the training set. The colour noise of section 4.1 needs the covariance of the RGB values of the same
pixels, so one pass over the training set measures both.

Axes: N images, S height and width, 3 colours (red, green, blue).
"""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageOps, UnidentifiedImageError

from tinyalex.data.dataset import Dataset
from tinyalex.errors import DataError

BACKGROUND = (255, 255, 255, 255)  # white, as transparent pictures are usually shown on a white page
BATCH = 64  # images that the statistics read at a time

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


@dataclass(frozen=True)
class PixelStatistics:
    """The statistics of a training set's pixels.

    mean:         (S, S, 3) float32, each pixel's mean over the images, in 0 ... 255.
    eigenvalues:  (3,) float64, largest first, of the covariance of the RGB values, with pixels in 0 ... 1.
    eigenvectors: (3, 3) float64, in columns: eigenvectors[:, i] is the RGB direction of eigenvalues[i].

    The paper does not state the unit of the covariance. Its noise multiplies the eigenvalues, which are squares of
    pixel values: with pixels in 0 ... 255 the noise would drown every image; in 0 ... 1 it is a few grey levels.
    """

    mean: NDArray[np.float32]
    eigenvalues: NDArray[np.float64]
    eigenvectors: NDArray[np.float64]


def pixel_statistics(dataset: Dataset, progress: Callable[[int], object] | None = None) -> PixelStatistics:
    """The mean of each pixel and the principal components of the RGB values, over all images, in one pass.

    mean = sum over images / N;   covariance = sum over pixels of p p^T / (N S S) - m m^T,  m the mean RGB value.

    The sums are of integers and stay below 2**53 up to about two million images of 256 x 256, so they are exact and do
    not depend on the order. The largest entry of each eigenvector is made positive: its sign is otherwise arbitrary.

    progress: called after each batch with its number of images, such as the `update` of a tqdm bar.
    Raises:   DataError if the data set is empty.
    """
    count, size = len(dataset), dataset.size
    if count == 0:
        raise DataError(f"{dataset.name}: got no images: expected at least one")
    total = np.zeros((size, size, 3))  # float64: the sum of each pixel over the images
    products = np.zeros((3, 3))  # the sum of p p^T over all pixels of all images
    for start in range(0, count, BATCH):
        images = dataset.read(np.arange(start, min(start + BATCH, count))).astype(np.float64)
        total += images.sum(axis=0)
        pixels = images.reshape(-1, 3)  # (n*S*S, 3)
        products += pixels.T @ pixels
        if progress is not None:
            progress(len(images))
    pixel_count = count * size * size
    mean_colour = total.sum(axis=(0, 1)) / pixel_count
    covariance = (products / pixel_count - np.outer(mean_colour, mean_colour)) / 255**2
    eigenvalues, eigenvectors = np.linalg.eigh(covariance)  # smallest first
    eigenvalues = np.maximum(eigenvalues[::-1], 0.0)  # rounding may leave -1e-17 where a set is all grey
    eigenvectors = eigenvectors[:, ::-1]
    largest = np.abs(eigenvectors).argmax(axis=0)
    eigenvectors = eigenvectors * np.sign(eigenvectors[largest, np.arange(3)])
    return PixelStatistics((total / count).astype(np.float32), eigenvalues, eigenvectors)
