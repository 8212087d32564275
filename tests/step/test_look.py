"""What is looked at, and the terms of a cell: they make its number, whatever the layer, direction and window."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from cases import geometries
from runs import slim
from tinyalex import AlexNet, record, spec
from tinyalex.errors import ShapeError, UsageError
from tinyalex.step.look import conv_shares, conv_terms, look, window_contents, windows_containing
from tinyalex.window import Window


@given(geometries(), st.data())
def test_the_contents_of_a_window(case, data):
    """Cell (i, j) of the window sees what the loops say, and NaN outside."""
    sliding = case.sliding()
    window = Window(case.kernel, case.stride, case.pad, case.ceil_mode)
    maps = np.random.default_rng(0).standard_normal((2, case.H, case.W))
    place = (
        data.draw(st.integers(0, len(sliding.tops) - 1)),
        data.draw(st.integers(0, len(sliding.lefts) - 1)),
    )
    expected = np.full((2, *case.kernel), np.nan)
    for i, j, h, w in sliding.pixels(*place):
        expected[:, i, j] = maps[:, h, w]
    np.testing.assert_array_equal(window_contents(window, maps, place), expected)


@given(geometries(), st.data())
def test_the_windows_that_contain_a_cell(case, data):
    """Those, and only those, in whose pixels the cell is."""
    sliding = case.sliding()
    window = Window(case.kernel, case.stride, case.pad, case.ceil_mode)
    cell = (data.draw(st.integers(0, case.H - 1)), data.draw(st.integers(0, case.W - 1)))
    output = (len(sliding.tops), len(sliding.lefts))
    expected = {(u, v, i, j) for u, v in np.ndindex(*output) for i, j, h, w in sliding.pixels(u, v) if (h, w) == cell}
    rows, columns = windows_containing(window, cell, output)
    assert {(u, v, i, j) for u, i in rows for v, j in columns} == expected


@pytest.fixture(scope="module")
def passes(small_pass):
    """The small pass, and one through two columns with strides and windows that reach past the edge."""
    net = AlexNet(slim(spec.CUDA_CONVNET), num_classes=3, input_size=67, dtype="float64", cross_columns=(4,))
    other = record(net, np.random.default_rng(1).standard_normal((2, 3, 67, 67)), [2, 0])
    return {"mini": small_pass, "cuda-convnet": other}


@pytest.mark.parametrize("which", ["mini", "cuda-convnet"])
@pytest.mark.parametrize("name", ["conv1", "conv2", "conv3", "conv4", "conv5"])
def test_the_shares_add_up(passes, which, name):
    """Forward, with the bias, to y; backward to dx: at corners, edges and within, for maps of both columns."""
    pass_ = passes[which]
    image = len(pass_.x) - 1
    for direction in ("forward", "backward"):
        step = getattr(pass_[name], direction)
        focus = (step.y if direction == "forward" else step.dx)[image]
        C, H, W = focus.shape
        for channel in (0, C // 2, C - 1):
            for cell in ((0, 0), (H - 1, W - 1), (0, W // 2), (H // 2, W - 1)):
                at = look(pass_, name, cell=cell, channel=channel, direction=direction, image=image)
                first, shares = conv_shares(at)
                bias = pass_.params[f"{name}.b"][channel] if direction == "forward" else 0
                assert shares.sum() + bias == pytest.approx(focus[(channel, *cell)], rel=1e-9, abs=1e-14)
                across = at.right if at.back else at.left
                assert first <= across < first + len(shares)
                assert abs(shares[across - first]) == np.abs(shares).max()


def test_terms_of_one_kernel(small_pass):
    at = look(small_pass, "conv2", cell=(0, 3), channel=40, other=17)
    one, two = conv_terms(at)
    assert one.shape == two.shape == (16, 5, 5)
    assert np.isnan(one[:, :2]).all()  # two rows of padding
    np.testing.assert_array_equal(two, small_pass.params["conv2.w"][40])
    np.testing.assert_array_equal(one[:, 2:, 1:], small_pass["conv2"].forward.x[0, 16:, 0:3, 2:6])
    assert (at.left, at.right) == (17, 40)


def test_what_is_not_given_is_the_strongest(small_pass):
    y = small_pass["norm1"].forward.y[0]
    at = look(small_pass, "norm1")
    assert (at.right, *at.cell) == np.unravel_index(y.argmax(), y.shape)
    assert at.left == at.right
    assert look(small_pass, "norm1", cell=(3, 4)).right == y[:, 3, 4].argmax()
    assert look(small_pass, "norm1", channel=5).cell == np.unravel_index(y[5].argmax(), y[5].shape)
    dx = small_pass["norm1"].backward.dx[0]
    at = look(small_pass, "norm1", direction="backward")
    assert (at.left, *at.cell) == np.unravel_index(np.abs(dx).argmax(), dx.shape)
    assert look(small_pass, "fc8").right == small_pass["fc8"].forward.y[0].argmax()


def test_flatten_joins_a_feature_with_its_cell(small_pass):
    at = look(small_pass, "flatten", channel=4 * 63 + 3)
    assert (at.left, at.right) == (63, 255)
    back = look(small_pass, "flatten", direction="backward", channel=63, cell=(1, 1))
    assert (back.left, back.right) == (63, 255)


def test_the_image_and_its_colours(small_pass):
    assert [look(small_pass, "conv1").name_of(c) for c in range(3)] == ["red", "green", "blue"]
    assert look(small_pass, "conv2").name_of(1) == "map 2"


@pytest.mark.parametrize(
    ("error", "line", "words"),
    [
        (UsageError, "got layer 'conv9': expected one of conv1, ", {"name": "conv9"}),
        (UsageError, "got direction='up': expected 'forward' or 'backward'", {"name": "conv1", "direction": "up"}),
        (
            UsageError,
            "got direction='backward' for the loss: expected 'forward'",
            {"name": "loss", "direction": "backward"},
        ),
        (UsageError, r"got image=1: expected one of the pass, 0 \.\.\. 0", {"name": "conv1", "image": 1}),
        (UsageError, r"got channel=32: expected a map of conv1, 0 \.\.\. 31", {"name": "conv1", "channel": 32}),
        (
            UsageError,
            r"got channel=3: expected a map of conv1, 0 \.\.\. 2",
            {"name": "conv1", "channel": 3, "direction": "backward"},
        ),
        (UsageError, r"got channel=-1: expected a unit of fc8, 0 \.\.\. 2", {"name": "fc8", "channel": -1}),
        (
            ShapeError,
            r"got cell=\(0, 16\): expected \(row, column\) in the 16 x 16 maps of conv1",
            {"name": "conv1", "cell": (0, 16)},
        ),
        (ShapeError, r"got cell=\(1,\): expected \(row, column\) in the 16 x 16 maps", {"name": "conv1", "cell": (1,)}),
        (
            ShapeError,
            r"got cell=\(0, 0\): expected None, as fc6 has units and no maps",
            {"name": "fc6", "cell": (0, 0)},
        ),
        (
            UsageError,
            r"got other=16: expected one of the channels 0 \.\.\. 15",
            {"name": "conv2", "channel": 0, "other": 16},
        ),
        (UsageError, "got other=0: expected None, as pool1 is not a convolution", {"name": "pool1", "other": 0}),
    ],
)
def test_what_is_refused(small_pass, error, line, words):
    with pytest.raises(error, match=line):
        look(small_pass, **words)


def test_a_pass_without_labels_has_no_way_back():
    net = AlexNet("mini", num_classes=3, input_size=16)
    with pytest.raises(
        UsageError,
        match="got direction='backward' for conv1: expected a layer with a backward step; record the pass with labels",
    ):
        look(record(net, np.zeros((1, 3, 16, 16), "float32")), "conv1", direction="backward")
