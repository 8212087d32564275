"""The softmax and its cross-entropy, against decimal arithmetic."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import oracles
from cases import DTYPES, LAYOUTS, assert_close, laid_out
from tinyalex import SoftmaxCrossEntropy
from tinyalex.errors import DTypeError, LabelError, ShapeError
from tinyalex.layers.loss import softmax


def test_worked_by_hand():
    """Odds of 1 : 3, and of 1 : 1; the mean of log 4, log 4/3 and log 2."""
    logits = np.log([[1.0, 3], [1, 3], [5, 5]])
    labels = np.array([0, 1, 0])
    np.testing.assert_allclose(softmax(logits), [[0.25, 0.75], [0.25, 0.75], [0.5, 0.5]], rtol=1e-15)
    criterion = SoftmaxCrossEntropy()
    assert criterion.forward(logits, labels) == pytest.approx(math.log(4 * 4 / 3 * 2) / 3, rel=1e-15)
    expected = np.array([[-0.75, 0.75], [0.25, -0.25], [-0.5, 0.5]]) / 3
    np.testing.assert_allclose(criterion.backward(), expected, rtol=1e-14)


@given(
    N=st.integers(1, 5),
    K=st.integers(1, 6),
    spread=st.sampled_from([1.0, 30.0, 1e4]),
    shift=st.sampled_from([0.0, -1e4, 1e4]),
    dtype=DTYPES,
    label_dtype=st.sampled_from(["int64", "int32", "uint8"]),
    layout=LAYOUTS,
    seed=st.integers(0, 99),
)
def test_is_its_definition(N, K, spread, shift, dtype, label_dtype, layout, seed):
    """Finite and right for logits of 1e4, where exp alone overflows."""
    rng = np.random.default_rng(seed)
    logits = laid_out((shift + spread * rng.standard_normal((N, K))).astype(dtype), layout)
    labels = rng.integers(0, K, N).astype(label_dtype)
    before = logits.copy()
    criterion = SoftmaxCrossEntropy()
    loss, dlogits = criterion.forward(logits, labels), criterion.backward()
    expected_loss, expected_gradient = oracles.cross_entropy(logits, labels)
    assert isinstance(loss, float)
    assert loss == pytest.approx(expected_loss, rel=1e-6 if dtype == "float32" else 1e-12, abs=1e-6)
    assert dlogits.dtype == dtype
    assert_close(dlogits, expected_gradient)
    np.testing.assert_allclose(dlogits.sum(axis=1), 0, atol=1e-6)
    np.testing.assert_array_equal(logits, before)


def test_extreme_logits():
    """A sure right answer costs nothing, a sure wrong one 2e4 nats."""
    logits = np.array([[1e4, -1e4], [1e4, -1e4]], "float32")
    criterion = SoftmaxCrossEntropy()
    assert criterion.forward(logits, np.array([0, 1])) == 1e4
    np.testing.assert_array_equal(criterion.backward(), [[0, 0], [0.5, -0.5]])


def test_gradient_by_central_differences(rng):
    logits, labels = rng.standard_normal((4, 5)), np.array([4, 0, 2, 2])
    criterion = SoftmaxCrossEntropy()
    criterion.forward(logits, labels)
    dlogits = criterion.backward()
    numerical = oracles.slopes(lambda: criterion.forward(logits, labels), logits)
    np.testing.assert_allclose(dlogits, numerical, rtol=1e-7, atol=1e-9)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_softmax_rows_sum_to_one(rng, dtype):
    logits = (1e4 * rng.standard_normal((5, 1000))).astype(dtype)
    logits[0] = 7
    p = softmax(logits)
    assert p.dtype == dtype
    np.testing.assert_allclose(p.sum(axis=1), 1, rtol=1e-6)
    np.testing.assert_allclose(p[0], 0.001, rtol=1e-6)


@pytest.mark.parametrize(
    ("labels", "error", "message"),
    [
        ([0, 3], LabelError, r"got labels from 0 to 3: expected integers of 0 \.\.\. 2"),
        ([-1, 2], LabelError, r"got labels from -1 to 2: expected"),
        ([0.0, 1.0], LabelError, "got labels of float64: expected integers"),
        ([True, False], LabelError, "got labels of bool: expected integers"),
        ([0], ShapeError, r"shape \(2, 3\) and labels of shape \(1,\)"),
        ([[0], [1]], ShapeError, r"shape \(2, 3\) and labels of shape \(2, 1\)"),
        ([[1, 0, 0], [0, 1, 0]], ShapeError, r"labels of shape .*: expected \(N, K\) and \(N,\)"),
    ],
)
def test_labels_that_are_none(labels, error, message):
    with pytest.raises(error, match=message):
        SoftmaxCrossEntropy().forward(np.zeros((2, 3)), np.array(labels))


def test_logits_that_are_none():
    criterion = SoftmaxCrossEntropy()
    with pytest.raises(ShapeError, match=r"got logits of shape .*: expected \(N, K\)"):
        criterion.forward(np.zeros((2, 3, 1, 1)), np.array([0, 1]))
    with pytest.raises(
        DTypeError, match=r"got logits of int64: expected floats; convert them with logits.astype\('float32'\)"
    ):
        criterion.forward(np.zeros((2, 3), "int64"), np.array([0, 1]))
    with pytest.raises(DTypeError, match="expected a NumPy or CuPy array, got list"):
        criterion.forward(np.zeros((2, 3)), [0, 1])
    with pytest.raises(LabelError, match="got no labels"):
        criterion.forward(np.zeros((0, 3)), np.zeros(0, "int64"))


def test_backward_once_after_each_forward():
    criterion = SoftmaxCrossEntropy()
    with pytest.raises(RuntimeError, match=r"SoftmaxCrossEntropy.backward: call forward\(logits, labels\) first"):
        criterion.backward()
    criterion.forward(np.zeros((1, 2)), np.array([0]))
    criterion.forward(np.zeros((1, 2)), np.array([1]))
    np.testing.assert_array_equal(criterion.backward(), [[0.5, -0.5]])
    with pytest.raises(RuntimeError, match="first"):
        criterion.backward()
