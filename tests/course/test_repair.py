"""A hand-in is put right before it is marked, and the student is told."""

import copy

import pytest
from nbformat.v4 import new_code_cell, new_markdown_cell

from course.generated import Generated
from course.sources import source
from tinyalex.course import cells
from tinyalex.course.marking.repair import recognised, repaired

NAME = "assignment1"
ORIGINAL = source(NAME)


def stripped(notebook):
    """Without solutions; hidden tests stay, which is of no account here."""
    notebook = copy.deepcopy(notebook)
    for cell in notebook.cells:
        if cells.is_students(cell):
            head, begin, _ = cell.source.partition("    ### BEGIN SOLUTION")
            cell.source = head + "    raise NotImplementedError" if begin else "YOUR ANSWER HERE"
    return notebook


GIVEN = stripped(ORIGINAL)


@pytest.fixture
def hand_in():
    return Generated("anna", NAME)


def repair(hand_in):
    notebook, remarks = repaired(hand_in.notebook, ORIGINAL, GIVEN)
    return notebook, " ".join(remarks)


def names(notebook):
    return [cells.grade_id(cell) for cell in notebook.cells if cells.grade_id(cell)]


def by_name(notebook):
    return {cells.grade_id(cell): cell for cell in notebook.cells if cells.grade_id(cell)}


def test_a_hand_in_as_it_should_be_stays_as_it_is(hand_in):
    notebook, remarks = repair(hand_in)
    assert remarks == ""
    assert [cell.source for cell in notebook.cells] == [cell.source for cell in ORIGINAL.cells]
    assert [cell.metadata for cell in notebook.cells] == [cell.metadata for cell in ORIGINAL.cells]


def test_a_changed_test_is_the_original_again(hand_in):
    hand_in.edit("im2col-rows", "print('all right')")
    notebook, remarks = repair(hand_in)
    assert by_name(notebook)["im2col-rows"].source == by_name(ORIGINAL)["im2col-rows"].source
    assert remarks == "`im2col-rows`: changed, so the original was run instead."


def test_points_and_locks_are_the_originals_again(hand_in):
    for name in ("im2col-rows", "im2col"):
        hand_in.cell(name).metadata.nbgrader.update(points=50, locked=False, grade=True)
    notebook, _ = repair(hand_in)
    for name in ("im2col-rows", "im2col"):
        assert by_name(notebook)[name].metadata == by_name(ORIGINAL)[name].metadata


def test_deleted_cells_are_put_back_in_their_place(hand_in):
    for name in ("col2im-overlap", "im2col", "setup"):
        hand_in.delete(name)
    notebook, remarks = repair(hand_in)
    assert names(notebook) == names(ORIGINAL)
    assert by_name(notebook)["im2col"].source == by_name(GIVEN)["im2col"].source
    assert [cell.source for cell in notebook.cells if not cells.is_students(cell)][1:] == [
        cell.source for cell in ORIGINAL.cells if not cells.is_students(cell)
    ]
    assert remarks == "`setup`, `im2col`, `col2im-overlap`: missing, so the original was put back."


def test_notes_in_a_text_cell_stay_and_the_text_is_back(hand_in):
    cell = hand_in.notebook.cells[1]
    before = cell.source
    cell.source += "\n\nAsk about this."
    notebook, remarks = repair(hand_in)
    sources = [cell.source for cell in notebook.cells]
    assert before in sources
    assert before + "\n\nAsk about this." in sources
    assert remarks == ""


def test_copies_of_tests_are_run_once(hand_in):
    hand_in.duplicate("col2im-overlap")
    notebook, remarks = repair(hand_in)
    assert names(notebook) == names(ORIGINAL)
    assert len(notebook.cells) == len(ORIGINAL.cells) + 1  # the remark
    assert "more than one copy, so it was run once" in remarks
    assert remarks in notebook.cells[0].source


def test_of_copies_of_a_solution_the_last_filled_in_counts(hand_in):
    hand_in.duplicate("col2im")
    first, last = (cell for cell in hand_in.notebook.cells if cells.grade_id(cell) == "col2im")
    first.source, last.source = "first = 1", "last = 2"
    notebook, remarks = repair(hand_in)
    assert by_name(notebook)["col2im"].source == "last = 2"
    sources = [cell.source for cell in notebook.cells]
    assert sources.index("first = 1") < sources.index("last = 2")
    assert "the last one that is filled in was marked" in remarks
    last.source = by_name(GIVEN)["col2im"].source
    notebook, _ = repair(hand_in)
    assert by_name(notebook)["col2im"].source == "first = 1"


def test_cells_in_another_order_stand_in_the_assignments(hand_in):
    hand_in.notebook.cells.reverse()
    notebook, _ = repair(hand_in)
    assert names(notebook) == names(ORIGINAL)


def test_a_students_own_cells_stay_behind_what_they_followed(hand_in):
    hand_in.own_cell("col2im", "helper = 1")
    hand_in.notebook.cells.insert(0, new_markdown_cell("by Anna"))
    notebook, _ = repair(hand_in)
    sources = [cell.source for cell in notebook.cells]
    assert sources[0] == "by Anna"
    assert sources[sources.index("helper = 1") + 1] == by_name(ORIGINAL)["col2im-separate"].source
    assert len({cell["id"] for cell in notebook.cells}) == len(notebook.cells)


def test_answers_are_known_by_what_they_define(hand_in):
    hand_in.strip_metadata()
    notebook, _ = repair(hand_in)
    assert names(notebook) == names(ORIGINAL)
    found = by_name(notebook)
    for name, cell in by_name(ORIGINAL).items():
        assert found[name].source == cell.source  # the written answers too, by their place
    assert len(notebook.cells) == len(ORIGINAL.cells)  # each is known again, so there is nothing to remark


def test_another_version_in_a_cell_of_ones_own_is_not_the_answer(hand_in):
    hand_in.own_cell("col2im-overlap", "def col2im(*_):\n    return 'an idea'")
    notebook, remarks = repair(hand_in)
    assert by_name(notebook)["col2im"].source == by_name(ORIGINAL)["col2im"].source
    assert remarks == ""


@pytest.mark.parametrize("text", ["return (y", "x = '\0'", "-" * 100_000 + "1", "x = '\ud83d'"])
def test_a_text_that_is_no_program_defines_nothing(hand_in, text):
    hand_in.own_cell("im2col", text)
    assert text in [cell.source for cell in repair(hand_in)[0].cells]


def test_a_solution_that_became_text_is_code_again(hand_in):
    cell = hand_in.cell("im2col")
    hand_in.notebook.cells[hand_in.notebook.cells.index(cell)] = new_markdown_cell(
        cell.source, metadata=cell.metadata, id="im2col"
    )
    notebook, _ = repair(hand_in)
    assert by_name(notebook)["im2col"].cell_type == "code"
    assert by_name(notebook)["im2col"].source == cell.source


def test_how_much_of_an_assignment_is_recognised(hand_in):
    assert recognised(hand_in.notebook, ORIGINAL) == len(ORIGINAL.cells)
    hand_in.notebook.cells = [new_code_cell("x = 1")]
    assert recognised(hand_in.notebook, ORIGINAL) == 0
