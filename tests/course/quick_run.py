"""A quick run of an assignment's notebook in this process, marked as nbgrader marks it; see test_marking.py."""

import contextlib
import io
import traceback
from dataclasses import dataclass

from tinyalex.course import cells


@dataclass(frozen=True)
class Outcome:
    """The points that a test cell gave, of how many, and what the feedback says: the error, or nothing."""

    points: float
    of: float
    error: str = ""


def run_cells(notebook, folder):
    """Run all code cells in `folder`, in order, whatever they raise; what each test cell gave, by grade_id."""
    namespace = {"__name__": "__main__"}
    outcomes = {}
    with contextlib.chdir(folder):
        for cell in notebook.cells:
            if cell.cell_type != "code":
                continue
            error = _run_cell(cell.source, f"<cell {cells.grade_id(cell) or cell.get('id')}>", namespace)
            if cells.is_tests(cell):
                of = float(cell.metadata.nbgrader.points)
                outcomes[cells.grade_id(cell)] = Outcome(0.0 if error else of, of, error)
    return outcomes


def _run_cell(source, filename, namespace):
    """What the cell raised, as text; "" if nothing, and nothing went to stderr."""
    complaints = io.StringIO()
    with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(complaints):
        try:
            exec(compile(source, filename, "exec"), namespace)
        except Exception as error:
            return "".join(traceback.format_exception_only(error))
    return complaints.getvalue()
