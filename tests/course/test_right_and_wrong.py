"""A right solution keeps full marks however it is written; more mistakes than the guide lists lose points.

`right` holds whole hand-ins, written as students write: loops, einsum, views, classes, recursion, names that clash.
With --whole-course all are marked, and all mistakes in `wrong`; without it one hand-in for each assignment.
"""

import copy
import importlib

import pytest
from nbgrader.utils import determine_grade

from course.sources import ASSIGNMENTS, RIGHT, hand_in, lost, make, mistakes, run, solution_cells, source, write_files
from tinyalex.course import cells
from tinyalex.course.marking.execute import MarkingExecute

QUICK = {
    *("assignment1_views", "assignment2_vectors", "assignment3_einsum", "assignment4_arrays", "assignment5_other"),
    "assignment6_split",
}
WRONG = [(name, one) for name in ASSIGNMENTS for one in importlib.import_module(f"course.wrong.{name}").MISTAKES]


@pytest.mark.parametrize("path", RIGHT, ids=lambda path: path.stem)
def test_a_right_solution_keeps_full_marks(path, tmp_path, pytestconfig):
    if path.stem not in QUICK and not pytestconfig.getoption("--whole-course"):
        pytest.skip("only with --whole-course")
    outcomes = run(hand_in(path), path.stem.partition("_")[0], tmp_path)
    assert outcomes
    assert {name: outcome.error for name, outcome in outcomes.items() if outcome.points < outcome.of} == {}


@pytest.mark.parametrize("path", RIGHT, ids=lambda path: path.stem)
def test_the_judge_gives_it_full_marks_too(path, tmp_path, pytestconfig):
    """Its answers and what it asks for have crossed the wire: the judge is another process than the student's."""
    if path.stem not in QUICK and not pytestconfig.getoption("--whole-course"):
        pytest.skip("only with --whole-course")
    write_files(path.stem.partition("_")[0], tmp_path)
    notebook, _ = MarkingExecute().preprocess(hand_in(path), {"metadata": {"path": str(tmp_path)}})
    tests = {cells.grade_id(cell): cell for cell in notebook.cells if cells.is_tests(cell)}
    points = {name: determine_grade(cell) for name, cell in tests.items()}
    assert tests
    assert {name: tests[name].outputs for name, (got, of) in points.items() if got < of} == {}


@pytest.mark.parametrize(("assignment", "mistake"), WRONG, ids=[f"{a}-{m.exercise}-{m.name}" for a, m in WRONG])
def test_a_wrong_solution_loses_points_in_its_own_exercise(assignment, mistake, pytestconfig):
    if not pytestconfig.getoption("--whole-course"):
        pytest.skip("only with --whole-course")
    errors = lost(assignment, mistake)
    assert {cells.exercise_of(name) for name in errors} == {mistake.exercise}, errors
    assert any(mistake.symptom in error for error in errors.values()), errors


@pytest.mark.parametrize("assignment", ASSIGNMENTS)
def test_mistakes_fit_the_solutions(assignment):
    """As the solutions change, so must these, and no mistake is there twice."""
    more = [one for name, one in WRONG if name == assignment]
    assert not {(one.exercise, one.name) for one in more} & {(one.exercise, one.name) for one in mistakes(assignment)}
    for mistake in more:
        notebook = copy.deepcopy(source(assignment))
        make(notebook, mistake)
        compile(solution_cells(notebook)[mistake.exercise].source, "<solution>", "exec")
