"""Random parts of images, enlarged to the size of the whole. The paper does not do it; the nets that followed do.

A crop of 224 in 256 shows nearly the whole image. So a net that passes over some thousand images again and again learns
them by heart, mirrored or not. Parts of many sizes and shapes delay that.

Axes: n images of a batch, S stored height and width, 3 colours.
"""

import numpy as np
from numpy.typing import NDArray
from PIL import Image


def zoomed(
    images: NDArray[np.uint8], least: float, count: int, rng: np.random.Generator, own: slice = slice(None)
) -> NDArray[np.uint8]:
    """A random part of each image, enlarged by bilinear interpolation: (n, S, S, 3) -> (n, S, S, 3) uint8.

    A part's height and width are drawn independently, all numbers of pixels from least * S (rounded) to S alike; then
    its place. Drawn from `rng`, in this order: `count` heights, widths, offsets from the top, and from the left.
    own: the images are this part of a batch of `count` images; they come out as they would in the whole batch.
    """
    S = images.shape[1]
    smallest = max(1, round(least * S))
    heights, widths = rng.integers(smallest, S, (2, count), endpoint=True)
    tops, lefts = (rng.integers(0, S - sides, endpoint=True) for sides in (heights, widths))
    boxes = np.stack([lefts, tops, lefts + widths, tops + heights], axis=1)[own].tolist()
    enlarged = np.empty(images.shape, np.uint8)
    for out, image, box in zip(enlarged, images, boxes, strict=True):
        out[:] = Image.fromarray(image).resize((S, S), Image.Resampling.BILINEAR, box=tuple(box))
    return enlarged
