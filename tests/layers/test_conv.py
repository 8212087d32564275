"""Conv2D against the sum that defines it, and im2col against its transpose."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import oracles
from cases import DTYPES, LAYOUTS, assert_close, geometries, laid_out
from tinyalex import Conv2D, check_layer
from tinyalex.errors import DTypeError, ShapeError
from tinyalex.layers import conv
from tinyalex.window import Window

pytestmark = pytest.mark.usefixtures("kernels")


def integers(rng, *shape):
    """Small whole numbers: their sums of products are exact in float64, whatever the order of addition."""
    return rng.integers(-9, 10, shape).astype("float64")


def test_worked_by_hand():
    """A 3 x 4 image, a 2 x 3 kernel: neither mirrored nor transposed, and each output its own sum."""
    layer = Conv2D(1, 1, (2, 3), dtype="float64")
    layer.params["w"][:] = [[[[1, 2, 3], [4, 5, 6]]]]
    layer.params["b"][:] = 100
    x = np.array([[[[1.0, 0, 0, 0], [0, 0, 0, 1], [0, 2, 0, 0]]]])
    y = layer.forward(x, train=True)
    np.testing.assert_array_equal(y, [[[[101, 106], [110, 111]]]])
    dx = layer.backward(np.array([[[[1.0, 10], [0, 100]]]]))
    np.testing.assert_array_equal(dx, [[[[1, 12, 23, 30], [4, 145, 256, 360], [0, 400, 500, 600]]]])
    np.testing.assert_array_equal(layer.grads["w"], [[[[1, 0, 100], [200, 0, 10]]]])
    np.testing.assert_array_equal(layer.grads["b"], [111])


@given(
    case=geometries(),
    groups=st.integers(1, 3),
    channels=st.integers(1, 3),
    filters=st.integers(1, 3),
    dtype=DTYPES,
    layouts=st.tuples(LAYOUTS, LAYOUTS),
    part=st.sampled_from([1, 200, 1 << 20]),
    seed=st.integers(0, 99),
)
def test_is_its_definition(case, groups, channels, filters, dtype, layouts, part, seed):
    """All of y, dx, dw, db, for every geometry, order in memory and dtype, computed in one part or in several."""
    rng = np.random.default_rng(seed)
    layer = Conv2D(
        groups * channels,
        groups * filters,
        case.kernel,
        stride=case.stride,
        pad=case.pad,
        groups=groups,
        ceil_mode=case.ceil_mode,
        dtype=dtype,
    )
    for array in layer.params.values():
        array[...] = rng.standard_normal(array.shape)
    w, b = layer.params["w"], layer.params["b"]
    x = laid_out(rng.standard_normal((case.N, groups * channels, case.H, case.W)).astype(dtype), layouts[0])
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(conv, "PATCHES_IN_CACHE", part)
        patch.setattr("tinyalex.backend.cpu.direct.TILE", part)
        y = layer.forward(x, train=True)
        dy = laid_out(rng.standard_normal(y.shape).astype(dtype), layouts[1])
        dx = layer.backward(dy)
    assert_close(y, oracles.conv(x, w, b, case.sliding(), groups))
    expected = oracles.conv_backward(dy, x, w, case.sliding(), groups)
    for actual, right in zip((dx, layer.grads["w"], layer.grads["b"]), expected, strict=True):
        assert actual.dtype == dtype
        assert_close(actual, right)


@given(case=geometries(), channels=st.integers(1, 3), layout=LAYOUTS, seed=st.integers(0, 99))
def test_im2col_lays_out_rows_and_col2im_is_its_transpose(case, channels, layout, seed):
    """<im2col(x), c> = <x, col2im(c)>, exactly."""
    rng = np.random.default_rng(seed)
    window = Window(case.kernel, case.stride, case.pad, case.ceil_mode)
    x = laid_out(integers(rng, case.N, channels, case.H, case.W), layout)
    columns = conv.im2col(x, window)
    np.testing.assert_array_equal(columns, oracles.im2col(x, case.sliding()))
    c = laid_out(integers(rng, *columns.shape), layout)
    assert (columns * c).sum() == (x * conv.col2im(c, x.shape, window)).sum()


@given(case=geometries(), groups=st.integers(1, 2), seed=st.integers(0, 99))
def test_backward_is_the_transpose_of_forward(case, groups, seed):
    """The convolution is linear in x and in w: <y, dy> = <x, dx> = <w, dw>, exactly, and <b, db> for the biases."""
    rng = np.random.default_rng(seed)
    window = Window(case.kernel, case.stride, case.pad, case.ceil_mode)
    x, w = integers(rng, case.N, 2 * groups, case.H, case.W), integers(rng, 3 * groups, 2, *case.kernel)
    b, none = integers(rng, 3 * groups), np.zeros(3 * groups)
    y = conv.conv_forward(x, w, none, window, groups)
    dy = integers(rng, *y.shape)
    dx, dw, db = conv.conv_backward(dy, x, w, window, groups)
    assert (y * dy).sum() == (x * dx).sum() == (w * dw).sum()
    assert ((conv.conv_forward(x, w, b, window, groups) - y) * dy).sum() == (b * db).sum()


@pytest.mark.parametrize(
    "settings",
    [
        {"kernel_size": (2, 3), "stride": (2, 1), "pad": (0, 2)},
        {"kernel_size": (3, 2), "stride": (2, 3), "pad": 1, "groups": 2, "ceil_mode": True},
        {"kernel_size": 1, "stride": 2},
    ],
)
def test_gradients(rng, settings):
    """By the project's own check, and by central differences that owe nothing to it."""
    layer = Conv2D(4, 6, **settings, init_std=1.0, init_bias=0.5, rng=rng, dtype="float64")
    x = rng.standard_normal((2, 4, 5, 6))
    assert [one.name for one in check_layer(layer, x)] == ["x", "w", "b"]
    dy = rng.standard_normal(layer.forward(x, train=True).shape)
    dx = layer.backward(dy)
    for array, gradient in ((x, dx), (layer.params["w"], layer.grads["w"]), (layer.params["b"], layer.grads["b"])):
        numerical = oracles.slopes(lambda: float((layer.forward(x) * dy).sum()), array)
        np.testing.assert_allclose(gradient, numerical, rtol=1e-7, atol=1e-7)


def test_two_groups_are_two_halves_joined(rng):
    """Section 3.2: each half of the kernels sees its half of the maps."""
    whole = Conv2D(6, 8, (3, 2), stride=2, pad=1, groups=2, init_std=1.0, rng=rng, dtype="float64")
    whole.params["b"][:] = rng.standard_normal(8)
    x = rng.standard_normal((3, 6, 7, 8))
    y = whole.forward(x, train=True)
    dy = rng.standard_normal(y.shape)
    dx = whole.backward(dy)
    for maps_in, maps_out in ((slice(0, 3), slice(0, 4)), (slice(3, 6), slice(4, 8))):
        half = Conv2D(3, 4, (3, 2), stride=2, pad=1, dtype="float64")
        half.params = {"w": whole.params["w"][maps_out], "b": whole.params["b"][maps_out]}
        assert_close(half.forward(x[:, maps_in], train=True), y[:, maps_out])
        assert_close(half.backward(dy[:, maps_out]), dx[:, maps_in])
        for key in ("w", "b"):
            assert_close(half.grads[key], whole.grads[key][maps_out])


@pytest.mark.parametrize("size", [224, 227])
def test_first_layer_of_the_paper_gives_55(size):
    """The released code's rule; the pixels beyond the edge of a 224 image count as zeros, as in an image of 227."""
    rng = np.random.default_rng(0)
    layer = Conv2D(3, 8, 11, stride=4, ceil_mode=True, rng=rng)
    x = rng.standard_normal((1, 3, size, size), dtype="float32")
    y = layer.forward(x)
    assert y.shape == (1, 8, 55, 55)
    framed = np.zeros((1, 3, 227, 227), "float32")
    framed[:, :, :size, :size] = x
    assert_close(y, layer.forward(framed))


def test_input_gradient_can_be_left_out(rng):
    """What the first layer does in training; the other gradients are the same."""
    layer = Conv2D(4, 6, 3, groups=2, rng=rng)
    x = rng.standard_normal((2, 4, 5, 6), dtype="float32")
    dy = rng.standard_normal(layer.forward(x, train=True).shape, dtype="float32")
    layer.backward(dy)
    with_dx = layer.grads
    layer.forward(x, train=True)
    assert layer.backward(dy, input_gradient=False) is None
    for key in ("w", "b"):
        np.testing.assert_array_equal(layer.grads[key], with_dx[key])


def test_initial_parameters():
    """w ~ N(0, init_std**2), b = init_bias; the same weights for the same seed, whatever the dtype."""
    layers = {
        dtype: Conv2D(64, 64, 5, groups=2, init_std=0.03, init_bias=1, rng=np.random.default_rng(7), dtype=dtype)
        for dtype in ("float32", "float64")
    }
    for dtype, layer in layers.items():
        w, b = layer.params["w"], layer.params["b"]
        assert w.shape == (64, 32, 5, 5)
        assert (w.dtype, b.dtype) == (dtype, dtype)
        assert abs(w.mean()) < 0.0006  # 51,200 draws: 4 standard errors
        assert w.std() == pytest.approx(0.03, rel=0.02)
        assert 0.002 < (abs(w) > 0.09).mean() < 0.0035  # a normal distribution has 0.27 % beyond 3 sigma
        np.testing.assert_array_equal(b, np.ones(64))
        assert {key: grad.shape for key, grad in layer.grads.items()} == {"w": w.shape, "b": b.shape}
    np.testing.assert_array_equal(layers["float32"].params["w"], layers["float64"].params["w"])
    one, other = Conv2D(3, 4, 3), Conv2D(3, 4, 3)
    assert one.params["w"].std() == pytest.approx(0.01, rel=0.4)
    assert not np.array_equal(one.params["w"], other.params["w"])


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"groups": 2}, "Conv2D: got 3 channels, 4 kernels, 2 groups"),
        ({"groups": 3}, "Conv2D: got 3 channels, 4 kernels, 3 groups"),
        ({"groups": 0}, "0 groups: expected numbers of channels and kernels"),
        ({"stride": 0}, "stride=0: expected an int"),
        ({"stride": (1, 0)}, r"stride=\(1, 0\): expected"),
        ({"pad": -1}, "pad=-1: expected"),
        ({"kernel_size": 0}, "kernel_size=0: expected"),
        ({"out_channels": 0}, "Conv2D: got 3 channels, 0 kernels"),
    ],
)
def test_settings_that_make_no_sense(arguments, message):
    with pytest.raises(ShapeError, match=message):
        Conv2D(**{"in_channels": 3, "out_channels": 4, "kernel_size": 3, **arguments})


def test_inputs_that_do_not_fit():
    layer = Conv2D(3, 4, 3)
    with pytest.raises(ShapeError, match=r"Conv2D: got an input of shape \(1, 2, 5, 5\): expected \(N, C=3, H, W\)"):
        layer.forward(np.zeros((1, 2, 5, 5), "float32"))
    with pytest.raises(ShapeError, match=r"got an input of shape \(3, 5, 5\)"):
        layer.forward(np.zeros((3, 5, 5), "float32"))
    with pytest.raises(ShapeError, match="an image of 2 x 5: expected at least the window of 3 x 3"):
        layer.forward(np.zeros((1, 3, 2, 5), "float32"))
    with pytest.raises(DTypeError, match="got an input of float64: expected float32"):
        layer.forward(np.zeros((1, 3, 5, 5)))
    with pytest.raises(DTypeError, match="got an input of uint8: expected floats"):
        layer.forward(np.zeros((1, 3, 5, 5), "uint8"))
