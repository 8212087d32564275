"""Pictures that a page or a notebook carries in itself."""

import base64
import io

import numpy as np
from PIL import Image

from tinyalex.backend import Array, to_numpy


def as_picture(x: Array) -> Array:
    """One image as the net reads it, x (3, H, W), as a picture (H, W, 3) uint8: the least number black, the largest
    white. The mean image is missing from it, which shows.
    """
    low, high = float(x.min()), float(x.max())
    levels = (to_numpy(x) - low) * (255 / (high - low) if high > low else 0)
    return np.rint(levels).astype(np.uint8).transpose(1, 2, 0)


def data_uri(picture: Array) -> str:
    """A picture (H, W, 3) uint8 as the address of a PNG that holds itself."""
    file = io.BytesIO()
    Image.fromarray(picture).save(file, "PNG", optimize=True)
    return "data:image/png;base64," + base64.b64encode(file.getvalue()).decode()
