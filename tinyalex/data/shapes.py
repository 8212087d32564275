"""The data set `shapes`: ten kinds of textured objects before cluttered backgrounds, generated when they are read.

It replaces the photographs of section 2 where none can be downloaded. The class is the outline of the object and
nothing else: background, resolution, colours, texture, light, scale, position, rotation and slant are random and do
not depend on it. So no colour, corner or mean brightness reveals the class: a net has to find the object and follow
its edge.

Picture i of a split depends on (seed, split, i) only. The two splits use separate streams of random numbers.

Axes: N images, H, W height and width, S stored height and width, 3 colours (red, green, blue), bytes of 0 ... 255;
x runs to the right, y downwards.
"""

import math
import shutil
from collections.abc import Callable
from hashlib import sha256
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageFilter

from tinyalex.data.dead_leaves import colours_around, dead_leaves
from tinyalex.data.forms import FORMS, draw_mask
from tinyalex.errors import DataError, UsageError

Floats = NDArray[np.float32]
Matrix = NDArray[np.float64]
Bytes = NDArray[np.uint8]

CLASSES = tuple(form.__name__ for form in FORMS)
SPLITS = ("train", "val")
PICTURE_STREAM, LABEL_STREAM = 1, 2  # separate the random numbers of pictures from those of labels

SHORTER_SIDE = (64, 120)  # of a picture, in pixels
LARGEST_ASPECT = 4 / 3
RADIUS = (0.33, 0.45)  # of the object, as a fraction of the shorter side
FLATTEST = 0.8  # the least ratio of the object's two diameters
STEEPEST = math.radians(30)  # the largest rotation of the object, to either side
CONTRAST = (65, 110)  # of its first colour against the background's mean colour, in grey levels
DARK = 116  # a background whose mean is below this gets a lighter object, any other a darker one


# Textures: uv (2, H, W), coordinates of about -1 ... 1 on the object -> (H, W), the share of the second colour: the
# object has the first colour where the value is 0 or less, the second where it is 1 or more.


def fade(uv: Floats, rng: np.random.Generator) -> Floats:
    """A gradient from side to side."""
    gradient: Floats = 0.5 + rng.uniform(0.2, 0.5) * uv[0]
    return gradient


def stripes(uv: Floats, rng: np.random.Generator) -> Floats:
    """Parallel bands."""
    bands: Floats = 0.5 + 1.5 * np.sin(rng.uniform(5, 11) * uv[0])
    return bands


def checks(uv: Floats, rng: np.random.Generator) -> Floats:
    """A chessboard."""
    waves = np.sin(rng.uniform(4, 8) * uv)
    board: Floats = 0.5 + 2.5 * waves[0] * waves[1]
    return board


def dots(uv: Floats, rng: np.random.Generator) -> Floats:
    """Spots in rows."""
    waves = np.cos(rng.uniform(6, 11) * uv)
    spots: Floats = 1.5 * (waves[0] + waves[1]) - 0.5
    return spots


def marble(uv: Floats, rng: np.random.Generator) -> Floats:
    """Veins: bands bent by a wave."""
    bend = rng.uniform(1, 2.5) * np.sin(rng.uniform(2, 5) * uv[1])
    veins: Floats = 0.5 + 0.5 * np.sin(rng.uniform(5, 8) * uv[0] + bend)
    return veins


TEXTURES: tuple[Callable[[Floats, np.random.Generator], Floats], ...] = (fade, stripes, checks, dots, marble)


def rotation(angle: float) -> Matrix:
    """The matrix (2, 2) of a rotation by `angle`, in radians."""
    return np.array([[math.cos(angle), -math.sin(angle)], [math.sin(angle), math.cos(angle)]])


def place(rng: np.random.Generator, height: int, width: int) -> tuple[Matrix, Matrix, float]:
    """A random placement of an object: matrix (2, 2), centre (2,), and its radius in pixels.

    matrix and centre map its form to pixels. The circle around `centre` stays within the central square of the
    picture, which is the part that nets see.
    """
    shorter = min(height, width)
    radius = shorter * rng.uniform(*RADIUS)
    play = shorter / 2 - radius
    centre = np.array([width, height]) / 2 + rng.uniform(-play, play, 2)
    slant = np.array([[rng.choice([-1, 1]), rng.uniform(-0.2, 0.2)], [0, rng.uniform(FLATTEST, 1)]])
    return radius * rotation(rng.uniform(-STEEPEST, STEEPEST)) @ slant, centre, radius


def surface(rng: np.random.Generator, xy: Floats, ground: Matrix) -> Floats:
    """The colours of an object (3, H, W): two colours that contrast with `ground` (3,), mixed by a random texture."""
    away = rng.uniform(*CONTRAST) * (1 if ground.mean() < DARK else -1)
    first = colours_around(rng, ground + away, (8, 40, 22), 1).T[:, :, None]  # (3, 1, 1)
    second = colours_around(rng, ground + away * rng.uniform(0.5, 1.2), (8, 40, 22), 1).T[:, :, None]
    uv = np.tensordot(rotation(rng.uniform(0, 2 * math.pi)).astype(np.float32), xy, 1)
    mix = np.clip(TEXTURES[rng.integers(len(TEXTURES))](uv, rng), 0, 1)
    return first.astype(np.float32) + (second - first).astype(np.float32) * mix


def light(rng: np.random.Generator, scene: Floats, thing: Floats, mask: Image.Image, radius: float) -> Floats:
    """The object `thing` (3, H, W) on the background `scene` (3, H, W), lit from one side -> (3, H, W).

    mask: where the object covers the background.
    The mask, blurred and moved away from the lamp, is the shadow. The blurred mask minus the shadow is positive on the
    side towards the lamp and negative on the other, which makes the object look round.
    """
    angle, bevel, rim, shade = rng.uniform((0, 0, 0, 0.2), (2 * math.pi, 0.9, 0.9, 0.6)).tolist()
    blurred = mask.filter(ImageFilter.GaussianBlur(radius / 12))
    fallen = Image.new("L", mask.size)
    fallen.paste(blurred, (round(radius / 8 * math.cos(angle)), round(radius / 8 * math.sin(angle))))
    cover, soft, shadow = (np.asarray(image, np.float32) / 255 for image in (mask, blurred, fallen))

    shine = 1 + bevel * (soft - shadow) - rim * np.clip(2.4 - 3 * soft, 0, 1)
    picture: Floats = scene * ((1 - shade * shadow) * (1 - cover))
    picture += thing * (np.clip(shine, 0.1, 2) * cover)
    return picture


def paint(label: int, rng: np.random.Generator) -> Bytes:
    """A picture of an object of class `label` -> (H, W, 3) uint8, H and W from 64 to 160."""
    form_rng = rng.spawn(1)[0]  # so that other random numbers do not depend on how many the form draws
    shorter = int(rng.integers(*SHORTER_SIDE, endpoint=True))
    height, width = shorter, round(shorter * rng.uniform(1, LARGEST_ASPECT))
    if rng.random() < 0.5:
        height, width = width, height
    scene = dead_leaves(rng, height, width).transpose(2, 0, 1).astype(np.float32, order="C")  # (3, H, W)

    matrix, centre, radius = place(rng, height, width)
    mask = draw_mask(FORMS[label](form_rng), matrix, centre, height, width)
    x, y = (np.arange(side, dtype=np.float32) for side in (width, height))
    left, top = centre.tolist()
    xy = np.stack(np.meshgrid((x - left) / radius, (y - top) / radius))  # (2, H, W), -1 ... 1 on the object
    thing = surface(rng, xy, scene.mean(axis=(1, 2), dtype=np.float64))
    picture = light(rng, scene, thing, mask, radius)

    # The camera: exposure, the tint of the lamp, brightness falling off towards one side, grain.
    tint = rng.uniform(0.85, 1.15) * (1 + rng.uniform(-0.08, 0.08) * np.array([1, 0, -1], np.float32))
    falloff = np.tensordot(rng.uniform(-0.1, 0.1, 2).astype(np.float32), xy, 1)
    grain = rng.uniform(0, 6) * rng.standard_normal((height, width), np.float32)
    picture *= 1 + falloff
    picture *= tint[:, None, None]
    picture += grain
    return np.ascontiguousarray(np.clip(picture, 0, 255).astype(np.uint8).transpose(1, 2, 0))


def central_square(image: Image.Image, size: int) -> Image.Image:
    """The central square of `image`, resized to size x size."""
    side = min(image.size)
    left, top = (image.width - side) / 2, (image.height - side) / 2
    box = (left, top, left + side, top + side)
    return image.resize((size, size), Image.Resampling.BICUBIC, box)


class Shapes:
    """`count` pictures of the split "train" or "val", generated from `seed`; a `Dataset`.

    Stored images are (size, size, 3) uint8. Each is generated when it is first read (about 2 ms), then kept.
    Labels: images 0 ... 9, 10 ... 19, ... contain each class once, in random order.
    Raises UsageError for another split, a count or size below 1, or a negative seed.
    """

    name = "shapes"
    classes = CLASSES

    def __init__(self, count: int, *, split: str = "train", seed: int = 0, size: int = 36) -> None:
        if split not in SPLITS:
            raise UsageError(f"got split {split!r} of shapes: expected {' or '.join(SPLITS)}")
        if count < 1 or seed < 0 or size < 1:
            raise UsageError(f"got count={count}, seed={seed}, size={size}: expected count >= 1, seed >= 0, size >= 1")
        self.split, self.seed, self.size = split, seed, size
        tens = [self._rng(LABEL_STREAM, ten).permutation(len(CLASSES)) for ten in range(math.ceil(count / 10))]
        self.labels: NDArray[np.int64] = np.concatenate(tens)[:count].astype(np.int64)
        self._images: Bytes = np.empty((count, size, size, 3), np.uint8)
        self._made = np.zeros(count, bool)

    def _rng(self, stream: int, index: int) -> np.random.Generator:
        return np.random.default_rng([self.seed, SPLITS.index(self.split), index, stream])

    def __len__(self) -> int:
        """N, the number of images."""
        return len(self.labels)

    def read(self, indices: NDArray[np.int64]) -> Bytes:
        """The stored images `indices` (n,) -> (n, S, S, 3) uint8.

        Safe to call from several threads: at worst two of them generate the same image.
        """
        for index in np.unique(indices[~self._made[indices]]):
            image = Image.fromarray(self.picture(index))
            self._images[index] = np.asarray(central_square(image, self.size))
            self._made[index] = True  # only now, as another thread may read it
        return self._images[indices]

    def picture(self, index: int) -> Bytes:
        """Image `index` at its own resolution -> (H, W, 3) uint8, H and W from 64 to 160."""
        index = range(len(self))[index]  # negative indices count from the end; IndexError out of range
        return paint(int(self.labels[index]), self._rng(PICTURE_STREAM, index))

    def fingerprint(self) -> str:
        """The SHA-256 of all that the images are generated from; none of them is."""
        return sha256(f"shapes {self.split} {len(self)} {self.seed} {self.size}".encode()).hexdigest()


def write_jpegs(folder: str | Path, *, train: int = 6000, val: int = 1000, seed: int = 0) -> None:
    """Write both splits as FOLDER/train/<class>/00012.jpg and FOLDER/val/...; the number is the image's index.

    Raises DataError if `folder` is a file or is not empty, UsageError for counts below 1.
    """
    root = Path(folder)
    if root.exists() and (not root.is_dir() or any(root.iterdir())):
        raise DataError(f"got {root}, which is not empty: expected a new or an empty folder")
    both = (Shapes(train, split="train", seed=seed), Shapes(val, split="val", seed=seed))
    try:
        for shapes in both:
            for name in CLASSES:
                (root / shapes.split / name).mkdir(parents=True)
            for index, label in enumerate(shapes.labels):
                path = root / shapes.split / CLASSES[label] / f"{index:05d}.jpg"
                Image.fromarray(shapes.picture(index)).save(path, quality=92)
    except BaseException as error:  # half a data set could be mistaken for a whole one
        for shapes in both:
            shutil.rmtree(root / shapes.split, ignore_errors=True)
        if isinstance(error, OSError):
            error.filename = str(root)  # on a full disk the error names no file
        raise
