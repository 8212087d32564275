"""The twins of the fully connected layer: a loop for a few images, BLAS for many, in any number of threads."""

import threading

import numpy as np
import pytest

from cases import assert_close
from tinyalex.backend import use_threads
from tinyalex.backend.cpu import linear

FEW = linear.FEW


@pytest.fixture(params=[1, 2, 3])
def threads(request, monkeypatch):
    """So many threads, however small the work."""
    monkeypatch.setattr(linear, "WORTH_A_THREAD", 0)
    with use_threads(request.param):
        yield request.param


def drawn(N, D, U, dtype):
    rng = np.random.default_rng(7)
    return tuple(rng.standard_normal(shape).astype(dtype) for shape in ((N, D), (U, D), (U,), (N, U)))


@pytest.mark.usefixtures("threads")
@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("U", [1, 3, 4, 6, 13])
def test_sums_by_einsum(dtype, U):
    """For an even and an odd number of images, few and many; for units and features that no block divides."""
    for N in (1, 2, 3, FEW, FEW + 1):
        for D in (1, 7, 67):
            x, w, b, dy = drawn(N, D, U, dtype)
            y = linear.linear_forward(x, w, b)
            assert y.dtype == dtype
            assert_close(y, np.einsum("nd,ud->nu", x, w) + b)
            dx, dw, db = linear.linear_backward(dy, x, w)
            assert_close(dx, np.einsum("nu,ud->nd", dy, w))
            assert_close(dw, np.einsum("nu,nd->ud", dy, x))
            assert_close(db, dy.sum(axis=0))


def test_an_image_gets_the_same_bits_in_any_company(threads):
    """Alone or among a few, in any place and any number of threads."""
    x, w, b, _ = drawn(FEW, 301, 11, "float32")
    together = linear.linear_forward(x, w, b)
    for n in range(FEW):
        np.testing.assert_array_equal(linear.linear_forward(x[n : n + 1], w, b)[0], together[n])
    with use_threads(threads + 1):
        np.testing.assert_array_equal(linear.linear_forward(x[:5], w, b), together[:5])


def test_the_same_bits_for_the_same_row():
    """Every unit is summed in the same order, the last ones of a share too."""
    x, w, b, _ = drawn(3, 301, 1, "float32")
    y = linear.linear_forward(x, np.repeat(w, 7, axis=0), np.repeat(b, 7))
    np.testing.assert_array_equal(y, np.repeat(y[:, :1], 7, axis=1))


@pytest.mark.parametrize("N", [1, 4, FEW + 3])
def test_any_order_in_memory(N):
    x, w, b, _ = drawn(N, 29, 6, "float64")
    expected = x @ w.T + b
    for one in (x, np.asfortranarray(x), np.repeat(x, 2, axis=1)[:, ::2]):
        for other in (w, np.asfortranarray(w), w[::-1].copy()[::-1]):
            assert_close(linear.linear_forward(one, other, np.repeat(b, 2)[::2]), expected)


def test_rounding_is_that_of_float32():
    """The paper's fc6: partial sums side by side round less than one sum after the other."""
    x, w, b, _ = drawn(2, 9216, 8, "float32")
    exact = x.astype(float) @ w.astype(float).T + b
    error = np.linalg.norm(linear.linear_forward(x, w, b) - exact) / np.linalg.norm(exact)
    assert error < 5e-7  # BLAS: 4e-7; one sum after the other: 2e-6


def test_nan_and_infinity():
    """A NaN stays in its image, and infinity minus infinity is a NaN."""
    x, w, b, _ = drawn(3, 40, 5, "float32")
    clean = linear.linear_forward(x, w, b)
    x[1, 17] = np.nan
    y = linear.linear_forward(x, w, b)
    assert np.isnan(y[1]).all()
    np.testing.assert_array_equal(y[[0, 2]], clean[[0, 2]])
    x[1, 17], w[3, 2:4], x[:, 2:4] = 0, (np.inf, -np.inf), 1
    y = linear.linear_forward(x, w, b)
    assert np.isnan(y[:, 3]).all()
    assert np.isfinite(np.delete(y, 3, axis=1)).all()


def test_few_images_have_the_loop_and_many_have_blas(monkeypatch):
    called = []
    monkeypatch.setattr(linear, "_few_images_compiled", lambda *arguments: called.append(len(arguments[2])))
    for N in (1, FEW, FEW + 1):
        linear.linear_forward(*drawn(N, 3, 2, "float32")[:3])
    assert called == [1, FEW]


@pytest.mark.parametrize(("N", "D", "U", "shared"), [(1, 64, 99, False), (1, 9216, 4096, True), (128, 64, 10, False)])
def test_small_work_wakes_no_thread(monkeypatch, N, D, U, shared):
    """Only the calling thread computes: to wake another would take longer."""
    callers = set()
    monkeypatch.setattr(linear, "_few_images_compiled", lambda *_: callers.add(threading.current_thread()))
    monkeypatch.setattr(np, "matmul", lambda *_, **__: callers.add(threading.current_thread()))
    x, w, b, dy = (np.zeros(shape, "float32") for shape in ((N, D), (U, D), U, (N, U)))
    with use_threads(2):
        linear.linear_forward(x, w, b)
        linear.linear_backward(dy, x, w)
    assert (len(callers) > 1) == shared


@pytest.mark.usefixtures("threads")
def test_no_images_and_no_arguments_changed():
    x, w, b, dy = drawn(0, 5, 4, "float32")
    assert linear.linear_forward(x, w, b).shape == (0, 4)
    assert not linear.linear_backward(dy, x, w)[1].any()
    arguments = drawn(3, 5, 4, "float32")
    before = [array.copy() for array in arguments]
    linear.linear_forward(*arguments[:3])
    linear.linear_backward(arguments[3], *arguments[:2])
    for array, right in zip(arguments, before, strict=True):
        np.testing.assert_array_equal(array, right)
