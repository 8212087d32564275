"""Dropout: who is dropped, and what the others are multiplied by."""

import numpy as np
import pytest

from tinyalex import Dropout, check_layer
from tinyalex.errors import UsageError


@pytest.mark.parametrize(("scale_at", "kept", "tested"), [("test", 1.0, 0.75), ("train", 4 / 3, 1.0)])
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_both_scalings(scale_at, kept, tested, dtype):
    """In training a unit is 0 or x * kept, and its gradient likewise; else every unit is x * tested."""
    layer = Dropout(0.25, rng=np.random.default_rng(1), scale_at=scale_at)
    x = np.random.default_rng(2).uniform(1, 2, (40, 50)).astype(dtype)
    y = layer.forward(x, train=True)
    dropped = y == 0
    assert dropped.mean() == pytest.approx(0.25, abs=0.04)  # 2,000 units: 4 standard errors
    np.testing.assert_allclose(y[~dropped], kept * x[~dropped], rtol=1e-6)
    dy = np.random.default_rng(3).uniform(1, 2, x.shape).astype(dtype)
    dx = layer.backward(dy)
    np.testing.assert_array_equal(dx == 0, dropped)
    np.testing.assert_allclose(dx[~dropped], kept * dy[~dropped], rtol=1e-6)
    tested_y = layer.forward(x)
    np.testing.assert_allclose(tested_y, tested * x, rtol=1e-6)
    assert y.dtype == dx.dtype == tested_y.dtype == dtype


@pytest.mark.parametrize("scale_at", ["test", "train"])
def test_a_test_pass_is_the_mean_training_pass(scale_at):
    layer = Dropout(0.3, rng=np.random.default_rng(0), scale_at=scale_at)
    x = np.arange(1.0, 7)[None]
    mean = np.mean([layer.forward(x, train=True) for _ in range(4000)], axis=0)
    np.testing.assert_allclose(mean, layer.forward(x), rtol=0.06)


def test_every_unit_of_every_image_is_drawn_anew():
    """Masks differ between images, units and passes; a testing pass draws nothing."""
    layer = Dropout(rng=np.random.default_rng(5))
    x = np.ones((6, 64))
    masks = []
    for _ in range(2):
        layer.forward(x)
        masks.append(layer.forward(x, train=True))
    rows = np.concatenate(masks)
    assert len({tuple(row) for row in rows}) == 12
    assert len({tuple(column) for column in rows.T}) == 64
    again = Dropout(rng=np.random.default_rng(5))
    np.testing.assert_array_equal([again.forward(x, train=True) for _ in range(2)], masks)


def test_masks_are_the_same_in_both_precisions():
    zeros = [
        Dropout(rng=np.random.default_rng(5)).forward(np.ones((4, 9), dtype), train=True) == 0
        for dtype in ("float32", "float64")
    ]
    np.testing.assert_array_equal(*zeros)


def test_nothing_is_dropped_with_p_0():
    x = np.arange(6.0).reshape(2, 3)
    for scale_at in ("test", "train"):
        layer = Dropout(0, scale_at=scale_at)
        np.testing.assert_array_equal(layer.forward(x, train=True), x)
        np.testing.assert_array_equal(layer.backward(x), x)
        np.testing.assert_array_equal(layer.forward(x), x)


@pytest.mark.parametrize("scale_at", ["test", "train"])
def test_gradients(rng, scale_at):
    check_layer(Dropout(0.4, rng=rng, scale_at=scale_at), rng.standard_normal((5, 7)))


@pytest.mark.parametrize("p", [-0.1, 1, 1.5, float("nan")])
def test_a_probability_below_1(p):
    with pytest.raises(UsageError, match=f"Dropout: got p={p}: expected a probability"):
        Dropout(p)


def test_an_unknown_scaling():
    with pytest.raises(UsageError, match=r"Dropout: got scale_at='both': expected 'test' \(the paper's\) or 'train'"):
        Dropout(scale_at="both")
