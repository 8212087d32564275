"""Every planted mistake loses points in its own exercise and in no other, and the feedback names the symptom."""

import copy
import importlib
from pathlib import Path

import pytest

from tinyalex.course import cells

SOURCE = Path(__file__).parents[2] / "notebooks" / "assignments" / "source"
ASSIGNMENTS = sorted(path.name for path in SOURCE.iterdir())
PLANTED = [
    (assignment, mistake)
    for assignment in ASSIGNMENTS
    for mistake in importlib.import_module(f"course.mistakes.{assignment}").MISTAKES
]


def source(assignment):
    return cells.read(SOURCE / assignment / f"{assignment}.ipynb")


def with_mistake(notebook, mistake):
    """A copy of the reference solution in which the mistake has been made."""
    notebook = copy.deepcopy(notebook)
    cell = cells.solution_cells(notebook)[mistake.exercise]
    assert cell.source.count(mistake.old) == 1, f"{mistake.old!r} is there {cell.source.count(mistake.old)} times"
    cell.source = cell.source.replace(mistake.old, mistake.new)
    return notebook


@pytest.mark.parametrize("assignment", ASSIGNMENTS)
def test_the_reference_gets_full_marks(assignment, tmp_path):
    outcomes = cells.run(source(assignment), tmp_path)
    assert outcomes
    assert {name: outcome.error for name, outcome in outcomes.items() if outcome.points < outcome.of} == {}


@pytest.mark.parametrize(("assignment", "mistake"), PLANTED, ids=[f"{a}-{m.exercise}-{m.name}" for a, m in PLANTED])
def test_a_mistake_costs_its_own_exercise_only(assignment, mistake, tmp_path):
    outcomes = cells.run(with_mistake(source(assignment), mistake), tmp_path)
    errors = {name: outcome.error for name, outcome in outcomes.items() if outcome.points < outcome.of}
    assert {cells.exercise_of(name) for name in errors} == {mistake.exercise}, errors
    assert any(mistake.symptom in error for error in errors.values()), errors


def test_there_are_enough_mistakes_and_each_has_a_name():
    assert len({(assignment, mistake.name, mistake.exercise) for assignment, mistake in PLANTED}) == len(PLANTED)
