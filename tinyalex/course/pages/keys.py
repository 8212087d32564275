"""The rubric and the answers of an assignment, made from its source: for graders, and for students afterwards."""

import ast
import copy
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import nbformat
from markupsafe import Markup

from tinyalex.course import cells
from tinyalex.course.pages.feedback import FeedbackPage, exercises, from_template, summary
from tinyalex.course.pages.safe import rendered
from tinyalex.files import make_folder

MARKS = re.compile(r"^ *### (?:BEGIN|END) (?:SOLUTION|HIDDEN TESTS)\n?", flags=re.MULTILINE)
GUIDE = "**Marking guide.**"


@dataclass(frozen=True)
class RubricLine:
    """A line of a rubric: a test, or an answer in words. text: what gives the points, as HTML."""

    label: str
    of: float
    text: Markup


def write_keys(original: cells.Notebook, name: str, folder: Path) -> list[Path]:
    """Write NAME-rubric.html, NAME-answers.html and NAME-answers.ipynb into `folder` -> these files.

    original: the source of the assignment, with solutions, hidden tests and marking guides.
    """
    make_folder(folder)
    files = [folder / f"{name}-{what}" for what in ("rubric.html", "answers.html", "answers.ipynb")]
    answers = with_answers(original)
    files[0].write_text(rubric(original), encoding="utf-8")
    files[1].write_text(_page(answers), encoding="utf-8")
    nbformat.write(answers, files[2])
    return files


def with_answers(original: cells.Notebook) -> cells.Notebook:
    """The notebook with its solutions and all tests, without the signs that show where they begin and end."""
    notebook = copy.deepcopy(original)
    for cell in notebook.cells:
        cell.source = MARKS.sub("", cell.source).rstrip("\n")
    return notebook


def rubric(original: cells.Notebook) -> str:
    """The page with the points of every test and what it tests, and the marking guides of the answers in words."""
    found = {cells.grade_id(cell): cell for cell in original.cells}
    tables = [
        (one, [RubricLine(part.label, part.of, _what_counts(found[part.name])) for part in one.parts])
        for one in exercises(original)
    ]
    return from_template(
        "rubric.html.j2", {"number": "{:g}".format}, title=summary(original)["title"], exercises=tables
    )


def _what_counts(cell: Any) -> Markup:
    """What gives the points of a cell: the description of its tests, or the marking guide of its answer."""
    if cells.is_tests(cell):
        tests = [one for one in ast.parse(cell.source).body if isinstance(one, ast.FunctionDef)]
        return Markup(rendered(ast.get_docstring(tests[0]) or ""))
    return Markup(rendered(MARKS.sub("", cell.source).partition(GUIDE)[2]))


def _page(answers: cells.Notebook) -> str:
    page = FeedbackPage(template_name="answers", filters={"markdown2html": rendered})
    return str(page.from_notebook_node(answers, summary(answers))[0])
