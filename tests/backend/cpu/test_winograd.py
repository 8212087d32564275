"""Winograd's convolution against the direct sum, and when it is chosen."""

import numpy as np
import pytest

from cases import assert_close
from tinyalex import spec
from tinyalex.backend import use_kernels
from tinyalex.backend.cpu import conv, registers, winograd
from tinyalex.count import count
from tinyalex.layers import conv as definition
from tinyalex.window import Window

# name: window, H, W, channels of a group, groups, kernels of a group
CASES = {
    "3x3, as in the paper": (Window((3, 3), (1, 1), (1, 1), False), 13, 13, 3, 2, 2),
    "3x3, non-square, no pad": (Window((3, 3), (1, 1), (0, 0), False), 9, 14, 2, 1, 3),
    "3x3, wide pad": (Window((3, 3), (1, 1), (2, 1), False), 4, 5, 2, 1, 1),
    "3x3, one output": (Window((3, 3), (1, 1), (0, 0), False), 3, 3, 1, 1, 1),
    "5x5, as in the paper": (Window((5, 5), (1, 1), (2, 2), False), 27, 27, 2, 2, 3),
    "5x5, non-square": (Window((5, 5), (1, 1), (0, 3), False), 7, 12, 3, 1, 2),
    "11x11, stride 4, past the edge": (Window((11, 11), (4, 4), (0, 0), True), 40, 31, 3, 1, 2),
    "11x11, stride 4, padded": (Window((11, 11), (4, 4), (2, 2), False), 31, 44, 1, 1, 2),
    "6x6, stride 2": (Window((6, 6), (2, 2), (1, 2), False), 10, 13, 2, 1, 2),
    "9x9, stride 2": (Window((9, 9), (2, 2), (0, 0), False), 12, 14, 2, 1, 2),
    "11x11, stride 4, pixels that no kernel sees": (Window((11, 11), (4, 4), (0, 0), False), 34, 33, 2, 1, 2),
}


@pytest.fixture(autouse=True)
def _any_size_will_do(monkeypatch):
    """Choose Winograd wherever it is possible, even where it is slower."""
    monkeypatch.setattr(winograd, "FEWEST_MAPS", 1)
    monkeypatch.setattr(winograd, "KERNEL_COST", -1e9)


def arrays(name, N, dtype):
    window, H, W, C, groups, OC = CASES[name]
    rng = np.random.default_rng(3)

    def draw(*shape):
        return rng.standard_normal(shape).astype(dtype)

    x, w, b = draw(N, groups * C, H, W), draw(groups * OC, C, *window.kernel), draw(groups * OC)
    return x, w, b, draw(N, groups * OC, *window.output_size(H, W)), window, groups


def agrees(name, N, dtype, tolerance):
    """All directions within `tolerance` of the definition in float64, norm over norm."""
    x, w, b, dy, window, groups = arrays(name, N, dtype)
    assert winograd.plan(x.transpose(0, 2, 3, 1).shape, w.shape, window, groups)
    wide = [array.astype("float64") for array in (x, w, b, dy)]
    with use_kernels("reference"):
        y = definition.conv_forward(*wide[:3], window, groups)
        gradients = definition.conv_backward(wide[3], *wide[:2], window, groups)
    found = [
        conv.conv_forward(x, w, b, window, groups),
        conv.conv_forward(x, w, b, window, groups, relu=True),
        *conv.conv_backward(dy, x, w, window, groups),
        *conv.conv_backward(dy, x, w, window, groups, input_gradient=False)[1:],
    ]
    for actual, expected in zip(found, [y, np.maximum(y, 0), *gradients, *gradients[1:]], strict=True):
        assert actual.dtype == dtype
        assert actual.shape == expected.shape
        assert np.linalg.norm(actual - expected) <= tolerance * np.linalg.norm(expected)
    assert conv.conv_backward(dy, x, w, window, groups, input_gradient=False)[0] is None


@pytest.mark.parametrize("name", list(CASES))
@pytest.mark.parametrize(("dtype", "tolerance"), [("float64", 1e-13), ("float32", 1e-5)])
def test_all_directions_agree_with_the_definition(name, dtype, tolerance):
    agrees(name, 3, dtype, tolerance)


@pytest.mark.parametrize("n", winograd.SIZES)
@pytest.mark.parametrize("name", ["3x3, non-square, no pad", "5x5, non-square", "11x11, stride 4, past the edge"])
def test_every_number_of_points(monkeypatch, name, n):
    monkeypatch.setattr(winograd, "SIZES", (n,))
    agrees(name, 2, "float64", 1e-13)


@pytest.mark.parametrize("threads", [1, 2, 3])
@pytest.mark.parametrize("rows", [1, 20, 1000])
@pytest.mark.parametrize("product", [1, 1 << 18])
def test_however_it_is_cut_up(monkeypatch, threads, rows, product):
    """With one image at a time or several, a smaller last part, and products added for one point or for all at once."""
    monkeypatch.setenv("TINYALEX_THREADS", str(threads))
    monkeypatch.setattr(winograd, "ROWS", rows)
    monkeypatch.setattr(winograd, "PRODUCT", product)
    agrees("3x3, as in the paper", 7, "float64", 1e-13)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize(("N", "groups", "C", "OC"), [(3, 1, 32, 64), (1, 2, 64, 32), (2, 3, 32, 40), (4, 1, 24, 32)])
def test_products_in_registers(monkeypatch, dtype, N, groups, C, OC):
    """Several panels and groups, panels for one direction only, and blocks whose last one overlaps."""
    monkeypatch.setenv("TINYALEX_THREADS", "1")  # all tiles, two an image, in one product
    monkeypatch.setattr(winograd, "LONG_ROW", 24)
    monkeypatch.setitem(CASES, "maps", (Window((3, 3), (1, 1), (1, 0), False), 9, 7, C, groups, OC))
    called = []
    monkeypatch.setattr(winograd, "multiply", lambda *args: called.append(args[1].shape) or registers.multiply(*args))
    agrees("maps", N, dtype, 1e-13 if dtype == "float64" else 1e-5)
    width = registers.panel_width(np.dtype(dtype))
    by_panels = {"y": OC % width == 0, "x": C % width == 0}
    assert {"y": C in [shape[2] for shape in called], "x": OC in [shape[2] for shape in called]} == by_panels


@pytest.mark.parametrize(
    ("maps_in", "maps_out", "size", "kernel", "pad"), [(256, 384, 13, 3, 1), (48, 128, 27, 5, 2), (3, 96, 224, 11, 0)]
)
def test_precise_enough_for_float32_at_full_size(maps_in, maps_out, size, kernel, pad):
    """Within 1e-5 of float64 with the paper's numbers of channels, forward and backward (5e-6 was measured)."""
    rng = np.random.default_rng(0)
    stride = (4, 4) if kernel == 11 else (1, 1)
    window = Window((kernel, kernel), stride, (pad, pad), True)
    OH, OW = window.output_size(size, size)
    x = rng.standard_normal((2, maps_in, size, size), dtype="float32")
    w = rng.standard_normal((maps_out, maps_in, kernel, kernel), dtype="float32")
    b, dy = np.zeros(maps_out, "float32"), rng.standard_normal((2, maps_out, OH, OW), dtype="float32")
    wide = [array.astype("float64") for array in (x, w, b, dy)]
    with use_kernels("reference"):
        expected = [
            definition.conv_forward(*wide[:3], window, 1),
            *definition.conv_backward(wide[3], *wide[:2], window, 1),
        ]
    found = [conv.conv_forward(x, w, b, window, 1), *conv.conv_backward(dy, x, w, window, 1)]
    for actual, right in zip(found, expected, strict=True):
        assert np.linalg.norm(actual - right) <= 1e-5 * np.linalg.norm(right)


@pytest.mark.parametrize(("m", "r"), [(4, 3), (5, 3), (6, 3), (2, 5), (3, 5), (4, 5)])
def test_matrices_multiply_polynomials(m, r):
    """y = A' [(G w) * (B' d)] is the correlation of d with w, along one axis, and G x G its kernels' in two."""
    matrices = winograd.transforms(m, r, "float64")
    n = m + r - 1
    rng = np.random.default_rng(1)
    d, w = rng.standard_normal(n), rng.standard_normal(r)
    G = matrices.kernel.reshape(n, n, r, r)[:, -1, :, -1]  # the last row of G is (0, ..., 0, its scale)
    scale = np.sqrt(matrices.kernel[-1, -1])
    y = matrices.outputs[:, :n] @ ((G / scale @ w) * (matrices.to_points[:, :n] @ d))
    assert_close(y, np.correlate(d, w, "valid"))
    np.testing.assert_array_equal(matrices.from_points[:, :n], matrices.to_points[:, :n].T)
    np.testing.assert_array_equal(matrices.of_outputs[:, :m], matrices.outputs[:, :n].T)
    for matrix, width in ((matrices.outputs, n), (matrices.of_outputs, m), (matrices.to_points, n)):
        assert not matrix[:, width:].any()


def test_nan_stays_in_its_image():
    x, w, b, dy, window, groups = arrays("3x3, as in the paper", 3, "float32")
    x[1, 0, 5, 5] = dy[1, 0, 5, 5] = np.nan
    y = conv.conv_forward(x, w, b, window, groups)
    rectified = conv.conv_forward(x, w, b, window, groups, relu=True)
    dx, _, _ = conv.conv_backward(dy, x, w, window, groups)
    for array in (y, rectified, dx):
        assert [bool(np.isnan(image).any()) for image in array] == [False, True, False]


class TestWhenItPays:
    @pytest.fixture(autouse=True)
    def _as_it_is(self, monkeypatch):
        monkeypatch.undo()

    @pytest.mark.parametrize(
        ("variant", "expected"),
        [  # of each convolution: kernel once the stride is taken out, outputs of a tile, tiles
            ("paper", [(3, 5, 11), (5, 4, 7), (3, 5, 3), (3, 5, 3), (3, 5, 3)]),
            ("torchvision", [(3, 5, 11), (5, 4, 7), (3, 5, 3), (3, 5, 3), (3, 5, 3)]),
            ("mini", [None, (5, 4, 4), (3, 4, 2), (3, 4, 2), (3, 4, 2)]),  # conv1 sees 3 channels
        ],
    )
    def test_which_layers(self, variant, expected):
        found = []
        for row in count(spec.variant(variant), 10):
            if isinstance(row.layer, spec.Conv):
                C, H, W = row.in_shape
                layer = row.layer
                window = Window((layer.size,) * 2, (layer.stride,) * 2, (layer.pad,) * 2, layer.ceil_mode)
                w_shape = (layer.kernels, C // row.groups, layer.size, layer.size)
                cut = winograd.plan((64, H, W, C), w_shape, window, row.groups)
                found.append(cut and (cut.r, cut.m, cut.tiles[0]))
        assert found == expected

    @pytest.mark.parametrize(
        ("window", "x_shape", "w_shape", "groups"),
        [
            (Window((3, 3), (1, 1), (1, 1), False), (1, 13, 13, 256), (384, 256, 3, 3), 1),  # a single image
            (Window((3, 5), (1, 1), (1, 1), False), (64, 13, 13, 256), (384, 256, 3, 5), 1),  # no square
            (Window((3, 3), (1, 2), (1, 1), False), (64, 13, 13, 256), (384, 256, 3, 3), 1),
            (Window((1, 1), (1, 1), (0, 0), False), (64, 13, 13, 256), (384, 256, 1, 1), 1),
            (Window((7, 7), (1, 1), (3, 3), False), (64, 13, 13, 256), (384, 256, 7, 7), 1),
            (Window((11, 11), (4, 4), (0, 0), False), (64, 99, 99, 32), (64, 16, 11, 11), 2),  # a stride and groups
            (Window((3, 3), (1, 1), (1, 1), False), (64, 13, 13, 15), (384, 15, 3, 3), 1),  # few maps
            (Window((3, 3), (1, 1), (1, 1), False), (64, 13, 13, 256), (8, 256, 3, 3), 1),
        ],
    )
    def test_else_directly(self, window, x_shape, w_shape, groups):
        assert winograd.plan(x_shape, w_shape, window, groups) is None
