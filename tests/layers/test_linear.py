"""Linear against the sum that defines it."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import oracles
from cases import DTYPES, LAYOUTS, assert_close, laid_out
from tinyalex import Linear, check_layer
from tinyalex.errors import DTypeError, ShapeError

pytestmark = pytest.mark.usefixtures("kernels")


def test_worked_by_hand():
    layer = Linear(2, 3, dtype="float64")
    layer.params["w"][:] = [[1, 2], [3, 4], [5, 6]]
    layer.params["b"][:] = [100, 200, 300]
    np.testing.assert_array_equal(
        layer.forward(np.array([[1.0, 0], [1, 1]]), train=True), [[101, 203, 305], [103, 207, 311]]
    )
    dx = layer.backward(np.array([[1.0, 0, 0], [0, 1, 10]]))
    np.testing.assert_array_equal(dx, [[1, 2], [53, 64]])
    np.testing.assert_array_equal(layer.grads["w"], [[1, 0], [1, 1], [10, 10]])
    np.testing.assert_array_equal(layer.grads["b"], [1, 1, 10])


@given(
    N=st.integers(1, 4),
    D=st.integers(1, 6),
    U=st.integers(1, 6),
    dtype=DTYPES,
    layouts=st.tuples(LAYOUTS, LAYOUTS),
    seed=st.integers(0, 99),
)
def test_is_its_definition(N, D, U, dtype, layouts, seed):
    rng = np.random.default_rng(seed)
    layer = Linear(D, U, dtype=dtype)
    for array in layer.params.values():
        array[...] = rng.standard_normal(array.shape)
    x, dy = (laid_out(rng.standard_normal((N, F)).astype(dtype), at) for F, at in zip((D, U), layouts, strict=True))
    w, b = layer.params["w"], layer.params["b"]
    assert_close(layer.forward(x, train=True), oracles.linear(x.tolist(), w.tolist(), b.tolist()))
    actual = (layer.backward(dy), layer.grads["w"], layer.grads["b"])
    for array, expected in zip(actual, oracles.linear_backward(dy, x, w), strict=True):
        assert array.dtype == dtype
        assert_close(array, expected)


def test_gradients(rng):
    """By the project's own check, and by central differences."""
    layer = Linear(5, 4, init_std=1.0, rng=rng, dtype="float64")
    x, dy = rng.standard_normal((3, 5)), rng.standard_normal((3, 4))
    assert [one.name for one in check_layer(layer, x)] == ["x", "w", "b"]
    layer.forward(x, train=True)
    dx = layer.backward(dy)
    for array, gradient in ((x, dx), (layer.params["w"], layer.grads["w"]), (layer.params["b"], layer.grads["b"])):
        numerical = oracles.slopes(lambda: float((layer.forward(x) * dy).sum()), array)
        np.testing.assert_allclose(gradient, numerical, rtol=1e-7, atol=1e-8)


def test_initial_parameters():
    """w ~ N(0, init_std**2), b = init_bias; the same weights for the same seed, whatever the dtype."""
    layers = {
        dtype: Linear(300, 200, init_std=0.02, init_bias=1, rng=np.random.default_rng(7), dtype=dtype)
        for dtype in ("float32", "float64")
    }
    for dtype, layer in layers.items():
        w, b = layer.params["w"], layer.params["b"]
        assert (w.shape, w.dtype, b.dtype) == ((200, 300), dtype, dtype)
        assert abs(w.mean()) < 0.0004
        assert w.std() == pytest.approx(0.02, rel=0.02)
        np.testing.assert_array_equal(b, np.ones(200))
    np.testing.assert_array_equal(layers["float32"].params["w"], layers["float64"].params["w"])
    assert not np.array_equal(Linear(3, 4).params["w"], Linear(3, 4).params["w"])


def test_what_is_refused():
    for features, units in ((0, 4), (4, 0)):
        with pytest.raises(ShapeError, match=f"Linear: got {features} features and {units} units: expected 1 or more"):
            Linear(features, units)
    layer = Linear(3, 4)
    with pytest.raises(ShapeError, match=r"Linear: got an input of shape \(2, 4\): expected \(N, D=3\)"):
        layer.forward(np.zeros((2, 4), "float32"))
    with pytest.raises(ShapeError, match=r"got an input of shape \(2, 3, 1, 1\)"):
        layer.forward(np.zeros((2, 3, 1, 1), "float32"))
    with pytest.raises(DTypeError, match="got an input of float64: expected float32"):
        layer.forward(np.zeros((2, 3)))
