"""ReLU, tanh and Flatten."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from cases import DTYPES, LAYOUTS, assert_close, laid_out
from tinyalex import Flatten, ReLU, Tanh
from tinyalex.errors import ShapeError

SHAPES = st.tuples(*[st.integers(1, 4)] * 4)


def test_relu_worked_by_hand():
    """The gradient passes where x > 0; at 0 it is 0, and a NaN stays one."""
    layer = ReLU()
    y = layer.forward(np.array([-3.0, -0.0, 0, 2, np.inf, np.nan]), train=True)
    np.testing.assert_array_equal(y, [0, 0, 0, 2, np.inf, np.nan])
    np.testing.assert_array_equal(layer.backward(np.array([1.0, 2, 3, 4, 5, 6])), [0, 0, 0, 4, 5, 0])


@given(shape=SHAPES, dtype=DTYPES, layouts=st.tuples(LAYOUTS, LAYOUTS), seed=st.integers(0, 99))
@pytest.mark.parametrize(
    ("layer", "function", "slope"),
    [
        (ReLU(), lambda x: max(0.0, x), lambda x: float(x > 0)),
        (Tanh(), math.tanh, lambda x: 1 / math.cosh(x) ** 2),
    ],
    ids=["ReLU", "Tanh"],
)
def test_function_and_slope(layer, function, slope, shape, dtype, layouts, seed):
    rng = np.random.default_rng(seed)
    x, dy = (laid_out(3 * rng.standard_normal(shape).astype(dtype), layout) for layout in layouts)
    assert_close(layer.forward(x, train=True), [[[[function(v) for v in r] for r in m] for m in n] for n in x.tolist()])
    slopes = np.array([slope(v) for v in x.ravel().tolist()]).reshape(shape)
    assert_close(layer.backward(dy), dy * slopes)


@given(shape=SHAPES, dtype=DTYPES, layout=LAYOUTS)
def test_flatten_goes_map_by_map(shape, dtype, layout):
    """Feature (c*H + h)*W + w of image n is its pixel (c, h, w), however the images lie in memory."""
    _, C, H, W = shape
    x = laid_out(np.arange(math.prod(shape), dtype=dtype).reshape(shape), layout)
    layer = Flatten()
    y = layer.forward(x, train=True)
    assert y.shape == (shape[0], C * H * W)
    for n, c, h, w in np.ndindex(shape):
        assert y[n, (c * H + h) * W + w] == x[n, c, h, w]
    np.testing.assert_array_equal(layer.backward(y), x)


def test_flatten_needs_a_batch():
    with pytest.raises(ShapeError, match=r"Flatten: got an input of shape \(5,\): expected \(N, C, H, W\)"):
        Flatten().forward(np.zeros(5))
