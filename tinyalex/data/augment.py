"""Section 4.1: the two forms of data augmentation, and the ten views that the net is tested on.

Training images become random crops, half of them mirrored, whose colours are shifted along the principal components
of the training set's RGB values. Test images become the central crop, or the four corners and the centre with their
mirror images. In every case the training set's mean is subtracted from each pixel.

Where the released code (cuda-convnet) does something else than the paper says:
- It subtracts the central crop of the mean image from every crop, wherever that was taken. Here each pixel loses its
  own mean, as the text of section 2 has it.
- It shares one crop among 32 images in a row. Here each image draws its own.
- Both shift a crop of 224 in 256 by 0 ... 32 pixels, 33 * 33 * 2 = 2178 views. The paper counts 32 * 32 * 2 = 2048.
- The colour noise: see `Augmenter`.

Axes: n images of a batch, S stored height and width, 3 colours, V views of one image.
"""

import numpy as np
from numpy.typing import NDArray

from tinyalex.data.prepare import PixelStatistics
from tinyalex.errors import ShapeError, UsageError

COLOURS = ("paper", "cuda-convnet", "off")
NOISE = 0.1  # the standard deviation of the paper's alpha, and the released code's coefficient


class Augmenter:
    """Turns stored images (n, S, S, 3) uint8 into what the net reads, (n, 3, crop, crop) float32.

    y = (crop of x - the same crop of the mean, mirrored or not, + noise) / pixel_scale; in 0 ... 255 units.
    In memory y lies channels-last: it is a transposed view of a contiguous (n, crop, crop, 3) array.

    crops:       take crops at random when training; if False, the centre.
    reflections: mirror half of the training images left to right.
    colour:      the noise of a training image, one colour added to all its pixels. Eigenvalues lambda_i, eigenvectors
                 p_i of the RGB covariance, pixels in 0 ... 1; alpha_i ~ N(0, 0.1), drawn once an image and use:
                 "paper":        255 * sum of alpha_i lambda_i p_i, the paper's formula;
                 "cuda-convnet": 255 * sum of alpha_i sqrt(lambda_i) p_i, and the whole is then divided by 1.1: the
                                 released code uses standard deviations, a stronger noise;
                 "off":          none.
    pixel_scale: what the result is divided by; the paper's nets read 0 ... 255 units, small nets train better near 1.
    Raises:      ShapeError where the crop does not fit the stored size; UsageError on an unknown `colour`.
    """

    def __init__(
        self,
        statistics: PixelStatistics,
        crop: int,
        *,
        crops: bool = True,
        reflections: bool = True,
        colour: str = "paper",
        pixel_scale: float = 1.0,
    ) -> None:
        size = statistics.mean.shape[0]
        if not 1 <= crop <= size:
            raise ShapeError(f"a crop of {crop} does not fit images of {size} x {size}; expected 1 ... {size}")
        if colour not in COLOURS:
            raise UsageError(f"unknown colour noise {colour!r}; expected one of {', '.join(COLOURS)}")
        if not pixel_scale > 0:
            raise UsageError(f"pixel_scale is {pixel_scale}; expected a number above 0")
        self.crop, self.margin = crop, size - crop  # margin: the largest offset of a crop
        self.crops, self.reflections, self.colour, self.pixel_scale = crops, reflections, colour, pixel_scale
        self.mean = statistics.mean
        lengths = statistics.eigenvalues if colour == "paper" else np.sqrt(statistics.eigenvalues)
        self.noise_axes = 255 * statistics.eigenvectors * lengths  # (3 colours, 3 components): column i = l_i p_i

    def train_batch(
        self, images: NDArray[np.uint8], rng: np.random.Generator, *, first: int = 0, batch: int | None = None
    ) -> NDArray[np.float32]:
        """Stored images (n, S, S, 3) -> augmented (n, 3, crop, crop) float32.

        first, batch: they are the images first, first + 1, ... of a batch of so many (n), and get what they would get
        in it: for all of the batch the numbers are drawn.
        Drawn from `rng`, in this order: n vertical offsets, n horizontal offsets (0 ... S - crop, both included),
        n reflections, (n, 3) alphas. What is switched off draws nothing.
        Raises ShapeError where the images are not of the statistics' size.
        """
        self._check(images)
        count = len(images) if batch is None else batch
        own = slice(first, first + len(images))
        tops = lefts = np.full(count, self.margin // 2)
        if self.crops:
            tops = rng.integers(0, self.margin, count, endpoint=True)
            lefts = rng.integers(0, self.margin, count, endpoint=True)
        mirrored = rng.random(count) < 0.5 if self.reflections else np.zeros(count, bool)

        out = np.empty((len(images), self.crop, self.crop, 3), np.float32)
        drawn = zip(tops[own].tolist(), lefts[own].tolist(), mirrored[own].tolist(), strict=True)
        for image, whole, (top, left, mirror) in zip(images, out, drawn, strict=True):
            self._cut(image, top, left, whole[:, ::-1] if mirror else whole)
        scale = self.pixel_scale
        if self.colour != "off":
            noise = rng.normal(0, NOISE, (count, 3))[own] @ self.noise_axes.T  # (n, 3 colours)
            out += noise[:, None, None, :].astype(np.float32)
        if self.colour == "cuda-convnet":
            scale *= 1 + NOISE  # so that noisy images are not larger overall than test images
        if scale != 1:
            out /= np.float32(scale)
        return out.transpose(0, 3, 1, 2)

    def centre(self, images: NDArray[np.uint8]) -> NDArray[np.float32]:
        """Stored images (n, S, S, 3) -> their central crops (n, 3, crop, crop) float32; nothing random."""
        middle = self.margin // 2
        return self._views(images, [(middle, middle)], mirror=False)[:, 0]

    def ten_crops(self, images: NDArray[np.uint8]) -> NDArray[np.float32]:
        """Stored images (n, S, S, 3) -> (n, 10, 3, crop, crop) float32.

        The four corners (top left, top right, bottom left, bottom right), the centre, then the mirror images of
        these five in the same order. The paper averages the net's ten softmax outputs.
        """
        far, middle = self.margin, self.margin // 2
        places = [(0, 0), (0, far), (far, 0), (far, far), (middle, middle)]
        return self._views(images, places, mirror=True)

    def _views(self, images: NDArray[np.uint8], places: list[tuple[int, int]], *, mirror: bool) -> NDArray[np.float32]:
        """The crops at `places` (top, left), then their mirror images -> (n, V, 3, crop, crop)."""
        self._check(images)
        fixed = len(places)
        out = np.empty((len(images), fixed * (1 + mirror), self.crop, self.crop, 3), np.float32)
        for view, (top, left) in enumerate(places):
            self._cut(images, top, left, out[:, view])
        if mirror:
            out[:, fixed:] = out[:, :fixed, :, ::-1]
        if self.pixel_scale != 1:
            out /= np.float32(self.pixel_scale)
        return out.transpose(0, 1, 4, 2, 3)

    def _cut(self, images: NDArray[np.uint8], top: int, left: int, out: NDArray[np.float32]) -> None:
        """Write into out (..., crop, crop, 3) the crop at (top, left) of images (..., S, S, 3), less its mean."""
        rows, columns = slice(top, top + self.crop), slice(left, left + self.crop)
        np.subtract(images[..., rows, columns, :], self.mean[rows, columns], out=out)

    def _check(self, images: NDArray[np.uint8]) -> None:
        """Raise ShapeError unless images are (n, S, S, 3) with the S of the mean."""
        if images.ndim != 4 or images.shape[1:] != self.mean.shape:
            side = self.mean.shape[0]
            raise ShapeError(f"images have shape {images.shape}; expected (n, {side}, {side}, 3), as the mean has")
