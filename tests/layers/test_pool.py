"""MaxPool2D against the maximum that defines it; ties, NaN and infinity."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import oracles
from cases import DTYPES, LAYOUTS, geometries, laid_out
from tinyalex import MaxPool2D, check_layer
from tinyalex.errors import ShapeError
from tinyalex.layers.pool import max_pool_forward
from tinyalex.window import Window

pytestmark = pytest.mark.usefixtures("kernels")
INF, NAN = np.inf, np.nan


def test_worked_by_hand():
    """Windows of 3 x 3, 2 apart, share a row or column: the pixel 9 wins two windows and gets both gradients."""
    x = np.array([[[[1.0, 2, 3, 4, 5], [8, 6, 9, 6, 7], [0, 1, 2, 3, 4]]]])
    layer = MaxPool2D()
    np.testing.assert_array_equal(layer.forward(x, train=True), [[[[9, 9]]]])
    dx = layer.backward(np.array([[[[10.0, 100]]]]))
    np.testing.assert_array_equal(dx, [[[[0, 0, 0, 0, 0], [0, 0, 110, 0, 0], [0, 0, 0, 0, 0]]]])


@given(
    case=geometries(pad_below_kernel=True),
    channels=st.integers(1, 3),
    values=st.sampled_from(["distinct", "many ties", "with NaN", "with -inf"]),
    dtype=DTYPES,
    layouts=st.tuples(LAYOUTS, LAYOUTS),
    seed=st.integers(0, 99),
)
def test_is_its_definition(case, channels, values, dtype, layouts, seed):
    """y, and dx for a random dy, of whole numbers so that every sum is exact."""
    rng = np.random.default_rng(seed)
    shape = (case.N, channels, case.H, case.W)
    x = rng.permutation(np.prod(shape)).reshape(shape) - 50.0
    if values == "many ties":
        x %= 3
    elif values == "with NaN":
        x[x % 4 == 0] = NAN
    elif values == "with -inf":
        x[x % 4 != 0] = -INF
    x = laid_out(x.astype(dtype), layouts[0])
    layer = MaxPool2D(case.kernel, case.stride, pad=case.pad, ceil_mode=case.ceil_mode)
    y = layer.forward(x, train=True)
    expected, winners = oracles.max_pool(x, case.sliding())
    assert y.dtype == dtype
    np.testing.assert_array_equal(y, expected)
    dy = laid_out(rng.integers(-9, 10, y.shape).astype(dtype), layouts[1])
    dx = layer.backward(dy)
    assert dx.dtype == dtype
    np.testing.assert_array_equal(dx, oracles.max_pool_backward(dy, x.shape, winners))


@pytest.mark.parametrize(
    ("image", "cell"),
    [
        ([[5, 5], [5, 5]], 0),  # of equal cells the first, row by row
        ([[1, 5], [5, 1]], 1),
        ([[1, 1], [5, 5]], 2),
        ([[0.0, -0.0], [-0.0, 0.0]], 0),
        ([[-INF, -INF], [-INF, -INF]], 0),
        ([[NAN, 5], [1, 2]], 0),
        ([[INF, 5], [NAN, INF]], 2),
    ],
)
def test_which_cell_wins(image, cell):
    y, argmax = max_pool_forward(np.array([[image]], "float64"), Window((2, 2), (1, 1), (0, 0), False))
    assert argmax.item() == cell
    np.testing.assert_array_equal(y.item(), np.ravel(image)[cell])


def test_a_window_of_many_cells(rng):
    """More than 256 cells: their numbers need more than a byte."""
    x = rng.permutation(18 * 20).reshape(1, 1, 18, 20).astype("float64")
    x[0, 0, 17, 19] = 1000
    layer = MaxPool2D((18, 20), 1)
    assert layer.forward(x, train=True).item() == 1000
    dx = layer.backward(np.full((1, 1, 1, 1), 7.0))
    assert dx[0, 0, 17, 19] == dx.sum() == 7


@pytest.mark.parametrize(
    "settings", [{}, {"kernel_size": (2, 3), "stride": (1, 2), "pad": 1, "ceil_mode": True}, {"kernel_size": 1}]
)
def test_gradients(rng, settings):
    """By the project's own check, and by central differences; the pixels keep a distance of 0.1 from each other."""
    layer = MaxPool2D(**settings)
    x = 0.1 * rng.permutation(2 * 3 * 7 * 6).reshape(2, 3, 7, 6)
    assert [(one.name, one.kinks) for one in check_layer(layer, x)] == [("x", 0)]
    dy = rng.standard_normal(layer.forward(x, train=True).shape)
    dx = layer.backward(dy)
    numerical = oracles.slopes(lambda: float((layer.forward(x) * dy).sum()), x)
    np.testing.assert_allclose(dx, numerical, rtol=1e-7, atol=1e-7)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"kernel_size": 0}, "kernel_size=0: expected"),
        ({"stride": (2, 0)}, r"stride=\(2, 0\): expected"),
        ({"pad": -1}, "pad=-1: expected"),
        ({"pad": 3}, "MaxPool2D: got pad=3 and kernel_size=3: expected a pad smaller than the window"),
        ({"kernel_size": (4, 2), "pad": (0, 2)}, "expected a pad smaller than the window"),
    ],
)
def test_settings_that_make_no_sense(settings, message):
    with pytest.raises(ShapeError, match=message):
        MaxPool2D(**settings)


def test_inputs_that_do_not_fit():
    with pytest.raises(ShapeError, match=r"MaxPool2D: got an input of shape \(4, 4\): expected \(N, C, H, W\)"):
        MaxPool2D().forward(np.zeros((4, 4)))
    with pytest.raises(ShapeError, match="an image of 2 x 9: expected at least the window of 3 x 3"):
        MaxPool2D().forward(np.zeros((1, 1, 2, 9)))
