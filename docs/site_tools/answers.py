"""The tasks of the tutorials, and their answers.

A task is three cells: its text with hints, a cell that begins with `# Task 1` and leaves the work to the student, and a
cell that begins with `# Check 1` and prints "right". Its answer is the Python under the heading "Task 1" of
docs/answers/NAME.md, where NAME is that of the tutorial. The site and the tests run a tutorial with its answers put in.
"""

from __future__ import annotations

import re
from copy import deepcopy
from typing import TYPE_CHECKING

import nbformat
from nbformat import NotebookNode

from site_tools.links import DOCS

if TYPE_CHECKING:
    from sphinx.application import Sphinx

FOLDER = DOCS / "answers"
ANSWER = re.compile(r"^## Task (\d+)$(?:(?!^## ).)*?^```python\n(.*?)^```$", re.MULTILINE | re.DOTALL)


def answers(name: str) -> dict[int, str]:
    """The code that solves each task of a tutorial, by the task's number."""
    page = (FOLDER / f"{name}.md").read_text(encoding="utf-8")
    return {int(number): code.rstrip() for number, code in ANSWER.findall(page)}


def number_of(cell: NotebookNode, kind: str) -> int | None:
    """The number of a cell that begins with `# Task 1` or, for the kind "Check", with `# Check 1`; else None."""
    found = re.match(rf"# {kind} (\d+)\b", cell.source)
    return int(found[1]) if found and cell.cell_type == "code" else None


def with_answers(notebook: NotebookNode, solutions: dict[int, str]) -> NotebookNode:
    """The notebook with each answer behind its task, folded on the site; now a check that fails is an error."""
    cells = []
    for cell in deepcopy(notebook.cells):
        cells.append(cell)
        if number_of(cell, "Check"):
            cell.metadata = NotebookNode()
        if task := number_of(cell, "Task"):
            answer = nbformat.v4.new_code_cell(solutions[task], id=f"answer-{task}")
            answer.metadata["tags"] = ["hide-input"]
            cells.append(answer)
    return NotebookNode({**notebook, "cells": cells})


def put_in(app: Sphinx, docname: str, content: list[str]) -> None:
    """When a tutorial has been read for the site: its answers."""
    folder, _, name = docname.rpartition("/")
    if folder == "tutorials":
        app.env.note_dependency(str(FOLDER / f"{name}.md"))
        content[0] = nbformat.writes(with_answers(nbformat.reads(content[0], as_version=4), answers(name)))
