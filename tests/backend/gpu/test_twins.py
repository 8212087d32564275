"""The twins for CuPy's arrays against the definitions that a student reads, on the stand-in and on a GPU.

The stand-in runs the very source of the kernels on the processor, a thread of the grid at a time.
"""

import numpy as np
import pytest

from cases import assert_close, laid_out
from tinyalex.backend import to_device, to_numpy, use_kernels
from tinyalex.backend.gpu import launch, twins
from tinyalex.layers import pool
from tinyalex.window import Window
from twins import DEFINITIONS, WINDOWS, calls, outcome

pytestmark = pytest.mark.usefixtures("gpu")


def moved(arguments, layout=None):
    """The arguments with their arrays on the GPU, in any order of memory."""
    return [
        to_device(laid_out(arg, layout) if layout and arg.ndim > 1 and arg.dtype.kind == "f" else arg, "cuda:0")
        if isinstance(arg, np.ndarray)
        else arg
        for arg in arguments
    ]


def twins_agree(dtype, *case, layout=None, **settings):
    for name, arguments in calls(dtype, *case, **settings):
        with use_kernels("reference"):
            expected = outcome(DEFINITIONS[name], arguments)
        on_gpu = moved(arguments, layout)
        found = getattr(twins, name)(*on_gpu)
        if found is None:
            found = [arg for arg in on_gpu if hasattr(arg, "get")]
        found = found if isinstance(found, tuple | list) else [found]
        for actual, right in zip(found, expected, strict=True):
            if right is None:
                assert actual is None
            else:
                assert actual.dtype == right.dtype, name
                assert_close(to_numpy(actual).astype(dtype), right)


@pytest.mark.parametrize("window", list(WINDOWS))
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_twins_agree_with_their_definitions(dtype, window):
    twins_agree(dtype, 4, *WINDOWS[window], groups=2)


@pytest.mark.parametrize("layout", ["channels-first", "channels-last", "reversed axes", "every second"])
def test_any_order_in_memory(layout):
    twins_agree("float64", 3, *WINDOWS["non-square, past the edge"], layout=layout, groups=2)


@pytest.mark.parametrize("memory", [1, 10_000, 20_000])
def test_any_number_of_images_at_a_time(monkeypatch, memory):
    """Columns of one image, of some, and of a last few."""
    monkeypatch.setattr(twins, "WORKSPACE", memory)
    twins_agree("float64", 7, *WINDOWS["non-square, past the edge"], groups=2)


@pytest.mark.parametrize(
    "settings",
    [
        {"channels": 1},
        {"groups": 3, "channels": 1, "size": 2},
        {"channels": 2, "size": 7},  # the window is wider than the maps
        {"channels": 9, "size": 4, "beta": 0.6},
        {"channels": 300, "size": 1, "beta": 1.0},  # more than a block has threads
    ],
    ids=str,
)
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_few_channels_many_and_other_norms(dtype, settings):
    twins_agree(dtype, 2, *WINDOWS["gaps between windows"], **settings)


@pytest.mark.parametrize("rows", [1, 511, 513, 1500])
def test_sums_of_few_rows_and_of_many(rows):
    dy = np.random.default_rng(rows).standard_normal((rows, 3))
    found = twins.linear_backward(*moved([dy, np.ones((rows, 1)), np.ones((3, 1))]))[2]
    np.testing.assert_allclose(to_numpy(found), dy.sum(axis=0), rtol=1e-12, atol=1e-12)


def test_more_numbers_than_threads():
    """The threads come round again for what is left."""
    x = np.random.default_rng(0).standard_normal(launch.THREADS * launch.BLOCKS + 77).astype("float32")
    np.testing.assert_array_equal(to_numpy(twins.relu_forward(*moved([x]))), np.maximum(x, 0))


def test_wide_rows_of_the_softmax():
    logits = 30 * np.random.default_rng(0).standard_normal((3, 1000))
    exps = np.exp(logits - logits.max(axis=1, keepdims=True))
    assert_close(to_numpy(twins.softmax(*moved([logits]))), exps / exps.sum(axis=1, keepdims=True))


def test_nan_and_infinity():
    """NaN does not vanish: else a training that has gone wrong would look as if it went on."""
    x = np.array([[1.0, np.nan, -2.0], [np.nan, -np.inf, np.inf], [0.5, -0.5, 0.0]], "float32")
    np.testing.assert_array_equal(to_numpy(twins.relu_forward(*moved([x]))), np.maximum(x, 0))
    p = to_numpy(twins.softmax(*moved([x])))
    assert np.isnan(p[:2]).all()
    assert np.isfinite(p[2]).all()
    rng = np.random.default_rng(0)
    x = rng.choice([np.nan, np.inf, -np.inf, 0.0, 1.0], (3, 4, 9, 8), p=[0.1, 0.1, 0.5, 0.1, 0.2]).astype("float32")
    window = Window((2, 3), (1, 2), (1, 2), True)
    with use_kernels("reference"):
        expected = pool.max_pool_forward(x, window)
    for found, right in zip(twins.max_pool_forward(*moved([x]), window), expected, strict=True):
        np.testing.assert_array_equal(to_numpy(found), right)


def test_pooling_over_more_cells_than_a_byte_counts():
    window = Window((17, 16), (9, 7), (0, 0), False)
    x, rng = np.random.default_rng(0).standard_normal((2, 3, 40, 33)), np.random.default_rng(1)
    with use_kernels("reference"):
        y, argmax = pool.max_pool_forward(x, window)
        dy = rng.standard_normal(y.shape)
        dx = pool.max_pool_backward(dy, argmax, x.shape, window)
    found = twins.max_pool_forward(*moved([x]), window)
    assert found[1].dtype == argmax.dtype == "int32"
    np.testing.assert_array_equal(to_numpy(found[1]), argmax)
    assert_close(to_numpy(twins.max_pool_backward(*moved([dy]), found[1], x.shape, window)), dx)


def test_no_images():
    """None in, none out, and gradients of zero."""
    window = Window((3, 3), (1, 1), (1, 1), False)
    x, w, b = moved([np.zeros((0, 2, 5, 5)), np.ones((4, 2, 3, 3)), np.ones(4)])
    y = twins.conv_forward(x, w, b, window, 1)
    assert y.shape == (0, 4, 5, 5)
    dx, dw, db = twins.conv_backward(y, x, w, window, 1)
    assert dx.shape == x.shape
    assert not to_numpy(dw).any()
    assert not to_numpy(db).any()


def test_the_same_bits_on_every_run():
    for name, arguments in calls("float32", 5, *WINDOWS["the paper's conv2"], groups=2, channels=8):
        runs = set()
        for _ in range(3):
            on_gpu = moved(arguments)
            found = getattr(twins, name)(*on_gpu)
            found = on_gpu if found is None else found
            found = found if isinstance(found, tuple | list) else [found]
            runs.add(b"".join(to_numpy(array).tobytes() for array in found if hasattr(array, "get")))
        assert len(runs) == 1, name


def test_a_kernel_for_each_dtype_and_no_more(gpu):
    """They are compiled when they are called, and once."""
    assert launch.module.cache_info().currsize == 0
    for dtype in ("float32", "float32", "float64"):
        twins.relu_forward(gpu.cupy.zeros((2, 3), dtype))
    assert launch.module.cache_info().currsize == 2
