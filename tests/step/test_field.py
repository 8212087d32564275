"""Receptive fields: the arithmetic of windows against what a NaN in the image reaches."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from runs import slim
from tinyalex import AlexNet, spec
from tinyalex.backend import use_kernels
from tinyalex.count import count
from tinyalex.errors import ShapeError, UsageError
from tinyalex.step import Box, receptive_field

RELU = spec.Activation()


def pixels_that_matter(net, name, cell):
    """The rows and columns of the image where a NaN makes the output cell NaN: every layer hands a NaN on."""
    size = net.input_size
    found = [set(), set()]
    for axis in (0, 1):
        for place in range(size):
            x = np.ones((1, 3, size, size), net.dtype)
            x[(slice(None), slice(None), *[slice(None)] * axis, place)] = np.nan
            y = net.forward(x, upto=name)
            if np.isnan(y[0, 0] if cell is None else y[0, 0, cell[0], cell[1]]).any():
                found[axis].add(place)
    return found


def assert_exact(net, name, cell):
    rows, cols = pixels_that_matter(net, name, cell)
    box = receptive_field(net.rows, name, cell)
    assert set(range(box.top, box.bottom)) == rows
    assert set(range(box.left, box.right)) == cols


@pytest.mark.parametrize(
    ("variant", "size", "name", "cell"),
    [
        ("paper", 67, "conv1", (0, 14)),
        ("paper", 67, "conv1", (14, 3)),
        ("paper", 67, "pool1", (6, 0)),
        ("paper", 67, "conv2", (3, 6)),
        ("paper", 67, "norm2", (1, 2)),
        ("paper", 67, "pool2", (2, 1)),
        ("cuda-convnet", 67, "spatial_norm2", (0, 4)),
        ("torchvision", 63, "conv1", (0, 14)),
        ("torchvision", 63, "pool5", (0, 0)),
        ("torchvision", 63, "fc6", None),
        ("non-overlapping", 83, "pool2", (0, 3)),
        ("mini", 16, "conv3", (0, 3)),
        ("mini", 16, "pool5", (1, 0)),
    ],
)
def test_the_pixels_that_change_a_cell(variant, size, name, cell):
    with use_kernels("reference"):
        assert_exact(AlexNet(slim(spec.VARIANTS[variant]), num_classes=3, input_size=size), name, cell)


@st.composite
def small_specs(draw):
    """Two convolutions and a pooling of drawn kernels, strides, pads and rounding; no stride exceeds its kernel."""

    def window(pad=True):
        size = draw(st.integers(1, 4))
        stride, ceil_mode = draw(st.integers(1, min(3, size))), draw(st.booleans())
        return {"size": size, "stride": stride, "ceil_mode": ceil_mode} | (
            {"pad": draw(st.integers(0, 2))} if pad else {}
        )

    layers = {
        "conv1": spec.Conv(2, reads_all=True, **window()),
        "relu1": RELU,
        "pool1": spec.Pool(**window(pad=False)),
        "conv2": spec.Conv(2, **window()),
        "norm2": spec.SpatialNorm(size=3),
        "flatten": spec.Flat(),
        "fc": spec.Full(None),
    }
    return spec.Spec("drawn", layers, input_size=draw(st.integers(9, 17)), columns=1)


@given(small_specs(), st.data())
def test_drawn_windows(drawn, data):
    try:
        net = AlexNet(drawn, num_classes=2, cross_columns=(), kernels="reference")
    except ShapeError:  # the last window is larger than what is left of the image
        return
    height, width = next(row.out_shape[1:] for row in net.rows if row.name == "norm2")
    cell = data.draw(st.tuples(st.integers(0, height - 1), st.integers(0, width - 1)))
    assert_exact(net, "norm2", cell)
    assert_exact(net, "fc", None)


@pytest.mark.parametrize(
    ("name", "cell", "box"),
    [
        ("conv1", (0, 0), (0, 0, 11, 11)),
        ("conv1", (54, 1), (216, 4, 224, 15)),  # the last window starts at 216 and reaches 3 pixels past the image
        ("pool1", (0, 1), (0, 8, 19, 27)),  # three windows of 11, 4 apart
        ("conv2", (13, 13), (88, 88, 139, 139)),  # five windows of 19, 8 apart: 51 x 51
        ("conv2", (0, 0), (0, 0, 35, 35)),
        ("conv3", (6, 6), (64, 64, 163, 163)),  # 99 x 99
        ("conv5", (6, 6), (32, 32, 195, 195)),  # 163 x 163
        ("pool5", (2, 3), (0, 32, 195, 224)),
        ("fc8", None, (0, 0, 224, 224)),
    ],
)
def test_the_papers_net_worked_by_hand(name, cell, box):
    assert receptive_field(count(spec.PAPER), name, cell) == Box(*box)


def test_pixels_that_no_window_reaches():
    """torchvision's pooling rounds down: of 14 columns, the last window of pool1 ends at the 13th."""
    rows = count(slim(spec.TORCHVISION), input_size=63)
    whole = receptive_field(rows, "fc6")
    last = receptive_field(rows, "pool5", (0, 0))
    assert whole == last
    assert whole.top == 0


def test_a_window_within_the_padding_sees_nothing():
    drawn = spec.Spec("padded", {"conv1": spec.Conv(2, 1, pad=2, reads_all=True)}, input_size=5, columns=1)
    rows = count(drawn, cross_columns=())
    assert receptive_field(rows, "conv1", (0, 0)) == (0, 0, 0, 0)
    assert receptive_field(rows, "conv1", (2, 6)) == (0, 4, 1, 5)
    assert receptive_field(rows, "conv1", (2, 7)) == (0, 0, 1, 0)


def test_what_is_refused():
    rows = count(spec.PAPER)
    with pytest.raises(UsageError, match="got layer 'conv9': expected one of conv1, "):
        receptive_field(rows, "conv9", (0, 0))
    for cell in ((55, 0), (0, -1)):
        with pytest.raises(ShapeError, match=r"expected \(row, column\) inside the maps of conv1, \(55, 55\)"):
            receptive_field(rows, "conv1", cell)
    with pytest.raises(ShapeError, match=r"got cell=\(0, 0\): expected None, as fc6 has units and no maps"):
        receptive_field(rows, "fc6", (0, 0))
