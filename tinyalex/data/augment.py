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

Axes: n images of a batch, S stored height and width, 3 colours, V views of one image: 1 in training, 1 or 10 in a test.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from tinyalex.backend import Array, get_array_module, kernel
from tinyalex.data.statistics import PixelStatistics
from tinyalex.data.zoom import zoomed
from tinyalex.errors import ShapeError, UsageError

COLOURS = ("paper", "cuda-convnet", "off")
NOISE = 0.1  # the standard deviation of the paper's alpha, and the released code's coefficient


@kernel
def augment(
    mean: Array,
    images: Array,
    tops: Array,
    lefts: Array,
    mirrored: Array,
    noise: Array,
    crop: int,
    scale: float,
) -> Array:
    """The net's input: a crop of each view's image, less the mean there, mirrored or not, plus noise, divided by scale.

    y[k, c, i, j] = (images[n, row, column, c] - mean[row, column, c] + noise[k, c]) / scale  in this order, where
    n = k // V, row = tops[k] + i, column = lefts[k] + (crop - 1 - j if mirrored[k] else j).

    mean:        (S, S, 3), floats of 0 ... 255; y has its dtype.   images: (n, S, S, 3) uint8.
    tops, lefts: (n*V,) int32, 0 ... S - crop.   mirrored: (n*V,) bool.   noise: (n*V, 3).   scale: above 0.
    Returns y (n*V, 3, crop, crop), channels last in memory. The V views of an image follow each other.
    """
    xp = get_array_module(mean, images)
    n, V = len(images), len(tops) // max(1, len(images))
    steps = xp.arange(crop)
    rows = (tops[:, None] + steps).reshape(n, V, crop, 1)
    columns = lefts[:, None] + xp.where(mirrored[:, None], crop - 1 - steps, steps)
    columns = columns.reshape(n, V, 1, crop)
    y = images[xp.arange(n)[:, None, None, None], rows, columns] - mean[rows, columns]  # (n, V, crop, crop, 3)
    y += noise.reshape(n, V, 1, 1, 3)
    y /= mean.dtype.type(scale)
    return y.reshape(n * V, crop, crop, 3).transpose(0, 3, 1, 2)


@dataclass(frozen=True)
class Views:
    """What the net sees of each image of a batch: all arguments of `augment` that change from batch to batch.

    The V views of an image follow each other. tops, lefts: (n*V,) int32, the offsets of the crops.
    mirrored: (n*V,) bool.   noise: (n*V, 3) float32, in 0 ... 255 units.   scale: the divisor.
    """

    tops: NDArray[np.int32]
    lefts: NDArray[np.int32]
    mirrored: NDArray[np.bool_]
    noise: NDArray[np.float32]
    scale: float

    @property
    def arrays(self) -> tuple[Array, Array, Array, Array]:
        """tops, lefts, mirrored and noise, in the order that `augment` takes them."""
        return self.tops, self.lefts, self.mirrored, self.noise


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
    zoom:        below 1: a training image is a random part of the stored one, enlarged, before it is cropped; the
                 part's height and width are each at least this share of the image's. 1, the paper: the whole image.
    pixel_scale: a divisor, or three for red, green and blue. The paper's nets read 0 ... 255 units (1); small nets
                 train better on values near 1.
    Raises:      ShapeError if the crop is larger than the stored images; UsageError for an unknown `colour`, a `zoom`
                 outside 0 ... 1, or a `pixel_scale` that is not above 0.
    """

    def __init__(
        self,
        statistics: PixelStatistics,
        crop: int,
        *,
        crops: bool = True,
        reflections: bool = True,
        colour: str = "paper",
        zoom: float = 1.0,
        pixel_scale: float | Sequence[float] = 1.0,
    ) -> None:
        size = statistics.mean.shape[0]
        if not 1 <= crop <= size:
            raise ShapeError(f"got crop={crop}: expected 1 ... {size}, as the stored images are {size} x {size}")
        if colour not in COLOURS:
            raise UsageError(f"got colour noise {colour!r}: expected one of {', '.join(COLOURS)}")
        if not 0 < zoom <= 1:
            raise UsageError(f"got zoom={zoom}: expected a share above 0, 1 at most")
        scales = np.broadcast_to(np.asarray(pixel_scale, float), 3)  # for red, green and blue
        if not (scales > 0).all():
            raise UsageError(f"got pixel_scale={pixel_scale}: expected a number above 0")
        self.crop, self.margin = crop, size - crop  # margin: the largest offset of a crop
        self.crops, self.reflections, self.colour, self.zoom = crops, reflections, colour, zoom
        self.pixel_scale = float(scales[0])
        self._ratios = (scales / scales[0]).tolist()  # what is left to divide the colours by
        self.mean = np.asarray(statistics.mean, np.float32)
        lengths = statistics.eigenvalues if colour == "paper" else np.sqrt(statistics.eigenvalues)
        self.noise_axes = 255 * statistics.eigenvectors * lengths  # (3 colours, 3 components): column i = l_i p_i

    def train_batch(
        self, images: NDArray[np.uint8], rng: np.random.Generator, *, first: int = 0, batch: int | None = None
    ) -> NDArray[np.float32]:
        """Stored images (n, S, S, 3) -> augmented (n, 3, crop, crop) float32.

        first, batch: of one rank's share. The images are numbers first, first + 1, ... of a batch of `batch` images.
        Random numbers are drawn for the whole batch, so each image comes out as it would on a single process.
        Raises ShapeError if the images do not have the size of the mean image.
        """
        count = len(images) if batch is None else batch
        own = slice(first, first + len(images))
        views = self.draw(count, rng, own)
        return self.view(self.enlarge(images, count, rng, own), views)

    def centre(self, images: NDArray[np.uint8]) -> NDArray[np.float32]:
        """Stored images (n, S, S, 3) -> their central crops (n, 3, crop, crop) float32."""
        return self.view(images, self.centre_views(len(images)))

    def ten_crops(self, images: NDArray[np.uint8]) -> NDArray[np.float32]:
        """Stored images (n, S, S, 3) -> (n, 10, 3, crop, crop) float32, in the order of `ten_views`.

        The paper averages the net's ten softmax outputs.
        """
        return self.view(images, self.ten_views(len(images))).reshape(-1, 10, 3, self.crop, self.crop)

    def view(self, images: NDArray[np.uint8], views: Views) -> NDArray[np.float32]:
        """Stored images (n, S, S, 3) as `views` say -> (n*V, 3, crop, crop) float32.

        Raises ShapeError if the images do not have the size of the mean image.
        """
        self.check(images)
        y: NDArray[np.float32] = augment(self.mean, images, *views.arrays, self.crop, views.scale)
        self.even_out(y)
        return y

    def even_out(self, y: Array) -> None:
        """Where the colours have divisors of their own: from that of red to theirs, in y (n, 3, crop, crop)."""
        for colour, ratio in enumerate(self._ratios):
            if ratio != 1:
                y[:, colour] /= ratio

    def check(self, images: NDArray[np.uint8]) -> None:
        """Raise ShapeError unless images are (n, S, S, 3) with the S of the mean."""
        if images.ndim != 4 or images.shape[1:] != self.mean.shape:
            side = self.mean.shape[0]
            raise ShapeError(f"got images of shape {images.shape}: expected (n, {side}, {side}, 3), as the mean has")

    # ------------------------------------------------------------ which views

    def draw(self, count: int, rng: np.random.Generator, own: slice = slice(None)) -> Views:
        """Random views of `count` training images, V = 1; with `own` those of a part of the images only.

        Drawn from `rng`, in this order, for n = count images: n vertical offsets, n horizontal offsets (0 ... S - crop
        inclusive), n reflections, (n, 3) alphas. An augmentation that is off draws nothing.
        """
        tops = lefts = np.full(count, self.margin // 2)
        if self.crops:
            tops = rng.integers(0, self.margin, count, endpoint=True)
            lefts = rng.integers(0, self.margin, count, endpoint=True)
        mirrored = rng.random(count) < 0.5 if self.reflections else np.zeros(count, bool)
        noise, scale = np.zeros((count, 3))[own], self.pixel_scale
        if self.colour != "off":
            noise = rng.normal(0, NOISE, (count, 3))[own] @ self.noise_axes.T  # (n, 3 colours)
        if self.colour == "cuda-convnet":
            scale *= 1 + NOISE  # so that noisy images are not larger overall than test images
        tops, lefts = tops[own].astype(np.int32), lefts[own].astype(np.int32)
        return Views(tops, lefts, mirrored[own], noise.astype(np.float32), scale)

    def enlarge(
        self, images: NDArray[np.uint8], count: int, rng: np.random.Generator, own: slice = slice(None)
    ) -> NDArray[np.uint8]:
        """Random parts of stored training images (n, S, S, 3), enlarged by `tinyalex.data.zoom`; with zoom=1 the whole.

        To be called after `draw`, with the same count, rng and own; it draws nothing if it does nothing.
        """
        return images if self.zoom == 1 else zoomed(images, self.zoom, count, rng, own)

    def centre_views(self, count: int) -> Views:
        """The central crops of `count` images, V = 1."""
        middle = self.margin // 2
        return self._fixed_views(count, [(middle, middle, False)])

    def ten_views(self, count: int) -> Views:
        """Ten views of each of `count` images.

        In order: the four corners (top left, top right, bottom left, bottom right), the centre, and the mirror images
        of these five.
        """
        far, middle = self.margin, self.margin // 2
        places = [(0, 0), (0, far), (far, 0), (far, far), (middle, middle)]
        return self._fixed_views(count, [(*place, mirror) for mirror in (False, True) for place in places])

    def _fixed_views(self, count: int, views: list[tuple[int, int, bool]]) -> Views:
        """The same views (top, left, mirrored) of each of `count` images, without noise."""
        tops, lefts, mirrored = np.tile(np.array(views, np.int32).T, count)
        return Views(tops, lefts, mirrored.astype(bool), np.zeros((len(tops), 3), np.float32), self.pixel_scale)
