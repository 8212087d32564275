"""Pictures for the page and the widget: an image as uint8, and a PNG inside an address."""

import base64
import io

import numpy as np
from PIL import Image

from tinyalex.backend import Array, to_numpy


def as_picture(x: Array) -> Array:
    """One input of the net, x (3, H, W), as a picture (H, W, 3) uint8: the smallest number black, the largest white.

    The colours differ from the photograph's, since the mean image was subtracted from x.
    """
    low, high = float(x.min()), float(x.max())
    levels = (to_numpy(x) - low) * (255 / (high - low) if high > low else 0)
    return np.rint(levels).astype(np.uint8).transpose(1, 2, 0)


def data_uri(picture: Array) -> str:
    """A picture (H, W, 3) uint8 as a data URI: an address that contains the PNG."""
    file = io.BytesIO()
    Image.fromarray(picture).save(file, "PNG", optimize=True)
    return "data:image/png;base64," + base64.b64encode(file.getvalue()).decode()
