"""Test images, their likeliest classes and nearest training images: which, in which order and colour."""

import itertools
import math

import numpy as np
import pytest
from matplotlib.colors import to_hex

from tinyalex import viz
from tinyalex.errors import ShapeError
from tinyalex.viz import figure4
from tinyalex.viz.canvas import AMBER, INK, ORANGE, PALE


def texts(axes):
    return [text.get_text() for text in axes.texts]


def photograph(rng, height, width):
    return rng.integers(0, 256, (height, width, 3), dtype=np.uint8)


def charts(figure):
    """The axes with bars, in the order of the pictures."""
    return [axes for axes in figure.axes if axes.patches]


def pictures_of(figure):
    return [axes for axes in figure.axes if axes.images]


def test_predictions_show_the_five_likeliest_with_the_correct_one_in_another_colour():
    rng = np.random.default_rng(4)
    p = [0.05, 0.4, 0.1, 0.0, 0.3, 0.15]
    names = ["ant", "bee", "cat", "dog", "eel", "fox"]
    figure = viz.predictions([photograph(rng, 40, 30), photograph(rng, 20, 50)], [4, 3], [p, p], names)
    first, second = charts(figure)
    for chart in (first, second):
        np.testing.assert_allclose([bar.get_width() for bar in chart.patches], [0.4, 0.3, 0.15, 0.1, 0.05])
        assert texts(chart) == ["bee", "40 %", "eel", "30 %", "fox", "15 %", "cat", "10 %", "ant", "5 %"]
        assert chart.get_ylim()[0] > chart.get_ylim()[1]  # the likeliest on top
    assert [to_hex(bar.get_facecolor()) for bar in first.patches] == [PALE, AMBER, PALE, PALE, PALE]
    assert [to_hex(bar.get_facecolor()) for bar in second.patches] == [PALE] * 5  # the true class is not among them
    assert [axes.get_xlabel() for axes in pictures_of(figure)] == ["eel", "dog"]


def test_photographs_are_shown_whole_smooth_and_in_proportion():
    rng = np.random.default_rng(5)
    pictures = [photograph(rng, *size) for size in ((40, 30), (20, 50), (7, 7), (224, 224))]
    figure = viz.predictions(pictures, [0] * 4, np.full((4, 2), 0.5), ["a", "b"])
    figure.draw_without_rendering()
    for axes, picture in zip(pictures_of(figure), pictures, strict=True):
        np.testing.assert_array_equal(axes.images[0].get_array(), picture)
        assert axes.images[0].get_interpolation() == "lanczos"
        box = axes.get_window_extent()
        assert box.width / box.height == pytest.approx(picture.shape[1] / picture.shape[0], rel=1e-3)
        assert len(axes.get_xticks()) == len(axes.get_yticks()) == 0


@pytest.mark.parametrize("count", [1, 3, 5, 8])
def test_nothing_of_the_predictions_overlaps(count, check_layout):
    rng = np.random.default_rng(6)
    pictures = [photograph(rng, *rng.integers(10, 60, 2)) for _ in range(count)]
    p = np.eye(6)[np.arange(count) % 6]  # full bars: the percentage stands beside them
    figure = viz.predictions(pictures, np.arange(count) % 6, p, ["grand_piano, whatever"] * 6)
    captions = [axes.xaxis.label for axes in pictures_of(figure)]
    assert len(check_layout(figure, [*figure.axes, *captions])) == 3 * count
    for chart in charts(figure):
        bar, percentage = chart.patches[0].get_window_extent(), chart.texts[1].get_window_extent()
        assert percentage.x0 > bar.x1


@pytest.mark.parametrize("classes", [1, 3, 1000])
def test_predictions_of_any_number_of_classes(classes, tmp_path):
    rng = np.random.default_rng(7)
    p = rng.dirichlet(np.ones(classes), size=2)
    names = [f"class {c}" for c in range(classes)]
    figure = viz.predictions([photograph(rng, 8, 8)] * 2, [0, classes - 1], p, names)
    for chart, row in zip(charts(figure), p, strict=True):
        best = sorted(range(classes), key=lambda c: -row[c])[:5]
        assert texts(chart)[::2] == [names[c] for c in best]
        np.testing.assert_allclose([bar.get_width() for bar in chart.patches], [row[c] for c in best])
        assert chart.get_ylim() == (4.5, -0.5)  # bars of the same height, however many there are
    viz.save(figure, tmp_path / "p.png")


def test_on_a_tie_the_lower_class_comes_first():
    chart = charts(viz.predictions([np.zeros((4, 4, 3), np.uint8)], [1], [[0.25] * 4], list("abcd")))[0]
    assert texts(chart)[::2] == ["a", "b", "c", "d"]
    assert to_hex(chart.patches[1].get_facecolor()) == AMBER


def test_pictures_of_unknown_class_have_a_caption_instead():
    picture = np.zeros((4, 4, 3), np.uint8)
    figure = viz.predictions([picture], None, [[0.9, 0.1]], ["a", "b"], captions=["IMG_1.JPEG"])
    assert pictures_of(figure)[0].get_xlabel() == "IMG_1.JPEG"
    assert {to_hex(bar.get_facecolor()) for bar in charts(figure)[0].patches} == {PALE}
    assert pictures_of(viz.predictions([picture], None, [[0.9, 0.1]], ["a", "b"]))[0].get_xlabel() == ""


def test_a_name_is_no_formula(tmp_path):
    figure = viz.predictions([np.zeros((4, 4, 3), np.uint8)], [0], [[0.9, 0.1]], [r"$\bad", "a$b$"])
    assert texts(charts(figure)[0])[0] == r"$\bad"
    viz.save(figure, tmp_path / "p.png")
    viz.save(viz.confusion([[1, 0], [0, 1]], [r"$\bad$", "$"]), tmp_path / "c.png")
    row = [[np.zeros((4, 4, 3), np.uint8)]]
    viz.save(viz.neighbours(row[0], row, [r"$\bad$"], [["$"]]), tmp_path / "n.png")


@pytest.mark.parametrize(
    "picture",
    [
        np.zeros((3, 8, 8), np.uint8),
        np.zeros((8, 8), np.uint8),
        np.zeros((8, 8, 3), np.float32),
        np.zeros((0, 8, 3), np.uint8),
    ],
)
def test_arrays_that_are_no_photographs_are_refused(picture):
    with pytest.raises(ShapeError, match=r"expected \(h, w, 3\) and uint8"):
        viz.predictions([picture], [0], [[1.0]], ["a"])


@pytest.mark.parametrize(
    ("count", "labels", "shape", "captions"),
    [(0, [], (0, 2), None), (2, [0], (2, 2), None), (1, [0], (1, 3), None), (1, [0], (2,), None), (1, [0], (1, 2), [])],
)
def test_predictions_that_do_not_fit_are_refused(count, labels, shape, captions):
    with pytest.raises(ShapeError, match="pictures with probabilities"):
        viz.predictions([np.zeros((4, 4, 3), np.uint8)] * count, labels, np.ones(shape), ["a", "b"], captions=captions)


def test_bars_in_text():
    names = ["ant", "bee", "cat", "dog", "elephant", "fox"]
    p = np.array([0.5, 0.25, 0.03125, 0.15625, 0.0625, 0.0])
    assert viz.bars(names, p, width=8).split("\n") == [
        "ant       ████      50.0 %",
        "bee       ██        25.0 %",
        "dog       █▎        15.6 %",
        "elephant  ▌          6.2 %",
        "cat       ▎          3.1 %",
    ]


@pytest.mark.parametrize("classes", [1, 3])
def test_text_bars_of_fewer_than_five_classes(classes):
    lines = viz.bars(["a"] * classes, np.full(classes, 1 / classes)).split("\n")
    assert len(lines) == classes
    assert lines[0].count("█") == 40 // classes
    assert len({len(line) for line in lines}) == 1


def test_a_certain_class_fills_the_width_and_its_name_is_cut():
    [line] = viz.bars(["a name that is far too long for one line"], [1.0], width=10).split("\n")
    assert line == "a name that is far too long f…  ██████████ 100.0 %"


def test_text_bars_need_a_name_a_class():
    with pytest.raises(ShapeError, match="2 names"):
        viz.bars(["a", "b"], [1.0])


def test_neighbours_stand_beside_their_test_image_and_strangers_are_marked(tmp_path):
    rng = np.random.default_rng(8)
    queries = [photograph(rng, 20, 30), photograph(rng, 30, 20)]
    found = [[photograph(rng, *rng.integers(10, 40, 2)) for _ in range(6)] for _ in queries]
    labels = [["ant", "ant", "bee", "ant", "ant", "cat"], ["cat"] * 6]
    figure = viz.neighbours(queries, found, ["ant", "cat"], labels)
    assert len(figure.axes) == 14
    wanted = [
        (queries[0], "ant"),
        *zip(found[0], labels[0], strict=True),
        (queries[1], "cat"),
        *zip(found[1], labels[1], strict=True),
    ]
    strangers = [3, 6]  # of the first row: a bee and a cat beside an ant
    for place, (axes, (picture, label)) in enumerate(zip(figure.axes, wanted, strict=True)):
        np.testing.assert_array_equal(axes.images[0].get_array(), picture)
        assert axes.get_xlabel() == label
        odd = place in strangers
        assert to_hex(axes.xaxis.label.get_color()) == (ORANGE if odd else INK)
        for spine in axes.spines.values():
            assert spine.get_visible() == odd
            assert not odd or (to_hex(spine.get_edgecolor()) == ORANGE and spine.get_linewidth() > 2)
    viz.save(figure, tmp_path / "n.png")


def test_neighbours_are_laid_out_in_rows_under_two_titles(check_layout):
    rng = np.random.default_rng(9)
    queries = [photograph(rng, 20, 20) for _ in range(5)]
    labels = ["a", "b", "c", "d", "e"]
    figure = viz.neighbours(queries, [queries] * 5, labels, [labels] * 5)
    captions = [axes.xaxis.label for axes in figure.axes]
    found = check_layout(figure, [*figure.axes, *figure.texts, *captions])
    frames, titles = found[:30], found[30:32]
    grid = [frames[6 * row : 6 * row + 6] for row in range(5)]
    assert all(math.isclose(box.y0, row[0].y0) for row in grid for box in row)
    assert all(a.x1 < b.x0 for row in grid for a, b in itertools.pairwise(row))
    assert grid[0][1].x0 - grid[0][0].x1 > 2 * (grid[0][2].x0 - grid[0][1].x1)  # the test images stand apart
    assert [t.get_text() for t in figure.texts] == ["test image", "nearest training images"]
    assert [title.x0 for title in titles] == pytest.approx([grid[0][0].x0, grid[0][1].x0], abs=3)


def test_neighbours_of_unknown_class_have_any_texts_and_no_frames():
    picture = np.zeros((4, 4, 3), np.uint8)
    figure = viz.neighbours([picture], [[picture] * 2], ["cat.jpg"], [["1.5", "2.5"]], titles=("a", "b"), classes=False)
    assert [text.get_text() for text in figure.texts] == ["a", "b"]
    assert [axes.get_xlabel() for axes in figure.axes] == ["cat.jpg", "1.5", "2.5"]
    for axes in figure.axes:
        assert to_hex(axes.xaxis.label.get_color()) == INK
        assert not any(spine.get_visible() for spine in axes.spines.values())


@pytest.mark.parametrize(
    ("queries", "found", "query_labels", "found_labels"),
    [
        (1, [2, 2], [0], [[0, 0]]),
        (1, [2], [0], [[0]]),
        (2, [2, 1], [0, 0], [[0, 0], [0]]),
        (0, [], [], []),
        (1, [0], [0], [[]]),
    ],
)
def test_neighbours_that_do_not_fit_are_refused(queries, found, query_labels, found_labels):
    picture = np.zeros((4, 4, 3), np.uint8)
    with pytest.raises(ShapeError, match="rows of neighbours"):
        viz.neighbours([picture] * queries, [[picture] * n for n in found], query_labels, found_labels)


def nearest_by_hand(queries, train, k):
    """One number at a time, in Python's floats."""
    found = []
    for q in queries.tolist():
        distances = [math.fsum((a - b) ** 2 for a, b in zip(q, t, strict=True)) for t in train.tolist()]
        found.append(sorted(range(len(distances)), key=lambda i: (distances[i], i))[:k])
    return found


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("chunk", [1, 21, 1 << 22])
def test_nearest_against_a_loop(monkeypatch, dtype, chunk):
    monkeypatch.setattr(
        figure4, "CHUNK", chunk
    )  # a row at a time, three rows at a time with one left over, all at once
    rng = np.random.default_rng(10)
    queries, train = rng.normal(size=(5, 7)).astype(dtype), rng.normal(size=(40, 7)).astype(dtype)
    assert viz.nearest(queries, train, 6).tolist() == nearest_by_hand(queries, train, 6)


def test_nearest_gives_the_lower_index_first_on_a_tie(monkeypatch):
    rng = np.random.default_rng(11)
    kinds = rng.normal(size=(3, 33)).astype(np.float32)
    train = kinds[[2, 0, 1, 0, 2, 1, 0, 0, 2]]
    for chunk in (33, 4 * 33, 1 << 20):
        monkeypatch.setattr(figure4, "CHUNK", chunk)
        assert viz.nearest(kinds[:1], train, 4).tolist() == [[1, 3, 6, 7]]


def test_nearest_tells_features_apart_that_differ_in_their_last_digits():
    train = np.full((4, 2), 4096, np.float32)
    train[:, 0] += np.array([3, 1, 2, 0], np.float32) / 2048  # squares of 1.7e7: their differences drown in float32
    assert viz.nearest(train[3:], train, 4).tolist() == [[3, 1, 2, 0]]
    far = np.array([[4096, 1], [4096, 0]], np.float32)  # 2**24 + 1 has no float32
    assert viz.nearest(np.zeros((1, 2), np.float32), far, 2).tolist() == [[1, 0]]


@pytest.mark.parametrize(
    ("queries", "train", "k"), [((2, 3), (5, 4), 1), ((3,), (5, 3), 1), ((2, 3), (5, 3), 6), ((2, 3), (5, 3), 0)]
)
def test_nearest_refuses_what_cannot_be_compared(queries, train, k):
    with pytest.raises(ShapeError):
        viz.nearest(np.zeros(queries), np.zeros(train), k)


def test_nearest_among_parts_of_different_lengths():
    rng = np.random.default_rng(12)
    queries, train = rng.normal(size=(4, 7)), rng.normal(size=(23, 7))
    parts = np.split(train, [1, 9, 10])
    found, distances = figure4.nearest_among(queries, iter(parts), 6)
    assert found.tolist() == nearest_by_hand(queries, train, 6)
    expected = [[math.dist(query, train[i]) for i in row] for query, row in zip(queries, found, strict=True)]
    np.testing.assert_allclose(distances, expected, rtol=1e-12)
    assert figure4.nearest_among(queries, iter(parts[:1]), 6)[0].shape == (4, 1)
