"""The five kinds of assignment 5, and what is said of a net.npz that is missing, another net's, or no net at all."""

import copy
import io

import numpy as np
import pytest

from course.quick_run import run_cells
from course.sources import reference, solution_cells, source
from tinyalex.course import cells, kinds
from tinyalex.data.shapes import Shapes

NAME = "assignment5"


def notebook():
    """The cells of the last exercise alone, as when it is marked: nothing trains but `trained_net` itself."""
    whole = copy.deepcopy(source(NAME))
    whole.cells = [
        cell
        for cell in whole.cells
        if cells.grade_id(cell) == "setup" or cells.exercise_of(cells.grade_id(cell)) == "trained_net"
    ]
    return whole


def right():
    with np.load(io.BytesIO(reference(NAME)[1]["net.npz"])) as arrays:
        return dict(arrays)


def errors(folder):
    return {name: outcome.error for name, outcome in run_cells(notebook(), folder).items() if outcome.error}


def without(name):
    return lambda arrays: arrays.pop(name)


def renamed(arrays):
    for name in list(arrays):
        arrays[f"layer_{name}"] = arrays.pop(name)


def another_net(arrays):
    arrays["fc4.w"] = np.zeros((64, 512), np.float32)


def diverged(arrays):
    arrays["conv2.b"][3] = np.nan


def whole_numbers(arrays):
    arrays["mean"] = arrays["mean"].astype(np.uint8)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (without("mean"), "mean missing"),
        (without("conv1.w"), "conv1.w missing"),
        (renamed, "conv1.b, conv1.w"),
        (lambda arrays: arrays.update(velocity=np.zeros(3)), "a small net has no velocity"),
        (another_net, "fc4.w has the shape (64, 512), expected"),
        (diverged, "conv2.b holds nan or inf: the training had diverged"),
        (whole_numbers, "mean is uint8, expected float32 or float64"),
    ],
)
def test_a_foreign_file_gets_a_clear_word(change, words, tmp_path):
    arrays = right()
    change(arrays)
    np.savez(tmp_path / "net.npz", **arrays)
    found = errors(tmp_path)
    assert len(found) == 4
    assert all(words in error for error in found.values()), found


def test_a_file_that_is_no_npz(tmp_path):
    (tmp_path / "net.npz").write_bytes(b"a letter")
    assert all("np.savez did not write it" in error for error in errors(tmp_path).values())


def test_a_missing_file_gets_a_clear_word(tmp_path):
    """There is no time to train in marking."""
    one = notebook()
    solution_cells(one)["trained_net"].source = "def trained_net():\n    while True:\n        pass"
    one.cells = [cell for cell in one.cells if not cells.is_tests(cell) or cells.grade_id(cell) == "trained_net-file"]
    assert "net.npz is missing: train on your machine" in run_cells(one, tmp_path)["trained_net-file"].error


def test_points_come_in_steps(tmp_path):
    """A net that says one kind too often, until it is right three times in four; one that says nothing else."""
    arrays = right()
    while kinds.share_right(arrays, 200, seed=20125) > 0.75:  # the pictures of the hidden tests
        arrays["fc5.b"][0] += 0.5
    for bias, lost in ((0.0, {"eighty"}), (1000.0, {"sixty", "seventy", "eighty"})):
        arrays["fc5.b"][0] += bias
        np.savez(tmp_path / "net.npz", **arrays)
        assert set(errors(tmp_path)) == {f"trained_net-{step}" for step in lost}


def test_pictures_are_of_five_kinds_as_many_of_each():
    images, labels = kinds.pictures(50, seed=4)
    assert (images.shape, images.dtype) == ((50, 24, 24, 3), np.uint8)
    assert np.bincount(labels).tolist() == [10] * 5
    shapes = Shapes(100, seed=4, size=24)
    same = [np.flatnonzero((shapes.read(np.arange(100)) == image).all(axis=(1, 2, 3))).item() for image in images]
    assert [shapes.classes[shapes.labels[index]] for index in same] == [kinds.KINDS[label] for label in labels]


def test_pictures_differ_by_seed_and_by_split():
    one = kinds.pictures(10, seed=4)[0]
    assert (kinds.pictures(10, seed=4)[0] == one).all()
    assert (kinds.pictures(10, seed=5)[0] != one).any()
    assert (kinds.pictures(10, 4, "val")[0] != one).any()


def test_what_the_net_is_fed():
    images, _ = kinds.pictures(4, seed=0)
    mean = images.mean(axis=0)
    x = kinds.prepared(images, mean)
    assert (x.shape, x.dtype) == ((4, 3, 24, 24), np.float32)
    assert x[2, 1, 5, 7] == np.float32((images[2, 5, 7, 1] - mean[5, 7, 1]) / 64)
