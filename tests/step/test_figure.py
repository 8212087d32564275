"""The figure of a cell: the right boxes on the right maps, and the number, written out."""

import re

import numpy as np
import pytest
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle

from runs import slim
from tinyalex import AlexNet, record, spec
from tinyalex.step import receptive_field, show, why
from tinyalex.step.facts import number
from tinyalex.step.paint import scaled


def texts(figure):
    figure.draw_without_rendering()
    found = [text.get_text() for text in figure.findobj(lambda artist: hasattr(artist, "get_text"))]
    return [text for text in found if text]


def boxes(axes):
    """The outlines on a picture, as (top, left, bottom, right) in cells."""
    outlines = [patch for patch in axes.patches if isinstance(patch, Rectangle)]
    return [
        (p.get_y() + 0.5, p.get_x() + 0.5, p.get_y() + 0.5 + p.get_height(), p.get_x() + 0.5 + p.get_width())
        for p in outlines
    ]


def pictures(figure):
    """The axes of the row of pictures."""
    return figure.subfigs[1].axes


@pytest.mark.parametrize(
    ("name", "cell", "window"),
    [("conv2", (0, 6), (-2, 4, 3, 9)), ("pool1", (7, 2), (14, 4, 17, 7)), ("conv5", (3, 0), (2, -1, 5, 2))],
)
def test_the_receptive_field_the_window_and_the_cell(small_pass, name, cell, window):
    image, x, *_, y = pictures(show(small_pass, name, cell=cell))
    assert boxes(image) == [receptive_field(small_pass.rows, name, cell)]
    assert boxes(x)[0] == window
    assert boxes(y) == [(*cell, cell[0] + 1, cell[1] + 1)]


def test_a_window_past_the_map_stays_in_its_picture(small_pass):
    """The padding is drawn around the map, so no outline crosses a title."""
    for name in ("conv2", "pool1", "conv5"):
        H, W = small_pass[name].forward.y.shape[2:]
        for cell in ((0, 0), (0, W - 1), (H - 1, 0), (H - 1, W - 1)):
            maps = pictures(show(small_pass, name, cell=cell))[1]
            (left, right), (bottom, top) = maps.get_xlim(), maps.get_ylim()
            first_row, first_column, last_row, last_column = boxes(maps)[0]
            assert top + 0.5 <= first_row < last_row <= bottom + 0.5
            assert left + 0.5 <= first_column < last_column <= right + 0.5


def test_words_count_from_1_and_brackets_from_0(small_pass):
    written = texts(show(small_pass, "conv2", (0, 6), 40, other=17))
    assert {"x, map 18 of 32", "y, map 41 of 64", "kernel 41 of 64", "its weights for map 18"} <= set(written)
    assert f"y[40, 0, 6] = {number(small_pass['conv2'].forward.y[0, 40, 0, 6])}" in written
    assert f"y[9] = {number(small_pass['fc6'].forward.y[0, 9])}" in texts(show(small_pass, "fc6", channel=9))
    assert any(
        "y[255] is x[63, 1, 1], as 63 · 4 + 1 · 2 + 1 = 255" in text
        for text in texts(show(small_pass, "flatten", channel=255))
    )


def test_a_feature_and_the_cell_that_it_was(small_pass):
    _, maps, features = pictures(show(small_pass, "flatten", channel=255))  # of 64 maps of 2 x 2
    assert boxes(maps) == [(1, 1, 2, 2)]
    assert boxes(features) == [(15, 15, 16, 16)]
    _, maps, features = pictures(show(small_pass, "flatten", (1, 1), 63, "backward"))
    assert boxes(maps) == [(1, 1, 2, 2)]
    assert boxes(features) == [(15, 15, 16, 16)]
    _, before, after = pictures(show(small_pass, "dropout6", channel=24))  # 512 units, 23 in a row
    assert boxes(before) == boxes(after) == [(1, 1, 2, 2)]


def test_what_pooling_sends_back(small_pass):
    """The windows in which the cell was the largest send their gradient, the others none."""
    forward, backward = small_pass["pool1"]
    x, dx, dy = forward.x[0, 7], backward.dx[0, 7], backward.dy[0, 7]
    strongest = np.unravel_index(np.abs(dx).argmax(), dx.shape)
    for cell in (tuple(int(place) for place in strongest), (4, 6), (15, 15)):
        grid, text = show(small_pass, "pool1", cell, 7, "backward").subfigs[2].axes
        windows = [[u for u in range(8) if 2 * u <= place < 2 * u + 3] for place in cell]
        won = [[x[cell] == x[2 * u : 2 * u + 3, 2 * v : 2 * v + 3].max() for v in windows[1]] for u in windows[0]]
        sent = np.where(won, dy[np.ix_(*windows)], 0)
        np.testing.assert_array_equal(grid.images[0].get_array(), scaled(sent))
        assert sent.sum() == pytest.approx(dx[cell])
        assert f"dx = {number(dx[cell])}" in text.texts[0].get_text()


def test_the_way_back(small_pass):
    image, dx, _, dy = pictures(show(small_pass, "conv2", (7, 3), 20, "backward"))
    assert boxes(image) == [receptive_field(small_pass.rows, "pool1", (7, 3))]
    assert boxes(dx) == [(7, 3, 8, 4)]
    assert boxes(dy) == [(5, 1, 8, 6)]  # five windows saw the cell, but two would lie below the map
    assert pictures(show(small_pass, "conv1", (2, 9), direction="backward"))[0].patches[0].get_xy() == (8.5, 1.5)


def test_the_cell_that_wins_is_marked(small_pass):
    x = small_pass["pool1"].forward.x[0]
    _, shown, _ = pictures(show(small_pass, "pool1", cell=(2, 3), channel=7))
    i, j = np.unravel_index(x[7, 4:7, 6:9].argmax(), (3, 3))
    assert boxes(shown)[1] == (4 + i, 6 + j, 5 + i, 7 + j)


def strongest(step):
    """The number that a figure shows of its own accord: the largest output, or the gradient largest in magnitude."""
    focus = (step.y if step.direction == "forward" else step.dx)[0]
    return focus.max() if step.direction == "forward" else focus.flat[np.abs(focus).argmax()]


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_a_pass_that_diverged_is_drawn(value):
    """Every step of it: there it is to be seen where the numbers ceased to be finite."""
    net = AlexNet("mini", num_classes=3, input_size=16)
    net.params["conv2.w"][3, 0, 2, 2] = value
    x = np.random.default_rng(0).standard_normal((1, 3, 16, 16)).astype("float32")
    with np.errstate(all="ignore"):
        pass_ = record(net, x, [1])
        for step in pass_:
            texts(show(pass_, step.name, direction=step.direction))
    assert any(re.search("nan|inf", text) for text in texts(show(pass_, "conv2", channel=3)))


def test_every_kind_of_step_is_drawn_with_its_number(small_pass):
    names = ("conv1", "conv4", "relu1", "norm2", "pool5", "flatten", "fc6", "relu6", "dropout7", "fc8", "loss")
    for step in (step for step in small_pass if step.name in names):
        figure = show(small_pass, step.name, direction=step.direction)
        assert isinstance(figure, Figure)
        written = " ".join(texts(figure))
        assert step.name in written
        assert f"section {step.section}" in written
        if step.name != "loss":
            assert number(strongest(step)) in written, step


@pytest.mark.parametrize(("variant", "size"), [("cuda-convnet", 67), ("torchvision", 63), ("cifar10-full", 16)])
def test_other_nets(variant, size):
    net = AlexNet(slim(spec.VARIANTS[variant]), num_classes=3, input_size=size)
    pass_ = record(net, np.random.default_rng(0).standard_normal((1, 3, size, size)).astype("float32"), [1])
    for step in pass_:
        if step.explanation.kind in ("spatial-norm", "conv", "pool", "average-pool", "dropout"):
            written = " ".join(texts(show(pass_, step.name, direction=step.direction)))
            assert number(strongest(step)) in written, step


def test_the_mean_is_written_out():
    """A window in the middle, and one past the edge with 2 x 2 of its cells; back, the share of each window."""
    net = AlexNet("cifar10-quick", num_classes=3, input_size=16, dtype="float64")
    pass_ = record(net, np.random.default_rng(0).standard_normal((1, 3, 16, 16)), [1])
    forward, backward = pass_["pool2"]
    x, dx, dy = forward.x[0, 4], backward.dx[0, 4], backward.dy[0, 4]
    for cell, seen in (((1, 2), x[2:5, 4:7]), ((3, 3), x[6:, 6:])):
        line = f"sum {number(seen.sum())}\n÷ {seen.size} cells\ny = {number(seen.mean())}"
        assert line in texts(show(pass_, "pool2", cell, 4))
    figure = show(pass_, "pool2", (6, 4), 4, "backward")
    shares = np.array([[dy[2, 1] / 9, dy[2, 2] / 9], [dy[3, 1] / 6, dy[3, 2] / 6]])  # windows of line 3 have two lines
    np.testing.assert_allclose(figure.subfigs[2].axes[0].images[0].get_array(), scaled(shares))
    assert shares.sum() == pytest.approx(dx[6, 4])
    assert f"4 windows contain the cell\ndx = their sum = {number(dx[6, 4])}" in texts(figure)


def test_tanh():
    layers = {
        "conv1": spec.Conv(2, 2, reads_all=True),
        "tanh1": spec.Activation("tanh"),
        "flatten": spec.Flat(),
        "fc": spec.Full(None),
    }
    one = spec.Spec("one", layers, input_size=3, columns=1)
    net = AlexNet(one, num_classes=2, cross_columns=(), dtype="float64")
    pass_ = record(net, np.ones((1, 3, 3, 3)), [0])
    x, y = pass_["tanh1"].forward.x[0, 0, 1, 1], pass_["tanh1"].forward.y[0, 0, 1, 1]
    assert f"x = {number(x)}\ny = tanh(x) = {number(y)}" in texts(show(pass_, "tanh1", (1, 1), 0))
    slope = number(1 - y * y)
    assert any(f"slope {slope} here" in text for text in texts(show(pass_, "tanh1", (1, 1), 0, "backward")))


def test_the_sum_of_a_convolution_is_written_out(small_pass):
    y = small_pass["conv3"].forward.y[0]
    bias = small_pass.params["conv3.b"][11]
    line = f"sum of 576 products {number(y[11, 1, 2] - bias)}\n+ bias b {number(bias)}\n= {number(y[11, 1, 2])}"
    assert line in texts(show(small_pass, "conv3", (1, 2), 11))


def test_normalisation_backward_is_written_out(small_pass):
    """Its own gradient and what the damping of its neighbours costs it, worked out here from the formula."""
    forward, backward = small_pass["norm1"]
    terms = np.abs(backward.dy[0] * forward.x[0])[[12, 13, 15]].min(axis=0)  # where the neighbours matter most
    cell = tuple(int(place) for place in np.unravel_index(terms.argmax(), terms.shape))
    x, dy, dx = (array[(0, slice(None), *cell)] for array in (forward.x, backward.dy, backward.dx))
    assert np.count_nonzero(x[12:16] * dy[12:16]) > 2
    s = [1 + 0.1 * sum(x[j] ** 2 for j in range(32) if abs(j - c) <= 2 and j // 16 == c // 16) for c in range(32)]
    own = dy[14] / s[14] ** 0.75
    taken = sum(dy[c] * x[c] / s[c] ** 1.75 for c in (12, 13, 14, 15))  # map 16 is the other column's
    cost = -2 * 0.1 * 0.75 * x[14] * taken
    assert own + cost == pytest.approx(dx[14])
    line = f"dy / sᵝ = {number(own)}\n−2αβ x · sum = {number(cost)}\ndx = {number(dx[14])}"
    assert line in texts(show(small_pass, "norm1", cell, 14, "backward"))


def test_the_matrix_product_has_the_lit_row_and_kernel(small_pass):
    patches, kernels, lit, product = show(small_pass, "conv2", (3, 6), 40).subfigs[3].axes
    place, first = 3 * 8 + 6, 3 * 8 + 6 - 8
    assert boxes(patches) == [(8, 0, 9, 400)]
    assert f"im2col: patches {first + 1} to {first + 17} of 64, a row each" in patches.get_title(loc="left")
    assert boxes(kernels) == [(8, 0, 9, 400)]  # of kernels 32 ... 48, the other column's
    assert boxes(product) == [(8, 8, 9, 9)]
    assert lit.images[0].get_array().shape == (1, 400)
    y = small_pass["conv2"].forward.y[0, 40, 3, 6] - small_pass.params["conv2.b"][40]
    assert product.get_xlabel() == f"the sum: {number(y)}"
    assert place == first + 8


def test_classes_are_named_in_the_loss(small_pass):
    written = texts(show(small_pass, "loss"))
    assert f"p = {number(small_pass['loss'].forward.y[0, 2])}: L = −log p = {number(small_pass.loss)}" in written
    assert {"ring", "star", "heart"} <= set(written)
    assert {"logits x", "probabilities p", "gradient dx"} <= set(written)


def test_a_kind_without_a_drawing_of_its_own(small_pass, monkeypatch):
    """Its window, the numbers in it, and the result."""
    for kind in ("pool", "relu", "dropout"):
        monkeypatch.delitem(why.WHY, kind)
    forward, backward = small_pass["pool1"]
    figure = show(small_pass, "pool1", (3, 2), 7)
    assert boxes(pictures(figure)[1])[0] == (6, 4, 9, 7)
    terms, _ = figure.subfigs[2].axes
    np.testing.assert_allclose(terms.images[0].get_array(), scaled(forward.x[0, 7, 6:9, 4:7]))
    assert f"by the formula above\ny = {number(forward.y[0, 7, 3, 2])}" in texts(figure)
    figure = show(small_pass, "pool1", (6, 4), 7, "backward")
    terms, _ = figure.subfigs[2].axes
    np.testing.assert_allclose(terms.images[0].get_array(), scaled(backward.dy[0, 7, 2:4, 1:3]))
    assert f"by the formula above\ndx = {number(backward.dx[0, 7, 6, 4])}" in texts(figure)
    for name, result in (("relu1", small_pass["relu1"].forward.y), ("dropout6", small_pass["dropout6"].forward.y)):
        assert f"by the formula above\ny = {number(result.max())}" in texts(show(small_pass, name))


def test_an_image_among_several():
    net = AlexNet("mini", num_classes=3, input_size=16)
    x = np.random.default_rng(1).standard_normal((2, 3, 16, 16)).astype("float32")
    pass_ = record(net, x)
    assert number(pass_["conv1"].forward.y[1, 3, 4, 5]) in " ".join(texts(show(pass_, "conv1", (4, 5), 3, image=1)))
