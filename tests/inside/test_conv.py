"""Every entry of the matrix and the pixel it belongs to, against counting by hand."""

import numpy as np
import pytest

from tinyalex import inside
from tinyalex.viz.canvas import AMBER

X = np.arange(25).reshape(5, 5)


def by_hand(shape, kernel, stride, pad, places):
    """The pixel (c, h, w), or None, of every entry, in order: windows row by row, their cells, the channels."""
    C, H, W = shape
    pixels = []
    for oh in range(places[0]):
        for ow in range(places[1]):
            for i in range(kernel[0]):
                for j in range(kernel[1]):
                    h, w = oh * stride[0] + i - pad[0], ow * stride[1] + j - pad[1]
                    inside_image = 0 <= h < H and 0 <= w < W
                    pixels += [(c, h, w) if inside_image else None for c in range(C)]
    return pixels


CASES = [  # shape, kernel, stride, pad, ceil_mode, places counted by hand
    ((1, 5, 5), (3, 3), (1, 1), (0, 0), False, (3, 3)),
    ((1, 5, 5), (3, 3), (2, 2), (1, 1), False, (3, 3)),
    ((2, 4, 5), (2, 3), (2, 1), (0, 1), False, (2, 5)),
    ((1, 4, 7), (3, 2), (2, 3), (0, 0), True, (2, 3)),
    ((3, 2, 3), (1, 2), (1, 2), (0, 0), False, (2, 1)),
]


@pytest.mark.parametrize(("shape", "kernel", "stride", "pad", "ceil_mode", "places"), CASES)
def test_im2col_reads_every_entry_from_its_pixel(shape, kernel, stride, pad, ceil_mode, places):
    x = np.arange(1, 1 + np.prod(shape)).reshape(shape)
    stepper = inside.Im2col(x, kernel, stride=stride, pad=pad, ceil_mode=ceil_mode)
    pixels = by_hand(shape, kernel, stride, pad, places)
    assert len(stepper) == len(pixels) == stepper.patches.size
    for i, pixel in enumerate(pixels):
        assert stepper.pixel(i) == pixel
        assert stepper.patches[stepper.entry(i)] == (0 if pixel is None else x[pixel])


@pytest.mark.parametrize(("shape", "kernel", "stride", "pad", "ceil_mode", "places"), CASES)
def test_col2im_adds_every_entry_to_its_pixel(shape, kernel, stride, pad, ceil_mode, places, rng):
    pixels = by_hand(shape, kernel, stride, pad, places)
    patches = rng.normal(size=(places[0] * places[1], kernel[0] * kernel[1] * shape[0]))
    stepper = inside.Col2im(shape, kernel, stride=stride, pad=pad, ceil_mode=ceil_mode, dpatches=patches)
    dx = np.zeros(shape)
    for i, (pixel, value) in enumerate(zip(pixels, patches.ravel(), strict=True)):
        if pixel is not None:
            dx[pixel] += value
        np.testing.assert_allclose(stepper.dx(i), dx, atol=1e-12)


def test_of_ones_col2im_counts_the_windows_of_each_pixel():
    count = [1, 2, 3, 2, 1]
    np.testing.assert_array_equal(inside.Col2im((5, 5), 3).dx(80)[0], np.outer(count, count))


def test_captions_by_hand():
    im2col = inside.Im2col(X, 3)
    assert im2col.caption(41) == "window (oh, ow) = (1, 1), its cell (i, j) = (1, 2)\npatches[4, 5] = x[2, 3] = 13"
    padded = inside.Im2col(X, 3, stride=2, pad=1)
    assert padded.caption(0).endswith("patches[0, 0] = outside the image = 0")
    channels = inside.Im2col([X, X + 100], 3)
    assert channels.caption(1) == (
        "window (oh, ow) = (0, 0), its cell (i, j) = (0, 0), c = 1\npatches[0, 1] = x[1, 0, 0] = 100"
    )
    col2im = inside.Col2im((5, 5), 3)
    assert col2im.caption(41).endswith("dx[2, 3] = 2 + dpatches[4, 5] = 2 + 1 = 3")
    assert inside.Col2im((5, 5), 3, pad=1).caption(0).endswith("lies outside the image: it is dropped")


def cells(figure):
    """{(row, column) on the page: (colour, number)} of the cells of a sheet."""
    [axes] = figure.axes
    numbers = {text.get_position(): text.get_text() for text in axes.texts}
    found = {}
    for patch in axes.patches:
        if patch.get_fill():
            left, top = patch.get_xy()
            found[top, left] = (patch.get_facecolor(), numbers.get((left + 0.5, top + 0.5)))
    return found


def test_the_picture_marks_the_pixel_and_its_entry_and_hides_what_is_to_come():
    from matplotlib.colors import to_rgba

    found = cells(inside.Im2col(X + 1, 3).show(41))
    amber = [number for colour, number in found.values() if colour == to_rgba(AMBER)]
    assert amber == ["14", "14"]
    assert sum(number is None for _, number in found.values()) == 81 - 42
    places = sorted(place for place, (colour, _) in found.items() if colour == to_rgba(AMBER))
    top = min(row for row, _ in found)
    assert [row - top for row, _ in places] == [2, 4]
