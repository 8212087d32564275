"""What the tests draw, how it lies in memory, and how close two results must be."""

from dataclasses import dataclass

import numpy as np
from hypothesis import strategies as st

import oracles
from tinyalex import AlexNet

DTYPES = st.sampled_from(["float32", "float64"])
LAYOUTS = st.sampled_from(["channels-first", "channels-last", "reversed axes", "every second", "backwards"])


def away_from_zero(shape):
    """Random numbers of size 0.5 to 2, so that no ReLU bends near them."""
    rng = np.random.default_rng(3)
    return rng.choice([-1, 1], shape) * rng.uniform(0.5, 2, shape)


def laid_out(array, layout):
    """The same numbers under the same indices, in another order or with gaps in memory."""
    match layout:
        case "channels-first":
            return np.ascontiguousarray(array)
        case "channels-last":
            last = np.ascontiguousarray(np.moveaxis(array, 1, -1))
            return np.moveaxis(last, -1, 1)
        case "reversed axes":
            return np.asfortranarray(array)
        case "every second":
            spread = np.full([2 * size for size in array.shape], np.nan, array.dtype)
            spread[tuple(slice(None, None, 2) for _ in array.shape)] = array
            return spread[tuple(slice(None, None, 2) for _ in array.shape)]
        case "backwards":
            return np.flip(np.flip(array).copy())


def assert_close(actual, expected):
    """Equal shapes, and values equal to the rounding of actual's dtype; NaN equals NaN."""
    expected = np.asarray(expected)
    assert actual.shape == expected.shape
    tolerance = {"float32": 2e-5, "float64": 1e-11}[str(actual.dtype)]
    size = float(np.nanmax(np.abs(expected), initial=1.0))
    np.testing.assert_allclose(actual, expected, rtol=tolerance, atol=tolerance * size)


@dataclass(frozen=True)
class Geometry:
    """Images, and a window that slides over them."""

    N: int
    H: int
    W: int
    kernel: tuple[int, int]
    stride: tuple[int, int]
    pad: tuple[int, int]
    ceil_mode: bool

    def sliding(self):
        return oracles.Sliding(self.H, self.W, self.kernel, self.stride, self.pad, self.ceil_mode)


@st.composite
def geometries(draw, pad_below_kernel=False):
    """Sizes of 1 to 7 and windows of 1 to 4, never square on purpose; strides that overlap, leave gaps, or do not
    divide; with pad_below_kernel no window lies wholly in the padding, as pooling demands."""
    sides = []
    for _ in range(2):
        kernel = draw(st.integers(1, 4))
        pad = draw(st.integers(0, min(2, kernel - 1) if pad_below_kernel else 2))
        size = draw(st.integers(max(1, kernel - 2 * pad), 7))
        sides.append((size, kernel, draw(st.integers(1, 3)), pad))
    (H, KH, SH, PH), (W, KW, SW, PW) = sides
    return Geometry(draw(st.integers(1, 3)), H, W, (KH, KW), (SH, SW), (PH, PW), draw(st.booleans()))


def small_net(**settings):
    """mini for 16 x 16 images in 3 classes, and two such images with labels."""
    net = AlexNet("mini", num_classes=3, input_size=16, **settings)
    x = np.random.default_rng(8).standard_normal((2, 3, 16, 16)).astype(net.dtype)
    return net, x, np.array([2, 0])
