"""MaxPool2D and AveragePool2D against the maximum and the mean that define them; edges, ties, NaN and infinity."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import oracles
from cases import DTYPES, LAYOUTS, assert_close, geometries, laid_out
from tinyalex import AveragePool2D, MaxPool2D, check_layer
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


# ---------------------------------------------------------------- the mean


def test_means_worked_by_hand():
    """Windows of 3 x 3, 2 apart, over 3 x 6 pixels; with ceil_mode a last one has two columns of cells."""
    x = np.array([[[[1.0, 2, 3, 4, 5, 6], [0, 0, 9, 0, 0, 12], [1, 1, 1, 1, 1, 0]]]])
    np.testing.assert_allclose(AveragePool2D().forward(x), [[[[2, 24 / 9]]]])
    layer = AveragePool2D(ceil_mode=True)
    np.testing.assert_allclose(layer.forward(x, train=True), [[[[2, 24 / 9, 24 / 6]]]])
    dx = layer.backward(np.array([[[[9.0, 90, 60]]]]))
    np.testing.assert_allclose(dx, np.tile([1, 1, 11, 10, 20, 10.0], (1, 1, 3, 1)))


def test_padding_counts_and_what_lies_beyond_it_does_not():
    """Caffe's rule, on a line of 4 pixels with a pad of 1: cells 0 1 2, 2 3 4 and 4 0, of which the last has two."""
    x = np.array([[[[1.0, 2, 3, 5]]]])
    layer = AveragePool2D((1, 3), (1, 2), pad=(0, 1), ceil_mode=True)
    np.testing.assert_allclose(layer.forward(x, train=True), [[[[(0 + 1 + 2) / 3, (2 + 3 + 5) / 3, (5 + 0) / 2]]]])
    np.testing.assert_allclose(layer.backward(np.array([[[[3.0, 30, 200]]]])), [[[[1, 11, 10, 110]]]])


@given(
    case=geometries(pad_below_kernel=True),
    channels=st.integers(1, 3),
    dtype=DTYPES,
    layouts=st.tuples(LAYOUTS, LAYOUTS),
    seed=st.integers(0, 99),
)
def test_the_mean_is_its_definition(case, channels, dtype, layouts, seed):
    rng = np.random.default_rng(seed)
    x = laid_out(rng.standard_normal((case.N, channels, case.H, case.W)).astype(dtype), layouts[0])
    layer = AveragePool2D(case.kernel, case.stride, pad=case.pad, ceil_mode=case.ceil_mode)
    y = layer.forward(x, train=True)
    assert y.dtype == dtype
    assert_close(y, oracles.average_pool(x.astype("float64"), case.sliding()))
    dy = laid_out(rng.standard_normal(y.shape).astype(dtype), layouts[1])
    dx = layer.backward(dy)
    assert dx.dtype == dtype
    assert_close(dx, oracles.average_pool_backward(dy, x.shape, case.sliding()))


def test_nan_and_infinity_stay_in_their_windows():
    x = np.ones((1, 2, 6, 6), "float32")
    x[0, 0, 1, 1], x[0, 1, 5, 5] = NAN, INF
    layer = AveragePool2D(2)
    y = layer.forward(x, train=True)
    assert np.isnan(y[0, 0, 0, 0])
    assert y[0, 1, 2, 2] == INF
    assert (y[np.isfinite(y)] == 1).sum() == y.size - 2
    dx = layer.backward(y)
    assert np.isnan(dx[0, 0, :2, :2]).all()
    assert np.isnan(dx).sum() == np.isinf(dx).sum() == 4


# ---------------------------------------------------------------- both


@pytest.mark.parametrize("kind", [MaxPool2D, AveragePool2D])
@pytest.mark.parametrize(
    "settings", [{}, {"kernel_size": (2, 3), "stride": (1, 2), "pad": 1, "ceil_mode": True}, {"kernel_size": 1}]
)
def test_gradients(rng, settings, kind):
    """By the project's own check, and by central differences; the pixels keep a distance of 0.1 from each other."""
    layer = kind(**settings)
    x = 0.1 * rng.permutation(2 * 3 * 7 * 6).reshape(2, 3, 7, 6)
    assert [(one.name, one.kinks) for one in check_layer(layer, x)] == [("x", 0)]
    dy = rng.standard_normal(layer.forward(x, train=True).shape)
    dx = layer.backward(dy)
    numerical = oracles.slopes(lambda: float((layer.forward(x) * dy).sum()), x)
    np.testing.assert_allclose(dx, numerical, rtol=1e-7, atol=1e-7)


@pytest.mark.parametrize("kind", [MaxPool2D, AveragePool2D])
@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"kernel_size": 0}, "kernel_size=0: expected"),
        ({"stride": (2, 0)}, r"stride=\(2, 0\): expected"),
        ({"pad": -1}, "pad=-1: expected"),
        ({"pad": 3}, "2D: got pad=3 and kernel_size=3: expected a pad smaller than the window"),
        ({"kernel_size": (4, 2), "pad": (0, 2)}, "expected a pad smaller than the window"),
    ],
)
def test_settings_that_make_no_sense(settings, message, kind):
    with pytest.raises(ShapeError, match=message):
        kind(**settings)


@pytest.mark.parametrize("kind", [MaxPool2D, AveragePool2D])
def test_inputs_that_do_not_fit(kind):
    with pytest.raises(ShapeError, match=rf"{kind.__name__}: got an input of shape \(4, 4\): expected \(N, C, H, W\)"):
        kind().forward(np.zeros((4, 4)))
    with pytest.raises(ShapeError, match="an image of 2 x 9: expected at least the window of 3 x 3"):
        kind().forward(np.zeros((1, 1, 2, 9)))
