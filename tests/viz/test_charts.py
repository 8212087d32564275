"""Learning curves and confusion matrices: which lines, numbers and words are drawn, and where."""

import math

import numpy as np
import pytest
from matplotlib.colors import to_hex
from PIL import Image

from tinyalex import viz
from tinyalex.errors import DataError, LabelError, ShapeError
from tinyalex.viz.canvas import BLUE, INK, ORANGE


def texts(axes):
    return [text.get_text() for text in axes.texts]


HISTORY = [
    {
        "epoch": epoch,
        "train_loss": 2.0 / epoch,
        "train_top1_error": 0.8 / epoch,
        "val_loss": 2.2 / epoch,
        "val_top1_error": 0.9 / epoch,
        "val_top5_error": 0.3 / epoch,
        "lr": 0.01 if epoch <= 2 else 0.001,
        "images_per_s": 100.0,
        "seconds": 7.0,
    }
    for epoch in (1, 2, 3, 4)
]


def test_learning_curves_draw_loss_in_nats_and_error_in_percent():
    loss, error = viz.learning_curves(HISTORY).axes
    assert (loss.get_ylabel(), error.get_ylabel()) == ("cross-entropy loss (nats)", "error (%)")
    assert loss.get_xlabel() == error.get_xlabel() == "epoch"
    drawn = [(to_hex(line.get_color()), line.get_linestyle()) for line in (*loss.lines, *error.lines)]
    assert drawn == [(BLUE, "-"), (ORANGE, "-"), (BLUE, "-"), (ORANGE, "-"), (ORANGE, "--")]
    expected = [
        [2, 1, 2 / 3, 0.5],
        [2.2, 1.1, 2.2 / 3, 0.55],
        [80, 40, 80 / 3, 20],
        [90, 45, 30, 22.5],
        [30, 15, 10, 7.5],
    ]
    for line, values in zip((*loss.lines, *error.lines), expected, strict=True):
        np.testing.assert_array_equal(line.get_xdata(), [1, 2, 3, 4])
        np.testing.assert_allclose(line.get_ydata(), values, rtol=1e-12)


def test_the_legend_says_which_line_is_which_and_how_the_error_ended():
    loss, error = viz.learning_curves(HISTORY).axes
    assert [t.get_text() for t in loss.get_legend().get_texts()] == ["training", "validation"]
    assert [t.get_text() for t in error.get_legend().get_texts()] == [
        "training, top-1: 20.0 %",
        "validation, top-1: 22.5 %",
        "validation, top-5: 7.5 %",
    ]


def test_a_thin_line_marks_where_the_learning_rate_changed():
    for axes in viz.learning_curves(HISTORY).axes:
        assert texts(axes) == ["lr 0.01", "0.001"]
        [lines] = axes.collections
        [segment] = lines.get_segments()
        np.testing.assert_array_equal(segment, [[2, 0], [2, 1]])  # the end of epoch 2, the whole height
        assert lines.get_linewidth()[0] < 1
        assert axes.texts[1].xy == (2, 1)


def test_labels_of_rates_that_change_soon_after_each_other_do_not_overlap(check_layout):
    drops = [23, 51, 68, 72, 78]  # the paper's one run of 93 passes
    history = [{"epoch": e, "val_loss": 1 / e, "lr": 0.01 * 0.1 ** sum(e > d for d in drops)} for e in range(1, 94)]
    figure = viz.learning_curves(history)
    axes = figure.axes[0]
    assert [segment[0][0] for segment in axes.collections[0].get_segments()] == drops
    assert len(check_layout(figure, axes.texts)) == 6


def test_a_rate_that_always_changes_is_told_in_words():
    history = [{"epoch": e, "train_loss": 1.0, "lr": 0.1 / e} for e in range(1, 11)]
    axes = viz.learning_curves(history).axes[0]
    assert texts(axes) == ["lr 0.1 to 0.01"]
    assert not axes.collections[0].get_segments()


def test_axes_start_at_zero_and_count_whole_epochs():
    for axes in viz.learning_curves(HISTORY).axes:
        assert axes.get_ylim()[0] == 0
        left, right = axes.get_xlim()
        assert left == 0
        assert 4 < right < 4.5
        assert all(tick == round(tick) for tick in axes.get_xticks())


def test_one_epoch_is_a_point_within_the_axes(tmp_path):
    figure = viz.learning_curves(HISTORY[:1])
    for axes in figure.axes:
        assert all(tick == round(tick) for tick in axes.get_xticks())
        for line in axes.lines:
            assert line.get_marker() == "o"
            assert axes.get_xlim()[0] < 1 < axes.get_xlim()[1]
            assert 0 < line.get_ydata()[0] < axes.get_ylim()[1] - 0.01
    viz.save(figure, tmp_path / "one.png")


def test_records_without_validation_leave_gaps_not_zeros(tmp_path):
    sparse = [
        {k: v for k, v in record.items() if not k.startswith("val") or record["epoch"] % 2 == 0} for record in HISTORY
    ]
    sparse[1]["val_top5_error"] = None
    loss, error = viz.learning_curves(sparse).axes
    np.testing.assert_array_equal(loss.lines[1].get_xdata(), [2, 4])
    np.testing.assert_allclose(error.lines[1].get_ydata(), [45, 22.5])
    np.testing.assert_array_equal(error.lines[2].get_xdata(), [4])

    only_training = [{k: v for k, v in record.items() if not k.startswith("val") and k != "lr"} for record in HISTORY]
    figure = viz.learning_curves(only_training)
    assert [len(axes.lines) for axes in figure.axes] == [1, 1]
    assert [texts(axes) for axes in figure.axes] == [[], []]
    viz.save(figure, tmp_path / "training.png")

    figure = viz.learning_curves([{"epoch": 1}])
    assert [len(axes.lines) for axes in figure.axes] == [0, 0]
    viz.save(figure, tmp_path / "nothing.png")


@pytest.mark.parametrize("loss", [math.nan, math.inf, 0.0])
def test_a_run_that_diverged_or_is_perfect_is_drawn(tmp_path, loss):
    figure = viz.learning_curves([{"epoch": 1, "train_loss": loss, "train_top1_error": 0.0, "lr": 1.0}])
    viz.save(figure, tmp_path / "a.png")
    assert all(np.isfinite(axes.get_ylim()).all() for axes in figure.axes)


def test_an_empty_history_is_refused():
    with pytest.raises(DataError, match="got an empty history"):
        viz.learning_curves([])


def test_confusion_matrix_by_hand():
    counts = viz.confusion_matrix([0, 0, 0, 1, 3, 3], [0, 1, 1, 1, 0, 3], 4)
    assert counts.tolist() == [[1, 2, 0, 0], [0, 1, 0, 0], [0, 0, 0, 0], [1, 0, 0, 1]]
    assert counts.dtype == np.int64


def test_confusion_matrix_of_small_integers_and_many_classes_does_not_overflow():
    labels = np.array([199, 3], np.uint8)
    counts = viz.confusion_matrix(labels, labels[::-1], 200)
    assert (counts[199, 3], counts[3, 199], counts.sum()) == (1, 1, 2)


def test_confusion_matrix_of_no_images():
    assert viz.confusion_matrix(np.empty(0, int), np.empty(0, int), 3).tolist() == [[0] * 3] * 3


@pytest.mark.parametrize(
    ("labels", "predicted", "error", "told"),
    [
        ([0, 3], [0, 0], LabelError, "got labels from 0 to 3: expected integers from 0 to 2; check the number"),
        ([0, 0], [0, -1], LabelError, "got predictions from -1 to 0: expected integers from 0 to 2"),
        ([0.0, 1.0], [0, 1], LabelError, "got labels in float64: expected integers from 0 to 2"),
        ([0, 1], [0], ShapeError, r"got labels \(2,\) and predictions \(1,\)"),
        ([[0]], [[0]], ShapeError, r"got labels \(1, 1\)"),
    ],
)
def test_confusion_matrix_refuses_what_are_no_labels(labels, predicted, error, told):
    with pytest.raises(error, match=told):
        viz.confusion_matrix(labels, predicted, 3)


def test_confusion_shows_the_share_of_each_true_class():
    counts = [[6, 2, 0], [1, 0, 3], [0, 0, 1000]]
    figure = viz.confusion(counts, ["ant", "bee", "cat"])
    axes, scale = figure.axes
    expected = [[75, 25, 0], [25, 0, 75], [0, 0, 100]]
    np.testing.assert_allclose(axes.images[0].get_array(), expected)
    assert axes.images[0].get_clim() == (0, 100)
    cells = {text.get_position(): (text.get_text(), to_hex(text.get_color())) for text in axes.texts}
    assert cells == {  # (column, row): nothing is written for a count of 0
        (0, 0): ("75", "#ffffff"),
        (1, 0): ("25", INK),
        (0, 1): ("25", INK),
        (2, 1): ("75", "#ffffff"),
        (2, 2): ("100", "#ffffff"),
    }
    for ticks in (axes.get_xticklabels(), axes.get_yticklabels()):
        assert [tick.get_text() for tick in ticks] == ["ant", "bee", "cat"]
    assert (axes.get_xlabel(), axes.get_ylabel()) == ("predicted class", "true class")
    assert axes.get_ylim()[0] > axes.get_ylim()[1]  # the first class is the top row
    assert axes.get_title(loc="left") == "1,012 images, top-1 error 0.6 %"
    assert scale.get_ylabel() == "share of the true class (%)"


def test_a_class_without_images_is_an_empty_row(tmp_path):
    figure = viz.confusion([[0, 0], [1, 3]], ["a", "b"])
    np.testing.assert_allclose(figure.axes[0].images[0].get_array(), [[0, 0], [25, 75]])
    assert texts(figure.axes[0]) == ["25", "75"]
    viz.save(viz.confusion(np.zeros((2, 2), int), ["a", "b"]), tmp_path / "c.png")


@pytest.mark.parametrize("classes", [1, 20, 21, 50])
def test_up_to_fifty_classes_are_named_and_up_to_twenty_have_numbers(classes, check_layout):
    names = [f"class {c}, also known as number {c}" for c in range(classes)]
    figure = viz.confusion(np.eye(classes, dtype=int), names)
    axes = figure.axes[0]
    assert len(axes.texts) == (classes if classes <= 20 else 0)
    assert [tick.get_text() for tick in axes.get_yticklabels()] == [f"class {c}" for c in range(classes)]
    check_layout(figure, [axes, *axes.get_yticklabels()])


def test_a_thousand_classes_are_an_image_only(tmp_path):
    counts = np.eye(1000, dtype=int)
    counts[10, 900] = 1
    figure = viz.confusion(counts, [f"class {c}" for c in range(1000)])
    axes = figure.axes[0]
    assert not axes.texts
    assert axes.images[0].get_array()[10, 900] == 50
    assert axes.images[0].get_interpolation() == "antialiased"
    viz.save(figure, tmp_path / "c.png")
    assert not any("class" in tick.get_text() for tick in (*axes.get_xticklabels(), *axes.get_yticklabels()))
    assert len(axes.get_xticks()) < 20
    # every class is seen though there are fewer dots than classes: no stretch of the diagonal is white
    box = axes.get_window_extent()
    with Image.open(tmp_path / "c.png") as image:
        pixels = np.asarray(image.convert("L"), dtype=int)
    bottom = len(pixels) - round(box.y0)
    rows = pixels[bottom - round(box.height) + 3 : bottom - 3, round(box.x0) + 3 : round(box.x1) - 3]
    assert rows.min(axis=1).max() < 200


@pytest.mark.parametrize(("shape", "names"), [((2, 3), "ab"), ((2, 2), "abc"), ((0, 0), ""), ((4,), "ab")])
def test_confusion_refuses_a_matrix_that_does_not_fit_its_names(shape, names):
    with pytest.raises(ShapeError, match="got a confusion matrix of shape"):
        viz.confusion(np.ones(shape, int), list(names))
