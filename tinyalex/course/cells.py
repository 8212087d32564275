"""The cells of an assignment: which of them are tests, which are the student's, and what they are called."""

from pathlib import Path
from typing import Any

import nbformat

Notebook = Any  # of nbformat, which has no types


def read(path: Path) -> Notebook:
    """The notebook in a file, in the format's version 4."""
    return nbformat.read(path, as_version=4)


def grade_id(cell: Any) -> str:
    """The name that nbgrader knows the cell by; "" for a cell that it does not know."""
    return str(cell.metadata.get("nbgrader", {}).get("grade_id", ""))


def name_of(cell: Any) -> str:
    """The cell's grade_id; of a cell without one its id in the notebook."""
    return grade_id(cell) or str(cell["id"])


def is_tests(cell: Any) -> bool:
    """Is it a test cell, whose points are given by running it?"""
    data = cell.metadata.get("nbgrader", {})
    return bool(cell.cell_type == "code" and data.get("grade") and not data.get("solution"))


def is_students(cell: Any) -> bool:
    """Is it a cell that students fill in, with code or with words?"""
    return bool(cell.metadata.get("nbgrader", {}).get("solution"))


def exercise_of(name: str) -> str:
    """The exercise that a cell's points count for: its grade_id up to the hyphen."""
    return name.partition("-")[0]


def solution_cells(notebook: Notebook) -> dict[str, Any]:
    """The code cells that students fill in, by exercise."""
    return {grade_id(cell): cell for cell in notebook.cells if cell.cell_type == "code" and is_students(cell)}
