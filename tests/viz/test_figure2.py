"""The picture of the net: every layer with its size, and lines that cross where its columns meet."""

from dataclasses import replace

import pytest
from matplotlib.colors import to_hex
from matplotlib.text import Annotation

from tinyalex import spec, viz
from tinyalex.count import count
from tinyalex.errors import UsageError
from tinyalex.viz.canvas import BLUE, ORANGE


def drawn(rows):
    """The texts of the picture, and how many lines stay in their column and how many cross."""
    artists = viz.architecture(rows).axes[0].texts
    arrows = [to_hex(a.arrow_patch.get_edgecolor()) for a in artists if isinstance(a, Annotation)]
    return [artist.get_text() for artist in artists], (arrows.count(BLUE), arrows.count(ORANGE))


def test_the_papers_net():
    texts, lines = drawn(count(spec.PAPER))
    for name, size, times in [
        ("image", "3 × 224 × 224", 1),
        ("conv1", "48 × 55 × 55", 2),
        ("conv2", "128 × 27 × 27", 2),
        ("conv3", "192 × 13 × 13", 4),  # conv4 too
        ("conv5", "128 × 13 × 13", 2),
        ("fc6", "2,048", 4),  # fc7 too
        ("fc8", "1,000", 1),
    ]:
        assert texts.count(name) == 1
        assert texts.count(size) == times, size
    assert texts.count("norm, pool") == 2
    assert "11 × 11, stride 4" in texts
    assert lines == (2 + 6 * 2, 4 * 2)  # from the image and within the columns; before conv3, fc6, fc7 and fc8


@pytest.mark.parametrize(
    ("variant", "cross_columns", "lines"),
    [("paper", (3, 4), (14, 10)), ("torchvision", (3,), (8, 0)), ("mini", (), (14, 6)), ("six-conv", (3,), (16, 10))],
)
def test_lines_cross_where_columns_meet(variant, cross_columns, lines):
    assert drawn(count(spec.variant(variant), cross_columns=cross_columns))[1] == lines


def test_average_pooling_is_told_from_the_maximum():
    texts = [text.get_text() for text in viz.architecture(count(spec.CIFAR10_QUICK, 10)).axes[0].texts]
    assert (texts.count("pool"), texts.count("mean pool")) == (1, 2)


def test_nothing_lies_on_anything_else(check_layout):
    figure = viz.architecture(count(spec.PAPER))
    check_layout(figure, [text for text in figure.axes[0].texts if text.get_text()])


def test_more_than_two_columns():
    with pytest.raises(UsageError, match="got a net in 4 columns: expected 1 or 2"):
        viz.architecture(count(replace(spec.PAPER, columns=4)))
