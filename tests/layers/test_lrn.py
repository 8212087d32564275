"""The two response normalisations against their formulas: settings near 1 too, where every term counts."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import oracles
from cases import DTYPES, LAYOUTS, assert_close, laid_out
from tinyalex import LocalResponseNorm, check_layer
from tinyalex.errors import ShapeError
from tinyalex.layers import SpatialResponseNorm

pytestmark = pytest.mark.usefixtures("kernels")
SHAPES = st.tuples(st.integers(1, 3), st.integers(1, 4), st.integers(1, 4))


def check_against(layer, x, dy, neighbours, alpha, beta, k):
    y = layer.forward(x, train=True)
    dx = layer.backward(dy)
    assert y.dtype == dx.dtype == x.dtype
    assert_close(y, oracles.response_norm(x.astype("float64"), neighbours, alpha, beta, k))
    assert_close(dx, oracles.response_norm_backward(dy, x.astype("float64"), neighbours, alpha, beta, k))


def test_worked_by_hand():
    """Five maps of one pixel, a window of three, beta = 1: the window is cut off at both ends."""
    x = np.array([1.0, 2, 3, 4, 5]).reshape(1, 5, 1, 1)
    y = LocalResponseNorm(3, alpha=1.0, beta=1.0, k=2.0).forward(x)
    squares = [1 + 4, 1 + 4 + 9, 4 + 9 + 16, 9 + 16 + 25, 16 + 25]
    np.testing.assert_allclose(y.ravel(), [v / (2 + s) for v, s in zip(x.ravel(), squares, strict=True)], rtol=1e-14)


def test_an_even_window_begins_lower():
    """size 4: maps c - 2 ... c + 1, as size//2 = 2 below and the rest above."""
    x = np.array([1.0, 2, 3, 4, 5]).reshape(1, 5, 1, 1)
    y = LocalResponseNorm(4, alpha=1.0, beta=1.0, k=0.5).forward(x)
    squares = [1 + 4, 1 + 4 + 9, 1 + 4 + 9 + 16, 4 + 9 + 16 + 25, 9 + 16 + 25]
    np.testing.assert_allclose(y.ravel(), [v / (0.5 + s) for v, s in zip(x.ravel(), squares, strict=True)], rtol=1e-14)


def test_a_window_of_any_size_sees_all_maps_at_once(rng):
    """Beyond twice the maps of a group nothing more is seen, and no time is spent on it."""
    x, dy = rng.standard_normal((2, 2, 6, 3, 4))
    ys, dxs = [], []
    for size in (6, 10**9):
        layer = LocalResponseNorm(size, 0.5, groups=2)
        ys.append(layer.forward(x, train=True))
        dxs.append(layer.backward(dy))
    np.testing.assert_array_equal(*ys)
    np.testing.assert_array_equal(*dxs)


@given(
    shape=SHAPES,
    groups=st.integers(1, 3),
    per_group=st.integers(1, 7),
    size=st.integers(1, 8),
    alpha=st.sampled_from([1e-4, 0.4, 1.5]),
    beta=st.sampled_from([0.75, 0.5, 1.0]),
    k=st.sampled_from([1.0, 2.0]),
    alpha_over_size=st.booleans(),
    dtype=DTYPES,
    layouts=st.tuples(LAYOUTS, LAYOUTS),
    seed=st.integers(0, 99),
)
def test_is_its_definition(shape, groups, per_group, size, alpha, beta, k, alpha_over_size, dtype, layouts, seed):
    """Windows odd, even and wider than a group; within the groups, which are the net's columns."""
    rng = np.random.default_rng(seed)
    layer = LocalResponseNorm(size, alpha, beta, k, groups=groups, alpha_over_size=alpha_over_size)
    N, H, W = shape
    x, dy = (laid_out(rng.standard_normal((N, groups * per_group, H, W)).astype(dtype), layout) for layout in layouts)
    neighbours = oracles.neighbouring_maps(x.shape, size, groups)
    check_against(layer, x, dy, neighbours, alpha / size if alpha_over_size else alpha, beta, k)


@given(
    shape=SHAPES,
    channels=st.integers(1, 3),
    size=st.sampled_from([1, 3, 5, 7]),
    alpha=st.sampled_from([1e-3, 10.0]),
    beta=st.sampled_from([0.75, 1.0]),
    dtype=DTYPES,
    layouts=st.tuples(LAYOUTS, LAYOUTS),
    seed=st.integers(0, 99),
)
def test_spatial_is_its_definition(shape, channels, size, alpha, beta, dtype, layouts, seed):
    """k is 1 and alpha is divided by size**2, as in the released code."""
    rng = np.random.default_rng(seed)
    N, H, W = shape
    x, dy = (laid_out(rng.standard_normal((N, channels, H, W)).astype(dtype), layout) for layout in layouts)
    layer = SpatialResponseNorm(size, alpha, beta)
    check_against(layer, x, dy, oracles.neighbouring_pixels(x.shape, size), alpha / size**2, beta, 1.0)


@pytest.mark.parametrize(
    "layer",
    [
        LocalResponseNorm(alpha=1.0),
        LocalResponseNorm(4, 0.7, 0.6, 1.5, groups=2),
        LocalResponseNorm(3, 1.0, groups=3, alpha_over_size=True),
        SpatialResponseNorm(3, alpha=5.0),
    ],
)
def test_gradients(rng, layer):
    """By the project's own check, and by central differences."""
    x = rng.standard_normal((2, 6, 3, 4))
    check_layer(layer, x)
    dy = rng.standard_normal(x.shape)
    layer.forward(x, train=True)
    dx = layer.backward(dy)
    numerical = oracles.slopes(lambda: float((layer.forward(x) * dy).sum()), x)
    np.testing.assert_allclose(dx, numerical, rtol=1e-6, atol=1e-8)


def test_defaults_are_the_papers():
    """Section 3.3: k = 2, n = 5, alpha = 1e-4, beta = 0.75; one lone response of 100 in five maps of zeros."""
    x = np.zeros((1, 5, 1, 1))
    x[0, 2] = 100
    assert LocalResponseNorm().forward(x)[0, 2].item() == pytest.approx(100 / (2 + 1e-4 * 100**2) ** 0.75, rel=1e-12)


@pytest.mark.parametrize("columns", [1, 2])
def test_nothing_crosses_from_one_column_to_the_other(rng, columns):
    """With groups=2 the maps of the second half change nothing in the first; with one group they do."""
    layer = LocalResponseNorm(alpha=1.0, groups=columns)
    x = rng.standard_normal((1, 8, 2, 2))
    louder = x.copy()
    louder[:, 4:] *= 3
    untouched = layer.forward(louder)[:, :4] == layer.forward(x)[:, :4]
    assert untouched.all() == (columns == 2)


def test_settings_that_make_no_sense():
    with pytest.raises(ShapeError, match="LocalResponseNorm: got size=0, groups=1: expected 1 or more"):
        LocalResponseNorm(0)
    with pytest.raises(ShapeError, match="got size=5, groups=0"):
        LocalResponseNorm(groups=0)
    with pytest.raises(ShapeError, match="LocalResponseNorm: got 5 maps: expected a multiple of groups=2"):
        LocalResponseNorm(groups=2).forward(np.zeros((1, 5, 2, 2)))
    with pytest.raises(ShapeError, match=r"LocalResponseNorm: got an input of shape \(1, 5\)"):
        LocalResponseNorm().forward(np.zeros((1, 5)))
    for size in (0, 4):
        with pytest.raises(ShapeError, match=f"SpatialResponseNorm: got size={size}: expected an odd number"):
            SpatialResponseNorm(size)
