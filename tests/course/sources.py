"""The assignments, their planted mistakes, and the marks of a solution with a mistake."""

import copy
import importlib
import re
import tempfile
from functools import cache
from pathlib import Path

from nbformat.v4 import new_code_cell

from course.quick_run import run_cells
from tinyalex.course import cells

SOURCE = Path(__file__).parents[2] / "notebooks" / "assignments" / "source"
RIGHT = sorted(Path(__file__).with_name("right").glob("*.py"))  # right hand-ins, written independently
ASSIGNMENTS = sorted(path.name for path in SOURCE.iterdir() if path.is_dir())


def source(assignment):
    """The notebook with solutions and hidden tests."""
    return cells.read(SOURCE / assignment / f"{assignment}.ipynb")


def mistakes(assignment):
    return importlib.import_module(f"course.mistakes.{assignment}").MISTAKES


def solution_cells(notebook):
    """The code cells that students fill in, by exercise."""
    answers = [cell for cell in notebook.cells if cell.cell_type == "code" and cells.is_students(cell)]
    return {cells.grade_id(cell): cell for cell in answers}


def make(notebook, mistake):
    """Make the mistake in the solution."""
    cell = solution_cells(notebook)[mistake.exercise]
    assert cell.source.count(mistake.old) == 1, f"{mistake.old!r} is there {cell.source.count(mistake.old)} times"
    cell.source = cell.source.replace(mistake.old, mistake.new)


def hand_in(path):
    """The notebook with the cells of a file: `# %% NAME` begins the cell of an exercise, `# %%` one of their own."""
    notebook = source(path.stem.partition("_")[0])
    written = dict(re.findall(r"^# %% ?(\w*)\n(.*?)(?=^# %%|\Z)", path.read_text(), flags=re.MULTILINE | re.DOTALL))
    notebook.cells.insert(0, new_code_cell("import numpy as np\n" + written.pop("", "")))
    answers = solution_cells(notebook)
    assert list(written) == list(answers)
    for name, code in written.items():
        answers[name].source = code
    return notebook


@cache
def reference(assignment):
    """The outcome of each test cell for the reference solution, and the files that it writes, such as a trained net."""
    with tempfile.TemporaryDirectory() as folder:
        found = run_cells(source(assignment), Path(folder))
        return found, {path.name: path.read_bytes() for path in Path(folder).iterdir()}


def write_files(assignment, folder):
    """Write the reference's files into `folder`, beside a notebook."""
    for name, content in reference(assignment)[1].items():
        (folder / name).write_bytes(content)


def run(notebook, assignment, folder):
    """The outcome of each test cell of a hand-in, with the reference's files beside it."""
    write_files(assignment, folder)
    return run_cells(notebook, folder)


@cache
def outcomes(assignment, mistake=None):
    """The outcome of each test cell for the reference solution, or for one with a mistake in it."""
    if not mistake:
        return reference(assignment)[0]
    notebook = copy.deepcopy(source(assignment))
    make(notebook, mistake)
    with tempfile.TemporaryDirectory() as folder:
        return run(notebook, assignment, Path(folder))


def lost(assignment, mistake):
    """The test cells that give no points for a solution with this mistake."""
    return {
        name: outcome.error for name, outcome in outcomes(assignment, mistake).items() if outcome.points < outcome.of
    }
