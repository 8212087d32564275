"""The window of convolution and pooling: how many positions it has, and what its cells see."""

import numpy as np
import pytest
from hypothesis import given

from cases import geometries
from tinyalex.errors import ShapeError
from tinyalex.layers.canvas import off_canvas, on_canvas, seen_by
from tinyalex.window import Window, pair


def window_of(case):
    return Window(case.kernel, case.stride, case.pad, case.ceil_mode)


@pytest.mark.parametrize(
    ("size", "kernel", "stride", "pad", "floor", "ceil"),
    [
        (224, 11, 4, 0, 54, 55),  # the paper's first layer: 55 by cuda-convnet's rule
        (227, 11, 4, 0, 55, 55),
        (224, 11, 4, 2, 55, 56),  # torchvision's
        (55, 3, 2, 0, 27, 27),
        (27, 3, 2, 0, 13, 13),
        (13, 3, 2, 0, 6, 6),
        (55, 2, 2, 0, 27, 28),  # the non-overlapping control
        (32, 3, 2, 0, 15, 16),
        (13, 3, 1, 1, 13, 13),
        (5, 1, 3, 0, 2, 2),  # a third window would start at pixel 6: outside
        (4, 1, 3, 0, 2, 2),
        (3, 2, 2, 1, 2, 2),  # the windows start at -1 and 1; a third would start at 3, in the padding
        (4, 2, 2, 1, 3, 3),
        (2, 2, 3, 1, 1, 1),
        (3, 2, 3, 1, 2, 2),
        (1, 1, 1, 0, 1, 1),
        (1, 3, 2, 1, 1, 1),
    ],
)
def test_number_of_positions_worked_by_hand(size, kernel, stride, pad, floor, ceil):
    for ceil_mode, expected in ((False, floor), (True, ceil)):
        tall = Window((kernel, 1), (stride, 1), (pad, 0), ceil_mode)
        wide = Window((1, kernel), (1, stride), (0, pad), ceil_mode)
        assert tall.output_size(size, 9) == (expected, 9)
        assert wide.output_size(9, size) == (9, expected)


@given(geometries())
def test_number_of_positions_is_counted(case):
    sliding = case.sliding()
    assert window_of(case).output_size(case.H, case.W) == (len(sliding.tops), len(sliding.lefts))


@given(geometries())
def test_how_far_the_last_window_reaches_past_the_padded_image(case):
    sliding, (KH, KW), (PH, PW) = case.sliding(), case.kernel, case.pad
    rows, cols = (sliding.tops[-1] + KH - case.H - PH, sliding.lefts[-1] + KW - case.W - PW)
    assert window_of(case).past_edge(case.H, case.W) == (max(0, rows), max(0, cols))


@given(geometries())
def test_cells_in_the_padded_image_are_counted(case):
    sliding, window = case.sliding(), window_of(case)
    expected = [[sliding.cells(oh, ow) for ow in range(len(sliding.lefts))] for oh in range(len(sliding.tops))]
    assert window.cells_inside(case.H, case.W) == expected


@given(geometries())
def test_view_on_the_canvas_is_what_each_cell_sees(case):
    """The pixel that cell (i, j) of the window at (oh, ow) sees, and the fill where there is none."""
    sliding, window = case.sliding(), window_of(case)
    x = np.arange(1.0, 1 + case.N * 2 * case.H * case.W).reshape(case.N, 2, case.H, case.W)
    canvas = on_canvas(x, window, fill=-1.0)
    for i, j in window.cells():
        seen = np.full((case.N, 2, len(sliding.tops), len(sliding.lefts)), -1.0)
        for oh, ow in np.ndindex(seen.shape[2:]):
            for ci, cj, h, w in sliding.pixels(oh, ow):
                if (ci, cj) == (i, j):
                    seen[:, :, oh, ow] = x[:, :, h, w]
        np.testing.assert_array_equal(seen_by(canvas, window, i, j), seen)


@given(geometries())
def test_off_canvas_cuts_the_image_out_again(case):
    """Pixels that some window reaches come back, the others are zero."""
    window = window_of(case)
    x = np.random.default_rng(0).standard_normal((case.N, 2, case.H, case.W)).astype("float32")
    canvas = on_canvas(x, window)
    rows, cols = (
        min(size, (count - 1) * stride + kernel - pad)
        for size, count, stride, kernel, pad in zip(
            x.shape[2:], window.output_size(*x.shape[2:]), case.stride, case.kernel, case.pad, strict=True
        )
    )
    expected = np.zeros_like(x)
    expected[:, :, :rows, :cols] = x[:, :, :rows, :cols]
    back = off_canvas(canvas, x.shape, window)
    assert back.dtype == "float32"
    np.testing.assert_array_equal(back, expected)
    back += 1
    np.testing.assert_array_equal(off_canvas(canvas, x.shape, window), expected)  # a copy, not a view


def test_cells_go_row_by_row():
    assert list(Window((2, 3), (1, 1), (0, 0), False).cells()) == [(0, 0), (0, 1), (0, 2), (1, 0), (1, 1), (1, 2)]


@pytest.mark.parametrize(("kernel", "dtype"), [((3, 3), "uint8"), ((16, 16), "uint8"), ((1, 257), "int32")])
def test_a_cell_number_fits_its_dtype(kernel, dtype):
    window = Window(kernel, (1, 1), (0, 0), False)
    assert window.number_dtype == dtype
    assert kernel[0] * kernel[1] - 1 <= np.iinfo(dtype).max


@pytest.mark.parametrize(("height", "width"), [(2, 9), (9, 3), (0, 9), (-4, 9)])
def test_an_image_below_the_window_is_refused(height, width):
    with pytest.raises(ShapeError, match=rf"{height} x {width}: expected at least the window of 3 x 4 \(pad 0, 0\)"):
        Window((3, 4), (1, 1), (0, 0), True).output_size(height, width)


def test_padding_counts_towards_the_size():
    assert Window((3, 4), (1, 1), (1, 2), False).output_size(1, 1) == (1, 2)


@pytest.mark.parametrize(
    ("value", "expected"), [(3, (3, 3)), ((1, 2), (1, 2)), ([4, 5], (4, 5)), (np.int64(3), (3, 3))]
)
def test_pair(value, expected):
    assert pair(value) == expected


@pytest.mark.parametrize("value", [-1, (1, -1), (1, 2, 3), (1,), 2.5, "33", None])
def test_pair_refuses_anything_else(value):
    with pytest.raises(ShapeError, match=r"stride=.*expected an int or \(vertical, horizontal\), 0 or more"):
        pair(value, "stride")
