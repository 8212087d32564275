"""Section 2: any image becomes a square of S x S pixels, and a training set gives the numbers that are taken off it.

The paper scales each image so that its shorter side is 256, cuts out the central 256 x 256 pixels, and subtracts
from each pixel its mean over the training set. Section 4.1's colour noise needs the covariance of the RGB values of
the same pixels, so both are measured in one pass.

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

BACKGROUND = (255, 255, 255, 255)  # white, the page that a transparent picture is usually shown on

# What Pillow may try on a file. Its other decoders are for files no photograph comes in, and one runs a program.
FORMATS = ("JPEG", "PNG", "WEBP", "BMP", "GIF", "TIFF")


def to_rgb(image: Image.Image) -> Image.Image:
    """The image upright, in 8-bit RGB, whatever its mode; its size is kept (but for an EXIF quarter turn).

    EXIF rotation is undone. Transparent pixels (LA, PA, RGBA, or a transparent palette entry) are laid over white.
    Modes "I" and "I;16" are taken as 16-bit grey: 0 ... 65535 becomes 0 ... 255. Of an animation, the current frame.
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
    """An image of any size and mode -> (size, size, 3) uint8: shorter side to `size`, the central square of it.

    Cutting out the central square first and then scaling it is the same, and scales fewer pixels. Where the longer
    side exceeds the shorter one by an odd number of pixels, the square lies half a pixel to the left or above.
    """
    image = to_rgb(image)
    side = min(image.size)
    left, top = (image.width - side) // 2, (image.height - side) // 2
    square = (left, top, left + side, top + side)
    # reducing_gap: halve a large image by cheap averaging while it stays three times too large, then filter well.
    scaled = image.resize((size, size), Image.Resampling.BICUBIC, box=square, reducing_gap=3.0)
    return np.array(scaled)


def read_image(path: str | Path, *, smallest: int = 1) -> Image.Image:
    """The picture in a file, upright, in RGB.

    smallest: the least admissible width and height in pixels, such as that of the net's first kernel.
    Raises:   DataError naming the file, where it is missing, damaged, cut short, too large to be safe, or too small.
    """
    try:
        with Image.open(path, formats=FORMATS) as image:
            picture = to_rgb(image)
    except FileNotFoundError as error:
        raise DataError(f"there is no image {path}; expected a file") from error
    except IsADirectoryError as error:
        raise DataError(f"{path} is a folder; expected an image file") from error
    except UnidentifiedImageError as error:
        raise DataError(f"{path} is not an image; expected one of {', '.join(FORMATS)}") from error
    except Exception as error:  # a damaged file makes Pillow's decoders raise nearly anything
        reason = " ".join(str(error).split())
        raise DataError(f"cannot read {path} as an image ({reason}); replace it or remove it") from error
    if min(picture.size) < smallest:
        raise DataError(
            f"{path} is {picture.width} x {picture.height} pixels; expected at least {smallest} x {smallest}, "
            "which the net's first kernel covers"
        )
    return picture


@dataclass(frozen=True)
class PixelStatistics:
    """What a training set's pixels are like.

    mean:         (S, S, 3) float32, the mean over the images of each pixel, in 0 ... 255.
    eigenvalues:  (3,) float64, largest first, of the covariance of the pixels' RGB values, these taken in 0 ... 1.
    eigenvectors: (3, 3) float64, in columns: eigenvectors[:, i] is the RGB direction that goes with eigenvalues[i].

    The paper does not state the unit of the covariance. Its noise multiplies eigenvalues, which are squares of
    pixel values: with pixels in 0 ... 255 it would swamp every image; with pixels in 0 ... 1 it is a few grey levels.
    """

    mean: NDArray[np.float32]
    eigenvalues: NDArray[np.float64]
    eigenvectors: NDArray[np.float64]


def pixel_statistics(
    dataset: Dataset, progress: Callable[[int], object] | None = None, *, batch_size: int = 64
) -> PixelStatistics:
    """The per-pixel mean and the principal components of the RGB values, over all images, in one pass.

    mean = sum over images / N;   covariance = sum over pixels of p p^T / (N S S) - m m^T,  m the mean RGB value.

    The sums are of whole numbers and stay below 2**53 up to some two million images of 256 x 256, so they are exact,
    and the result does not depend on the batches. Each eigenvector's largest entry is made positive, so that the
    same images give the same signs everywhere.

    progress: is called with the number of images read, after each batch; the `update` of a tqdm bar will do.
    Raises:   DataError where the data set is empty.
    """
    count, size = len(dataset), dataset.size
    if count == 0:
        raise DataError(f"{dataset.name}: there are no images to measure; expected at least one")
    total = np.zeros((size, size, 3))  # float64: the sum of each pixel over the images
    products = np.zeros((3, 3))  # the sum of p p^T over all pixels of all images
    for start in range(0, count, batch_size):
        images = dataset.read(np.arange(start, min(start + batch_size, count))).astype(np.float64)
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
