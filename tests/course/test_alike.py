"""Copies are found, however disguised; independent solutions are not."""

import copy
import inspect
import random

import nbformat
import pytest

from course.copies import disguised
from course.generated import Generated
from course.sources import ASSIGNMENTS, RIGHT, hand_in, solution_cells, source
from tinyalex.course.handed_in.alike import alike, runs, write_alike


def written(assignment, codes):
    """The notebook with other code in its answers."""
    notebook = copy.deepcopy(source(assignment))
    for exercise, cell in solution_cells(notebook).items():
        cell.source = codes.get(exercise, "# nothing yet\nraise NotImplementedError")
    return notebook


def independent(assignment):
    """The right hand-ins that were written independently of each other."""
    return [hand_in(path) for path in RIGHT if path.stem.startswith(f"{assignment}_")]


def found(assignment, notebooks):
    return {(pair.first, pair.second): pair for pair in alike(assignment, notebooks, source(assignment))}


@pytest.mark.parametrize("assignment", ASSIGNMENTS)
def test_copies_are_found_and_independent_work_is_not(assignment):
    own, *others = independent(assignment)
    pairs = found(
        assignment,
        {
            "ann": own,
            "bob": disguised(own),
            "cy": disguised(own, random.Random(7)),
            "dee": disguised(source(assignment), random.Random(8)),
            "eve": written(assignment, {}),
            **{f"other{i}": one for i, one in enumerate(others)},
        },
    )
    assert set(pairs) == {("ann", "bob"), ("ann", "cy"), ("bob", "cy"), ("dee", "the solution")}
    assert pairs["ann", "bob"].share > 0.8


def test_one_exercise_that_was_copied_is_found():
    own, taken = solution_cells(independent("assignment1")[1]), solution_cells(disguised(source("assignment1")))
    codes = {name: own[name].source for name in own}
    pairs = found("assignment1", {"ann": written("assignment1", codes | {"col2im": taken["col2im"].source})})
    assert {key: pair.exercises for key, pair in pairs.items()} == {("ann", "the solution"): ("col2im",)}


def test_what_was_taken_from_this_package_is_found():
    from tinyalex.layers import lrn

    taken = {"lrn_forward": inspect.getsource(lrn.lrn_forward), "lrn_backward": inspect.getsource(lrn.lrn_backward)}
    pairs = found("assignment2", {"ann": written("assignment2", taken)})
    assert "tinyalex/layers/lrn.py" in {second for _, second in pairs}


def test_what_all_have_counts_little():
    """Of twenty who solve an exercise in the way that the task suggests, only the two who share more are told."""
    own = {exercise: cell.source for exercise, cell in solution_cells(independent("assignment1")[1]).items()}
    suggested = written("assignment1", {"conv_loops": own["conv_loops"]})
    pairs = found(
        "assignment1",
        {f"s{i:02}": suggested for i in range(18)}
        | {"ann": written("assignment1", own), "bob": disguised(written("assignment1", own))},
    )
    assert list(pairs) == [("ann", "bob")]


def test_a_source_is_found_though_all_have_copied_it():
    copied = disguised(source("assignment3"))
    assert list(found("assignment3", {f"s{i:02}": copied for i in range(40)}))[:40] == [
        (f"s{i:02}", "the solution") for i in range(40)
    ]


def test_code_that_is_none_is_alike_to_nothing():
    broken = Generated("x", "assignment1")
    for exercise in solution_cells(broken.notebook):
        broken.syntax_error(exercise)
    assert found("assignment1", {"ann": broken.notebook, "bob": broken.notebook}) == {}


def test_runs_do_not_see_names_layout_types_and_comments():
    head = 'def f(x: int) -> int:\n    """Doc."""\n    total: int = 0\n'
    one = f"{head}    for i in range(x):\n        total += i  # add\n    return total\n"
    other = "def g(n):\n    s = (0)\n    for _j in range(n): s += _j\n    return (s)"
    assert runs(one) == runs(other) != frozenset()
    assert runs(one) != runs(other.replace("+=", "-="))


def test_the_table_of_all_that_were_marked(tmp_path):
    for student in ("ann", "bob"):
        place = tmp_path / "submitted" / student / "assignment2"
        place.mkdir(parents=True)
        nbformat.write(disguised(independent("assignment2")[0]), place / "assignment2.ipynb")
    lines = write_alike(tmp_path, {"assignment2": source("assignment2"), "assignment3": source("assignment3")})
    assert lines == [f"pairs that are alike: 1, such as ann and bob: {tmp_path / 'alike.csv'}"]
    assert (tmp_path / "alike.csv").read_text().splitlines() == [
        "assignment,student,like,in common,the same exercises",
        "assignment2,ann,bob,100%,relu pool_forward pool_backward lrn_forward lrn_backward",
    ]
