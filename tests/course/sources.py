"""The assignments, their planted mistakes, and what becomes of a solution that makes one."""

import copy
import importlib
import tempfile
from functools import cache
from pathlib import Path

from tinyalex.course import cells

SOURCE = Path(__file__).parents[2] / "notebooks" / "assignments" / "source"
ASSIGNMENTS = sorted(path.name for path in SOURCE.iterdir() if path.is_dir())


def source(assignment):
    """The notebook with solutions and hidden tests."""
    return cells.read(SOURCE / assignment / f"{assignment}.ipynb")


def mistakes(assignment):
    return importlib.import_module(f"course.mistakes.{assignment}").MISTAKES


def make(notebook, mistake):
    """Make the mistake in the solution."""
    cell = cells.solution_cells(notebook)[mistake.exercise]
    assert cell.source.count(mistake.old) == 1, f"{mistake.old!r} is there {cell.source.count(mistake.old)} times"
    cell.source = cell.source.replace(mistake.old, mistake.new)


@cache
def outcomes(assignment, mistake=None):
    """What every test cell gives for the reference solution, or for one with a mistake in it."""
    notebook = copy.deepcopy(source(assignment))
    if mistake:
        make(notebook, mistake)
    with tempfile.TemporaryDirectory() as folder:
        return cells.run(notebook, Path(folder))


def lost(assignment, mistake):
    """The test cells that give no points for a solution with this mistake."""
    return {
        name: outcome.error for name, outcome in outcomes(assignment, mistake).items() if outcome.points < outcome.of
    }
