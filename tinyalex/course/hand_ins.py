"""Finds the hand-ins in a folder: whose file it is, and which assignment, whatever the file's name."""

import re
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from itertools import chain, count
from pathlib import Path
from typing import Any

from tinyalex.course import cells
from tinyalex.course.repair import recognised
from tinyalex.errors import UsageError

DATA = {
    ".npz",
    ".npy",
    ".json",
    ".txt",
    ".csv",
    ".png",
    ".jpg",
}  # data files that may lie beside a notebook; no Python code
LARGEST = 64 << 20  # the largest size of such a file, in bytes


@dataclass
class HandIn:
    """A student's notebook for an assignment (None if it cannot be read), and the data files beside it."""

    student: str
    assignment: str
    notebook: cells.Notebook | None
    files: list[Path]
    remarks: list[str]


def collect(folder: Path, originals: Mapping[str, cells.Notebook]) -> tuple[list[HandIn], list[str]]:
    """The hand-ins in `folder`, sorted by student and assignment, and a line for every other notebook or folder.

    Layouts: STUDENT/anything.ipynb, at any depth, or STUDENT.ipynb, STUDENT_assignment1.ipynb. A notebook is recognised
    by its cells, not by its name. If a student has several for one assignment, the one named after it is marked, or
    otherwise the last by name.
    Raises UsageError if the folder holds no notebooks.
    """
    paths = sorted(path for path in folder.rglob("*.ipynb") if ".ipynb_checkpoints" not in path.parts)
    if not paths:
        raise UsageError(
            f"got {folder} without notebooks: expected STUDENT/assignment1.ipynb or STUDENT_assignment1.ipynb"
        )
    found: dict[tuple[str, str], list[tuple[Path, cells.Notebook | None]]] = {}
    unknown = []
    for path in paths:
        notebook = _read(path)
        assignment = _assignment(path, notebook, originals)
        if assignment:
            found.setdefault((_student(path, folder, assignment), assignment), []).append((path, notebook))
        else:
            unknown.append(f"{path}: not a notebook of an assignment")
    with_notebook = {path.relative_to(folder).parts[0] for path in paths}
    unknown += [f"{one}: no notebook in it" for one in sorted(folder.iterdir()) if _is_without(one, with_notebook)]
    hand_ins = []
    called = _names(student for student, _ in found)
    for (student, assignment), candidates in sorted(found.items()):
        path, notebook = max(candidates, key=lambda one: (one[1] is not None, one[0].stem == assignment, str(one[0])))
        remarks = [f"There were {len(candidates)} notebooks: `{path.name}` was marked."] if len(candidates) > 1 else []
        if notebook is None:
            remarks.append(f"The file `{path.name}` cannot be read as a notebook: hand it in again.")
        files = [] if path.parent == folder else [other for other in sorted(path.parent.iterdir()) if _is_data(other)]
        hand_ins.append(HandIn(called[student], assignment, notebook, files, remarks))
    return hand_ins, unknown


def _is_without(one: Path, with_notebook: Collection[str]) -> bool:
    """Whether this is a student's folder without a notebook, such as one with a PDF."""
    return one.is_dir() and not one.name.startswith(".") and one.name not in with_notebook


def _read(path: Path) -> cells.Notebook | None:
    """The notebook in a file; None if the file or one of its cells is malformed."""
    try:
        notebook = cells.read(path)
        return notebook if all(_is_cell(cell) for cell in notebook.cells) else None
    except Exception:  # not JSON, not a notebook, cut short: nbformat raises many kinds
        return None


def _is_cell(cell: Any) -> bool:
    """Whether the cell has a type, text that can be written to a file, and metadata; nbformat does not check this."""
    cell.source.encode()  # raises for half of a surrogate pair, which JSON may contain
    return isinstance(cell.cell_type, str) and isinstance(cell.metadata.get("nbgrader", {}), dict)


def _assignment(path: Path, notebook: cells.Notebook | None, originals: Mapping[str, cells.Notebook]) -> str:
    """The assignment that shares most cells with the notebook, otherwise the one in its path, otherwise ""."""
    if notebook is not None:
        shared = {name: recognised(notebook, original) for name, original in originals.items()}
        best = max(shared, key=lambda name: shared[name])
        if shared[best]:
            return best
    return next((name for name in originals if name in str(path)), "")


def _student(path: Path, folder: Path, assignment: str) -> str:
    """The student's name: the first folder, or the file's name without the name of the assignment."""
    parts = path.relative_to(folder).parts
    name = parts[0] if len(parts) > 1 else re.sub(r" ?\(\d+\)$", "", path.stem)  # browsers add "(1)"
    return name.replace(assignment, "").strip("_- ") or name


def _names(students: Iterable[str]) -> dict[str, str]:
    """The name of each student in paths and tables: characters that a path may not contain become _.

    If two names become equal, the second gets the suffix -2, and so on, so that no work is attributed to another.
    """
    names: dict[str, str] = {}
    for student in sorted(set(students)):
        name = re.sub(r"[^\w.@-]", "_", student)
        numbered = chain([name], (f"{name}-{number}" for number in count(2)))
        names[student] = next(one for one in numbered if one not in names.values())
    return names


def _is_data(path: Path) -> bool:
    """Whether this is a data file that may be used in marking."""
    return path.is_file() and path.suffix.lower() in DATA and path.stat().st_size <= LARGEST
