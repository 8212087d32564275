"""The twins for CuPy's arrays against the definitions that a student reads, on the stand-in and on a GPU.

The stand-in runs the very source of the kernels on the processor, a thread of the grid at a time.
"""

import dataclasses
import gc

import numpy as np
import pytest

import standin
from cases import assert_close, laid_out
from tinyalex import SGD, AlexNet
from tinyalex.backend import gpu as twins
from tinyalex.backend import to_device, to_numpy, use_kernels
from tinyalex.backend.gpu import launch, memory, patches
from tinyalex.backend.gpu.products import compute_type, multiply
from tinyalex.errors import ShapeError
from tinyalex.layers import pool
from tinyalex.spec import Conv, Full, variant
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


@pytest.mark.parametrize("room", [1, 10_000, 20_000])
def test_any_number_of_images_at_a_time(monkeypatch, room):
    """Patches of one image, of some, and of a last few."""
    monkeypatch.setattr(memory, "WORKSPACE", room)
    twins_agree("float64", 7, *WINDOWS["non-square, past the edge"], groups=2)


@pytest.mark.parametrize(
    "settings",
    [
        {"channels": 1},
        {"groups": 3, "channels": 1, "size": 2},
        {"channels": 2, "size": 7},  # the window is wider than the maps
        {"channels": 9, "size": 4, "beta": 0.6},
        {"channels": 300, "size": 1, "beta": 1.0},  # more than a block has threads
        {"channels": 4, "groups": 2},
        {"channels": 6, "groups": 2},  # all channels divide by 4, those of a group do not
        {"channels": 8, "size": 3},
        {"channels": 1040, "size": 6},  # and so do the loads of 4
    ],
    ids=str,
)
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_few_channels_many_and_other_norms(dtype, settings):
    twins_agree(dtype, 2, *WINDOWS["gaps between windows"], **settings)


STEPS_OVER_PIXELS = Window((2, 2), (5, 7), (0, 0), False)
WIDE = Window((3, 3), (1, 2), (1, 1), True)


@pytest.mark.parametrize("window", [STEPS_OVER_PIXELS, WIDE], ids=["stride above size", "overlapping"])
@pytest.mark.parametrize("channels", [1, 3, 4, 8])
def test_larger_images(window, channels):
    """Lines of more pixels than a block takes at once, and more runs of maps than a block."""
    twins_agree("float32", 3, window, 13, 70, channels=channels, groups=2)


@pytest.mark.parametrize("kernels", [3, 6, 8])
@pytest.mark.parametrize("room", [1, 30_000, 1 << 28])
def test_kernels_that_do_not_divide_by_4(monkeypatch, kernels, room):
    """In one group, of which patches are laid out for one image, for some, and for all."""
    monkeypatch.setattr(memory, "WORKSPACE", room)
    rng, window = np.random.default_rng(0), Window((3, 3), (2, 1), (1, 0), False)
    x, w, b = (rng.standard_normal(shape) for shape in ((5, 3, 9, 11), (kernels, 3, 3, 3), (kernels,)))
    with use_kernels("reference"):
        y = DEFINITIONS["conv_forward"](x, w, b, window, 1)
        expected = y, *DEFINITIONS["conv_backward"](y, x, w, window, 1)
    x, w, b, dy = moved([x, w, b, y])
    found = twins.conv_forward(x, w, b, window, 1), *twins.conv_backward(dy, x, w, window, 1)
    for actual, right in zip(found, expected, strict=True):
        assert_close(to_numpy(actual), right)


@pytest.mark.parametrize("channels", [3, 4])
def test_only_windows_that_see_a_nan_are_nan(channels):
    """Also those of rows that are longer than a window, which would multiply the pixels behind it by 0."""
    window, x = Window((3, 3), (2, 2), (1, 1), False), np.ones((2, channels, 9, 9), "float32")
    x[0, :, 4, 5] = np.nan
    w, b = np.ones((4, channels, 3, 3), "float32"), np.zeros(4, "float32")
    y = to_numpy(twins.conv_forward(*moved([x, w, b]), window, 1))
    seen = np.zeros(y.shape, bool)
    seen[0, :, 2, 2:4] = True  # lines 3 to 5, pixels 3 to 5 and 5 to 7
    np.testing.assert_array_equal(np.isnan(y), seen)


@pytest.mark.parametrize("channels", [3, 4])
def test_the_first_of_equals(channels):
    """Four values over and over: the first of the largest cells gets the gradient."""
    window, rng = Window((3, 3), (2, 2), (1, 1), True), np.random.default_rng(0)
    x = rng.integers(0, 4, (2, channels, 10, 9)).astype("float32")
    with use_kernels("reference"):
        y, argmax = pool.max_pool_forward(x, window)
        dx = pool.max_pool_backward(y, argmax, x.shape, window)
    found = twins.max_pool_forward(*moved([x]), window)
    for actual, right in zip(found, (y, argmax), strict=True):
        np.testing.assert_array_equal(to_numpy(actual), right)
    np.testing.assert_array_equal(to_numpy(twins.max_pool_backward(*found, x.shape, window)), dx)


def test_gradients_that_are_nan_stay_where_they_belong():
    """A NaN reaches the pixel that was the largest, and no other that the same window sees."""
    window = Window((3, 3), (2, 2), (0, 0), False)
    x = np.arange(2 * 4 * 7 * 7, dtype="float32").reshape(2, 4, 7, 7)  # the last cell wins
    y, argmax = twins.max_pool_forward(*moved([x]), window)
    dy = np.full(y.shape, np.nan, "float32")
    dx = to_numpy(twins.max_pool_backward(*moved([dy]), argmax, x.shape, window))
    assert np.isnan(dx[:, :, 2::2, 2::2]).all()
    assert np.isnan(dx).sum() == dy.size


@pytest.mark.parametrize("name", ["lrn_forward", "lrn_backward"])
def test_more_maps_than_fit_in_shared_memory(name):
    x = np.ones((1, 20_000, 1, 1), "float32")
    arrays = moved([x] * (1 + name.endswith("backward")))
    with pytest.raises(ShapeError, match=f"{name}: got 20000 maps in a group: expected what fits in 49152 bytes; set"):
        getattr(twins, name)(*arrays, 5, 1e-4, 0.75, 2.0, 1)


def test_arrays_where_4_numbers_cannot_be_loaded_at_once(gpu):
    """They are copied; those that begin at any multiple of 4 numbers are not."""
    numbers = gpu.cupy.arange(2 * 3 * 3 * 4 + 8).astype("float32")
    assert numbers.data.ptr % 16 == 0
    for first in (1, 4):
        images = numbers[first : first + 72].reshape(2, 3, 3, 4)
        last = launch.channels_last(images.transpose(0, 3, 1, 2))
        assert (last.data.ptr == images.data.ptr) == (first == 4)
        assert last.data.ptr % 16 == 0
        np.testing.assert_array_equal(to_numpy(last), to_numpy(images))


# ---------------------------------------------------------------- sums, products and updates


@pytest.mark.parametrize("rows", [1, 511, 513, 1500, 2048, 2049, 5000])
def test_sums_of_few_rows_and_of_many(rows):
    dy = np.random.default_rng(rows).standard_normal((rows, 3))
    found = twins.linear_backward(*moved([dy, np.ones((rows, 1)), np.ones((3, 1))]))[2]
    np.testing.assert_allclose(to_numpy(found), dy.sum(axis=0), rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("sizes", [(1, 5, 4, 3), (2, 1, 4, 3), (2, 5, 1, 3), (2, 5, 4, 1), (3, 1, 1, 1), (2, 5, 0, 3)])
@pytest.mark.parametrize("flipped", [(False, False), (True, False), (False, True), (True, True)])
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_products_of_all_groups(dtype, flipped, sizes):
    """Of matrices in rows and in columns, into a part of the rows of a larger array, and added to what is there."""
    groups, M, K, N = sizes
    rng = np.random.default_rng(0)
    a, b = rng.standard_normal((groups, M, K)).astype(dtype), rng.standard_normal((groups, K, N)).astype(dtype)
    on_gpu = [
        moved([one.swapaxes(1, 2).copy()])[0].swapaxes(1, 2) if flip else moved([one])[0]
        for one, flip in zip((a, b), flipped, strict=True)
    ]
    whole = moved([np.ones((M, groups, N), dtype)])[0]
    out = whole.transpose(1, 0, 2)  # group by group, side by side in each row
    multiply(*on_gpu, out, add=True)
    assert_close(to_numpy(whole), 1 + (a @ b).transpose(1, 0, 2))
    if K:
        multiply(*on_gpu, out)
        assert_close(to_numpy(whole), (a @ b).transpose(1, 0, 2))


def test_products_that_cublas_does_not_take(gpu):
    spread, rows = gpu.cupy.zeros((1, 6, 6))[:, ::2, ::2], gpu.cupy.zeros((1, 3, 3))
    with pytest.raises(ValueError, match=r"got strides \(288, 96, 16\): expected contiguous rows or columns"):
        multiply(spread, rows, rows.copy())
    with pytest.raises(ValueError, match=r"out has strides \(72, 8, 24\): expected contiguous rows"):
        multiply(rows, rows, rows.copy().swapaxes(1, 2))


@pytest.mark.parametrize(("asked", "expected"), [(None, 68), ("0", 68), ("1", 77)])
def test_tf32_only_where_cupy_uses_it(gpu, monkeypatch, asked, expected):
    monkeypatch.delenv("CUPY_TF32", raising=False)
    if asked:
        monkeypatch.setenv("CUPY_TF32", asked)
    assert compute_type(gpu.cupy.cuda.cublas, "float32") == expected
    assert compute_type(gpu.cupy.cuda.cublas, "float64") == 70


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_all_parameters_in_one_update(dtype):
    """More than one launch takes, of all sizes, one of another order in memory, each with a rate of its own."""
    rng, count = np.random.default_rng(0), launch.PARAMETERS + 3
    shapes = [(1 + size, 1 + size % 3) for size in range(count - 1)] + [(300, 1000)]
    ws, vs, gs = ([rng.standard_normal(shape).astype(dtype) for shape in shapes] for _ in range(3))
    lrs, decays = rng.random(count).tolist(), rng.random(count).tolist()
    on_gpu = [moved(arrays) for arrays in (ws, vs, gs)]
    on_gpu[2][7] = moved([np.ascontiguousarray(gs[7].T)])[0].T
    assert not on_gpu[2][7].flags.c_contiguous
    twins.sgd_update_all(*on_gpu, lrs, 0.9, decays)
    with use_kernels("reference"):
        for one in zip(ws, vs, gs, lrs, [0.9] * count, decays, strict=True):
            DEFINITIONS["sgd_update"](*one)
    for found, right in zip([*on_gpu[0], *on_gpu[1]], [*ws, *vs], strict=True):
        assert_close(to_numpy(found), right)


# ---------------------------------------------------------------- memory and launches


def test_a_stream_keeps_the_memory_of_its_patches(gpu, monkeypatch):
    """One piece for all convolutions, and another for another stream, which is given up with the stream."""
    monkeypatch.setattr(memory, "WORKSPACE", 1 << 12)
    cuda, float32 = gpu.cupy.cuda, np.dtype("float32")
    first = patches.kept(100, float32).data.ptr
    assert patches.kept(60, float32).data.ptr == first
    grown = patches.kept(2000, float32)
    assert grown.size == patches.kept(100, float32).size == 2000
    stream = cuda.Stream(non_blocking=True)
    with stream:
        other = patches.kept(100, float32).data.ptr
        assert other != grown.data.ptr
        assert patches.kept(100, float32).data.ptr == other
    assert patches.kept(100, float32).data.ptr == grown.data.ptr
    assert len(patches._kept) == 2
    if gpu.is_standin:
        standin.cuda.streams.remove(stream)
    del stream
    gc.collect()
    assert len(patches._kept) == 1


def narrow(name):
    """The net with an eighth of its kernels and units."""
    net = variant(name)
    layers = {
        key: dataclasses.replace(layer, kernels=layer.kernels // 8)
        if isinstance(layer, Conv)
        else dataclasses.replace(layer, units=layer.units and layer.units // 8)
        if isinstance(layer, Full)
        else layer
        for key, layer in net.layers.items()
    }
    return dataclasses.replace(net, layers=layers)


@pytest.mark.parametrize(("name", "size"), [("paper", 99), ("mini", 32)])
def test_cupy_copies_no_operand_in_silence(gpu, name, size):
    if not gpu.is_standin:
        pytest.skip("only the stand-in counts copies")
    spec = dataclasses.replace(narrow(name), input_size=size)
    net = AlexNet(spec, num_classes=10, devices=("cuda:0",))
    x = np.random.default_rng(0).standard_normal((2, 3, size, size), dtype="float32")
    for _ in range(2):
        net.loss(x, np.array([1, 2]), train=True)
        net.backward(net.criterion.backward(), input_gradient=False)
        SGD(net).step()
    assert standin.COPIES == []
    gpu.cupy.matmul(gpu.cupy.zeros((4, 4))[:, :2], gpu.cupy.zeros((2, 3)))
    assert standin.COPIES == [(4, 2)]


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
