"""The picture of the first layer: every weight in its place, in its shade."""

import math

import numpy as np
import pytest
from PIL import Image

from tinyalex import viz
from tinyalex.errors import DivergenceError, ShapeError, UsageError


def tile(grid, index, per_row, height, width):
    """Kernel `index` of a drawn grid, one number a weight, found from the paper's order: row by row."""
    zoom = max(1, (66 if per_row == 16 else 96) // max(height, width))
    top = index // per_row * (height * zoom + 6)
    left = index % per_row * (width * zoom + 6)
    block = grid[top : top + height * zoom, left : left + width * zoom]
    blocks = block.reshape(height, zoom, width, zoom, 3)
    assert (blocks == blocks[:, :1, :, :1]).all()  # a weight is one even square
    return blocks[:, 0, :, 0]


@pytest.mark.parametrize("each", [False, True])
@pytest.mark.parametrize(
    ("shape", "columns", "per_row"),
    [
        ((96, 3, 11, 11), 2, 16),
        ((96, 3, 11, 11), 1, 16),
        ((34, 3, 3, 3), 2, 16),
        ((32, 3, 5, 5), 2, 8),
        ((7, 3, 5, 3), 1, 8),
        ((9, 3, 2, 7), 3, 8),
        ((1, 3, 3, 3), 1, 8),
        ((2, 3, 120, 90), 1, 8),
    ],
)
def test_every_kernel_stands_in_its_place_and_scale(shape, columns, per_row, each):
    w = np.random.default_rng(0).normal(size=shape)
    figure = viz.kernels(w, columns, each=each)
    assert len(figure.axes) == columns
    per_column = shape[0] // columns
    for index in range(shape[0]):
        grid = figure.axes[index // per_column].images[0].get_array()
        shown = tile(grid, index % per_column, per_row, *shape[2:])
        most = max(abs(w[index].min()), abs(w[index].max())) if each else max(abs(w.min()), abs(w.max()))
        for c in range(3):
            np.testing.assert_allclose(shown[:, :, c], (w[index, c] / most + 1) / 2, rtol=0, atol=1e-12)


def test_96_kernels_make_six_rows_of_16_with_a_gap_between_the_columns(check_layout):
    w = np.random.default_rng(1).normal(size=(96, 3, 11, 11)).astype(np.float32)
    figure = viz.kernels(w, 2)
    grids = [axes.images[0].get_array() for axes in figure.axes]
    assert [grid.shape for grid in grids] == [(3 * 66 + 2 * 6, 16 * 66 + 15 * 6, 3)] * 2
    assert all(axes.images[0].get_interpolation() == "nearest" for axes in figure.axes)
    first, second = (axes.get_window_extent() for axes in figure.axes)
    assert figure.bbox.width - first.x1 == pytest.approx(first.x0)  # margins of the same width
    assert first.y0 - second.y1 > 20  # column 1 above, and more between the columns than between rows
    assert [t.get_text() for t in figure.texts] == [
        "column 1",
        "column 2",
        "96 kernels of 11 × 11 × 3",
        f"grey: 0, black and white: ±{abs(w).max():.2g}",
    ]
    column_1 = check_layout(figure, [*figure.texts, *figure.axes])[0]
    assert abs((column_1.y0 + column_1.y1) - (first.y0 + first.y1)) < 4


def test_the_saved_picture_shows_every_weight_as_a_square_of_whole_pixels(tmp_path):
    w = np.random.default_rng(2).normal(size=(10, 3, 5, 3))
    figure = viz.kernels(w)
    [axes] = figure.axes
    box = axes.get_window_extent()
    with Image.open(viz.save(figure, tmp_path / "k.png")) as image:
        pixels = np.asarray(image.convert("RGB"), dtype=float)
    top, left = round(len(pixels) - box.y1), round(box.x0)
    grid = np.asarray(axes.images[0].get_array())
    shown = pixels[top : top + grid.shape[0], left : left + grid.shape[1]]
    np.testing.assert_allclose(shown, 255 * grid, rtol=0, atol=1.01)


def test_an_unfilled_row_is_white_and_zero_is_grey():
    w = np.zeros((9, 3, 3, 3))
    for each in (False, True):
        grid = viz.kernels(w, each=each).axes[0].images[0].get_array()
        assert grid.shape == (2 * 96 + 6, 8 * 96 + 7 * 6, 3)
        assert (grid[-96:, :96] == 0.5).all()
        assert (grid[-96:, 96:] == 1).all()


def test_the_largest_weight_takes_the_full_scale_whatever_its_sign():
    w = np.zeros((2, 3, 1, 1), np.float32)
    w[0, :, 0, 0] = (-0.4, 0.2, 0.0)
    w[1, :, 0, 0] = (0.1, 0.0, -0.1)
    common = viz.kernels(w).axes[0].images[0].get_array()
    np.testing.assert_allclose(common[0, [0, -1]], [[0, 0.75, 0.5], [0.625, 0.5, 0.375]], atol=1e-7)
    own = viz.kernels(w, each=True)
    np.testing.assert_allclose(own.axes[0].images[0].get_array()[0, -1], [1, 0.5, 0], atol=1e-7)
    assert own.texts[-1].get_text() == "grey: 0, black and white: each kernel's own largest weight"


def test_kernels_leave_the_weights_as_they_were():
    w = np.random.default_rng(3).normal(size=(4, 3, 3, 3))
    before = w.copy()
    viz.kernels(w, 2, each=True)
    np.testing.assert_array_equal(w, before)


@pytest.mark.parametrize("shape", [(96, 1, 11, 11), (256, 48, 5, 5), (10, 27), (0, 3, 3, 3)])
def test_kernels_that_are_no_colours_are_refused(shape):
    with pytest.raises(ShapeError, match=r"got kernels of shape .*: expected \(OC, 3, KH, KW\)"):
        viz.kernels(np.ones(shape))


@pytest.mark.parametrize("columns", [2, 0])
def test_kernels_that_do_not_divide_into_columns_are_refused(columns):
    with pytest.raises(UsageError, match=f"got columns={columns} for 7 kernels: expected a divisor of 7"):
        viz.kernels(np.ones((7, 3, 3, 3)), columns)


@pytest.mark.parametrize("bad", [math.nan, math.inf])
def test_kernels_that_diverged_are_refused(bad):
    w = np.ones((2, 3, 3, 3))
    w[1, 2, 0, 0] = bad
    with pytest.raises(DivergenceError):
        viz.kernels(w)
