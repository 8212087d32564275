"""Section 4.1: the two forms of data augmentation, and the ten views that the net is tested on.

Training images become random crops, half of them mirrored, whose colours are shifted along the principal components
of the training set's RGB values. Test images become the central crop, or the four corners and the centre with their
mirror images. In every case the training set's mean is subtracted from each pixel.

Where the released code (cuda-convnet) differs from the paper:
- It subtracts the central crop of the mean image from every crop, wherever that was taken. Here each pixel's own mean
  is subtracted, as section 2 says.
- It takes the same crop of 32 images in a row. Here each image has its own random crop.
- A crop of 224 in 256 has 33 * 33 offsets, so with mirror images 2178 views. The paper counts 32 * 32 * 2 = 2048.
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
    """Turns stored images (n, S, S, 3) uint8 into the net's input, (n, 3, crop, crop) float32.

    y = (crop of x - the same crop of the mean, mirrored or not, + noise) / pixel_scale; x and noise in 0 ... 255 units.
    y is a transposed view of a contiguous (n, crop, crop, 3) array: channels-last in memory.

    crops:       if True, training crops are random; if False, central.
    reflections: if True, half of the training images are mirrored left to right.
    colour:      the noise of a training image: one colour, added to all its pixels. With the eigenvalues lambda_i and
                 eigenvectors p_i of the RGB covariance (pixels in 0 ... 1), and alpha_i ~ N(0, 0.1) drawn anew for
                 each image in each epoch:
                 "paper":        255 * sum of alpha_i lambda_i p_i, the paper's formula;
                 "cuda-convnet": 255 * sum of alpha_i sqrt(lambda_i) p_i, and y is divided by 1.1: the released code
                                 takes standard deviations, which gives a stronger noise;
                 "off":          no noise.
    pixel_scale: a divisor. The paper's nets read 0 ... 255 units (1); small nets train better on values near 1.
    Raises:      ShapeError if the crop is larger than the stored images; UsageError for an unknown `colour` or a
                 `pixel_scale` that is not above 0.
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
            raise ShapeError(f"got crop={crop}: expected 1 ... {size}, as the stored images are {size} x {size}")
        if colour not in COLOURS:
            raise UsageError(f"got colour noise {colour!r}: expected one of {', '.join(COLOURS)}")
        if not pixel_scale > 0:
            raise UsageError(f"got pixel_scale={pixel_scale}: expected a number above 0")
        self.crop, self.margin = crop, size - crop  # margin: the largest offset of a crop
        self.crops, self.reflections, self.colour, self.pixel_scale = crops, reflections, colour, pixel_scale
        self.mean = statistics.mean
        lengths = statistics.eigenvalues if colour == "paper" else np.sqrt(statistics.eigenvalues)
        self.noise_axes = 255 * statistics.eigenvectors * lengths  # (3 colours, 3 components): column i = l_i p_i

    def train_batch(
        self, images: NDArray[np.uint8], rng: np.random.Generator, *, first: int = 0, batch: int | None = None
    ) -> NDArray[np.float32]:
        """Stored images (n, S, S, 3) -> augmented (n, 3, crop, crop) float32.

        first, batch: of one rank's share. The images are numbers first, first + 1, ... of a batch of `batch` images.
        Random numbers are drawn for the whole batch, so each image comes out as it would on a single process.
        Drawn from `rng`, in this order, for n images: n vertical offsets, n horizontal offsets (0 ... S - crop
        inclusive), n reflections, (n, 3) alphas. An augmentation that is off draws nothing.
        Raises ShapeError if the images do not have the size of the mean image.
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
        """Stored images (n, S, S, 3) -> their central crops (n, 3, crop, crop) float32."""
        middle = self.margin // 2
        return self._views(images, [(middle, middle)], mirror=False)[:, 0]

    def ten_crops(self, images: NDArray[np.uint8]) -> NDArray[np.float32]:
        """Stored images (n, S, S, 3) -> (n, 10, 3, crop, crop) float32.

        In order: the four corners (top left, top right, bottom left, bottom right), the centre, and the mirror images
        of these five. The paper averages the net's ten softmax outputs.
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
        """Write the crop at (top, left) of images (..., S, S, 3), less its mean, into out (..., crop, crop, 3)."""
        rows, columns = slice(top, top + self.crop), slice(left, left + self.crop)
        np.subtract(images[..., rows, columns, :], self.mean[rows, columns], out=out)

    def _check(self, images: NDArray[np.uint8]) -> None:
        """Raise ShapeError unless images are (n, S, S, 3) with the S of the mean."""
        if images.ndim != 4 or images.shape[1:] != self.mean.shape:
            side = self.mean.shape[0]
            raise ShapeError(f"got images of shape {images.shape}: expected (n, {side}, {side}, 3), as the mean has")
