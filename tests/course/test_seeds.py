"""The seed of hidden data: one by year, or one by student, and never in a test's text."""

import re

import nbformat
from nbformat.v4 import new_code_cell, new_notebook
from traitlets.config import Config

from course.sources import SOURCE, source
from tinyalex.course import cells
from tinyalex.course.marking.batch import Setting
from tinyalex.course.marking.execute import executed
from tinyalex.course.seeds import YEAR, hidden_seed, seed_of


def test_a_seed_by_year_and_by_student():
    assert seed_of("anna", 2027, False) == seed_of("bo", 2027, False) == 2027
    seeds = {seed_of(student, year, True) for student in ("anna", "bo") for year in (2027, 2028)}
    assert len(seeds) == 4
    assert seed_of("anna", 2027, True) == 2220450374, "a later version must mark as this one does"
    assert (Setting().seed, hidden_seed()) == (YEAR, YEAR)


def test_hidden_pictures_have_the_seed_of_the_settings():
    for cell in source("assignment5").cells:
        if cells.is_tests(cell) and "HIDDEN" in cell.source and "share_right" in cell.source:
            assert re.search(r"share_right\(.*, 200, seed=hidden_seed\(\)\)", cell.source), cell.source
    assert str(YEAR) not in (SOURCE / "assignment5" / "assignment5.ipynb").read_text()


def test_the_judge_uses_the_seed_and_the_student_does_not_see_it(tmp_path):
    seen = "from tinyalex.course.seeds import hidden_seed; print(hidden_seed())"
    test = new_code_cell(f"import tinyalex.course as _course\n\n@_course.tests\ndef _t():\n    {seen}")
    test.metadata.nbgrader = {"grade": True, "grade_id": "a-b", "locked": True, "points": 1, "solution": False}
    nbformat.write(new_notebook(cells=[new_code_cell(seen), test]), tmp_path / "x.ipynb")
    own, judged = nbformat.reads(executed(tmp_path / "x.ipynb", Config(MarkingExecute={"seed": 77})), 4).cells
    assert [output.text for output in own.outputs] == [f"{YEAR}\n"]
    assert [output.text for output in judged.outputs] == ["77\n"]
