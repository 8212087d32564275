"""Convolution of few channels against the definition, and when it is chosen."""

import numpy as np
import pytest

from tinyalex.backend import use_kernels, use_threads
from tinyalex.backend.cpu import conv, thin
from tinyalex.layers import conv as definition
from tinyalex.window import Window

# name: window, H, W, channels, kernels
CASES = {
    "5x5 of three colours, as in mini": (Window((5, 5), (1, 1), (2, 2), False), 9, 11, 3, 32),
    "one kernel on one channel": (Window((3, 3), (1, 1), (1, 1), False), 5, 4, 1, 1),
    "a panel and a little more": (Window((2, 3), (1, 1), (1, 0), False), 6, 7, 2, 37),
    "fewer entries than a block has rows": (Window((1, 1), (1, 1), (0, 0), False), 6, 3, 3, 5),
    "strides, past the edge": (Window((3, 2), (2, 3), (1, 0), True), 8, 12, 3, 7),
    "pixels that no kernel sees": (Window((2, 2), (3, 3), (1, 0), False), 11, 9, 2, 4),
    "a stride over the whole image": (Window((1, 1), (10, 10), (3, 3), False), 4, 4, 3, 8),
    "15 channels": (Window((4, 3), (1, 1), (2, 2), False), 4, 6, 15, 70),
}


def arrays(name, N, dtype):
    window, H, W, C, OC = CASES[name]
    rng = np.random.default_rng(5)
    shapes = (N, C, H, W), (OC, C, *window.kernel), (OC,), (N, OC, *window.output_size(H, W))
    return *(rng.standard_normal(shape).astype(dtype) for shape in shapes), window


@pytest.mark.parametrize("name", CASES)
@pytest.mark.parametrize(("N", "threads", "dtype", "tolerance"), [(1, 2, "float64", 1e-13), (5, 3, "float32", 1e-6)])
def test_agrees_with_the_definition(monkeypatch, name, N, threads, dtype, tolerance):
    """In any number of threads, and in bands of a few rows."""
    x, w, b, dy, window = arrays(name, N, dtype)
    assert thin.suits(x.transpose(0, 2, 3, 1).shape, w.shape, window, 1)
    wide = [array.astype("float64") for array in (x, w, b, dy)]
    with use_kernels("reference"):
        expected = [definition.conv_forward(*wide[:3], window, 1, relu) for relu in (False, True)]
        expected += definition.conv_backward(wide[3], *wide[:2], window, 1, False)[1:]
    with use_threads(threads):
        for band in (1, 200, thin.BAND):
            monkeypatch.setattr(thin, "BAND", band)
            found = [conv.conv_forward(x, w, b, window, 1, relu) for relu in (False, True)]
            found += conv.conv_backward(dy, x, w, window, 1, False)[1:]
            for actual, right in zip(found, expected, strict=True):
                assert actual.dtype == dtype
                assert actual.shape == right.shape
                assert np.linalg.norm(actual - right) <= tolerance * np.linalg.norm(right)


def test_the_images_may_lie_in_any_order():
    x, w, b, dy, window = arrays("strides, past the edge", 4, "float64")
    right = conv.conv_forward(x, w, b, window, 1), *conv.conv_backward(dy, x, w, window, 1, False)[1:]
    x, w, dy = (np.asfortranarray(array) for array in (x, w, dy))
    found = conv.conv_forward(x, w, b, window, 1), *conv.conv_backward(dy, x, w, window, 1, False)[1:]
    for actual, expected in zip(found, right, strict=True):
        np.testing.assert_array_equal(actual, expected)
