"""The cells of an assignment: which are tests, which are for the student to fill in, and their names."""

from pathlib import Path
from typing import Any

import nbformat

Notebook = Any  # nbformat has no types


def read(path: Path) -> Notebook:
    """The notebook in a file, converted to version 4 of the format."""
    return nbformat.read(path, as_version=4)


def grade_id(cell: Any) -> str:
    """The name that nbgrader gives the cell; "" if it gives none."""
    return str(cell.metadata.get("nbgrader", {}).get("grade_id", ""))


def name_of(cell: Any) -> str:
    """The cell's grade_id; its id in the notebook if it has none."""
    return grade_id(cell) or str(cell["id"])


def is_tests(cell: Any) -> bool:
    """Whether the cell is a test: it gives its points if it runs without an error."""
    data = cell.metadata.get("nbgrader", {})
    return bool(cell.cell_type == "code" and data.get("grade") and not data.get("solution"))


def is_hidden(cell: Any) -> bool:
    """Whether the cell of an original has tests that students do not see."""
    return "### BEGIN HIDDEN TESTS" in cell.source


def is_given(cell: Any) -> bool:
    """Whether the cell is code that every student is given, such as imports, and that a student may not change."""
    data = cell.metadata.get("nbgrader", {})
    return bool(cell.cell_type == "code" and data.get("locked") and not data.get("grade"))


def is_students(cell: Any) -> bool:
    """Whether students fill in the cell, with code or with text."""
    return bool(cell.metadata.get("nbgrader", {}).get("solution"))


def exercise_of(name: str) -> str:
    """The exercise that a cell belongs to: its name up to the hyphen."""
    return name.partition("-")[0]
