"""What students get: no solution, no hidden test, and nothing that gives points before they have worked."""

import re

import pytest

from course.quick_run import run_cells
from course.sources import ASSIGNMENTS, SOURCE, solution_cells, source
from tinyalex.course import cells
from tinyalex.course.marking.by_nbgrader import Course
from tinyalex.course.marking.repair import repaired


@pytest.fixture(scope="module")
def course(tmp_path_factory):
    folder = tmp_path_factory.mktemp("course")
    course = Course(SOURCE, release=folder / "release", root=folder / "marks")
    for name in course.names:
        course.build(name)
    return course


def regions(text, what):
    return re.findall(rf"### BEGIN {what}\n(.*?)### END {what}", text, flags=re.DOTALL)


def lines_of(notebook):
    return {line.strip() for cell in notebook.cells for line in cell.source.splitlines()}


@pytest.mark.parametrize("assignment", ASSIGNMENTS)
def test_no_line_of_a_solution_or_a_hidden_test_is_left(course, assignment):
    """But for lines that stand outside of these regions too, such as `return y`."""
    original, given = source(assignment), course.student_version(assignment)
    secret, public = set(), set()
    for cell in original.cells:
        kept = cell.source
        for what in ("SOLUTION", "HIDDEN TESTS"):
            for region in regions(cell.source, what):
                secret |= {line.strip() for line in region.splitlines() if line.strip()}
                kept = kept.replace(region, "")
        public |= {line.strip() for line in kept.splitlines()}
    assert len(secret) > 50
    assert lines_of(given) & (secret - public) == set()
    text = "\n".join(cell.source for cell in given.cells)
    assert "BEGIN SOLUTION" not in text
    assert "HIDDEN TESTS" not in text
    assert not any(cell.get("outputs") for cell in given.cells)


@pytest.mark.parametrize("assignment", ASSIGNMENTS)
def test_untouched_it_gets_nothing_and_every_failure_is_not_implemented(course, assignment, tmp_path):
    given = course.student_version(assignment)
    outcomes = run_cells(repaired(given, source(assignment), given)[0], tmp_path)  # the hidden tests are back
    assert {name for name, one in outcomes.items() if one.points} == set()
    assert {one.error.strip().partition(":")[0] for one in outcomes.values()} == {"NotImplementedError"}


@pytest.mark.parametrize("assignment", ASSIGNMENTS)
def test_its_parts_are_as_the_guide_says(assignment):
    """100 points; names; a marking guide in every written answer; no outputs in the source."""
    notebook = source(assignment)
    points, answers, exercises = 0, [], solution_cells(notebook)
    for cell in notebook.cells:
        data = cell.metadata.get("nbgrader", {})
        points += data.get("points", 0)
        if cells.is_tests(cell):
            assert re.fullmatch(r"[a-z0-9_]+-[a-z0-9_]+", cells.grade_id(cell))
            assert cells.exercise_of(cells.grade_id(cell)) in exercises
        elif data.get("grade"):
            answers.append(cells.grade_id(cell))
            assert "**Marking guide" in cell.source
        assert not cell.get("outputs")
        assert cell.get("execution_count") is None
        assert not re.search(r"^[%!]", cell.source, flags=re.MULTILINE) or cell.cell_type == "markdown"
    assert points == 100
    assert answers
    ids = [cell["id"] for cell in notebook.cells]
    assert len(set(ids)) == len(ids)
