"""The cells of an assignment, and a quick run of them in this process, marked as nbgrader marks them."""

import contextlib
import io
import traceback
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import nbformat

Notebook = Any  # of nbformat, which has no types


@dataclass(frozen=True)
class Outcome:
    """The points that a test cell gave, of how many, and what the feedback says: the error, or nothing."""

    points: float
    of: float
    error: str = ""


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


def run(notebook: Notebook, folder: Path) -> dict[str, Outcome]:
    """Run all code cells in `folder`, in order, whatever they raise; what each test cell gave, by grade_id."""
    namespace: dict[str, Any] = {"__name__": "__main__"}
    outcomes = {}
    with contextlib.chdir(folder):
        for cell in notebook.cells:
            if cell.cell_type != "code":
                continue
            error = _run_cell(cell.source, f"<cell {grade_id(cell) or cell.get('id')}>", namespace)
            if is_tests(cell):
                of = float(cell.metadata.nbgrader.points)
                outcomes[grade_id(cell)] = Outcome(0.0 if error else of, of, error)
    return outcomes


def _run_cell(source: str, filename: str, namespace: dict[str, Any]) -> str:
    """What the cell raised, as text; "" if nothing, and nothing went to stderr."""
    complaints = io.StringIO()
    with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(complaints):
        try:
            exec(compile(source, filename, "exec"), namespace)
        except Exception as error:
            return "".join(traceback.format_exception_only(error))
    return complaints.getvalue()
