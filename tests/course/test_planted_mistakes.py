"""Every planted mistake loses points in its own exercise and in no other, and the feedback names the symptom.

The table of them in docs/teaching.md is made here: `make matrix` writes it again.
"""

import copy
from pathlib import Path

import pytest

from course.sources import ASSIGNMENTS, lost, mistakes, outcomes, run, solution_cells, source
from tinyalex.course import cells

GUIDE = Path(__file__).parents[2] / "docs" / "teaching.md"
BEGIN, END = "<!-- the mistakes: made by `make matrix` -->\n", "<!-- end of the mistakes -->\n"
PLANTED = [(assignment, mistake) for assignment in ASSIGNMENTS for mistake in mistakes(assignment)]
NAMED = [f"{assignment}-{mistake.exercise}-{mistake.name}" for assignment, mistake in PLANTED]


@pytest.mark.parametrize("assignment", ASSIGNMENTS)
def test_the_reference_gets_full_marks(assignment):
    found = outcomes(assignment)
    assert found
    assert {name: outcome.error for name, outcome in found.items() if outcome.points < outcome.of} == {}


@pytest.mark.parametrize(("assignment", "mistake"), PLANTED, ids=NAMED)
def test_a_mistake_costs_its_own_exercise_only(assignment, mistake):
    errors = lost(assignment, mistake)
    assert {cells.exercise_of(name) for name in errors} == {mistake.exercise}, errors
    assert any(mistake.symptom in error for error in errors.values()), errors


def test_every_exercise_has_a_mistake_and_every_mistake_a_name():
    assert len(set(NAMED)) == len(NAMED)
    exercises = {(a, exercise) for a in ASSIGNMENTS for exercise in solution_cells(source(a))}
    assert exercises == {(assignment, mistake.exercise) for assignment, mistake in PLANTED}


@pytest.mark.parametrize("assignment", ASSIGNMENTS)
def test_an_exercise_that_is_left_out_costs_no_other(assignment, tmp_path):
    """Each solution in turn is taken away, function and all."""
    whole = source(assignment)
    for exercise in solution_cells(whole):
        notebook = copy.deepcopy(whole)
        solution_cells(notebook)[exercise].source = "raise NotImplementedError"
        found = run(notebook, assignment, tmp_path)
        assert {cells.exercise_of(name) for name, one in found.items() if one.points < one.of} == {exercise}


def matrix():
    """A table for each assignment: a line a mistake, a column an exercise, the points that are lost."""
    lines = []
    for assignment in ASSIGNMENTS:
        exercises = list(solution_cells(source(assignment)))
        lines += ["", f"### {assignment.replace('assignment', 'Assignment ')}", ""]
        lines += ["| mistake | " + " | ".join(exercises) + " |"]
        lines += ["|---" * (len(exercises) + 1) + "|"]
        for mistake in mistakes(assignment):
            points = dict.fromkeys(exercises, 0.0)
            for name in lost(assignment, mistake):
                points[cells.exercise_of(name)] += outcomes(assignment)[name].of
            row = [f"-{points[exercise]:g}" if points[exercise] else "" for exercise in exercises]
            lines.append(f"| {mistake.name} | " + " | ".join(row) + " |")
    return "\n".join(lines) + "\n\n"


def test_the_guide_shows_the_matrix(pytestconfig):
    before, _, rest = GUIDE.read_text().partition(BEGIN)
    _, _, after = rest.partition(END)
    if pytestconfig.getoption("--write-matrix"):
        GUIDE.write_text(before + BEGIN + matrix() + END + after)
    assert before + BEGIN + matrix() + END + after == GUIDE.read_text(), "write it again with `make matrix`"
