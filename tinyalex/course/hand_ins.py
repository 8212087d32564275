"""What students handed in: which file is whose, and which assignment it is, whatever it is called."""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from itertools import chain, count
from pathlib import Path
from typing import Any

from tinyalex.course import cells
from tinyalex.course.repair import recognised
from tinyalex.errors import UsageError

DATA = {".npz", ".npy", ".json", ".txt", ".csv", ".png", ".jpg"}  # what may lie beside a notebook; no Python code
LARGEST = 64 << 20  # bytes of such a file


@dataclass
class HandIn:
    """A student's notebook for an assignment, None if it cannot be read, and the data files that lie beside it."""

    student: str
    assignment: str
    notebook: cells.Notebook | None
    files: list[Path]
    remarks: list[str]


def collect(folder: Path, originals: Mapping[str, cells.Notebook]) -> tuple[list[HandIn], list[str]]:
    """The hand-ins in `folder`, sorted by student and assignment, and a line for each file that is none.

    Layouts: STUDENT/anything.ipynb, at any depth, or STUDENT.ipynb, STUDENT_assignment1.ipynb. A notebook is recognised
    by its cells, not by its name. Of several for one assignment the one with its name counts, else the last by name.
    Raises UsageError where the folder has no notebooks.
    """
    paths = sorted(path for path in folder.rglob("*.ipynb") if ".ipynb_checkpoints" not in path.parts)
    if not paths:
        raise UsageError(
            f"{folder} holds no notebooks: expected STUDENT/assignment1.ipynb or STUDENT_assignment1.ipynb"
        )
    found: dict[tuple[str, str], list[tuple[Path, cells.Notebook | None]]] = {}
    unknown = []
    for path in paths:
        notebook = _read(path)
        assignment = _assignment(path, notebook, originals)
        if assignment:
            found.setdefault((_student(path, folder, assignment), assignment), []).append((path, notebook))
        else:
            unknown.append(f"{path}: no notebook of an assignment")
    hand_ins = []
    called = _names(student for student, _ in found)
    for (student, assignment), candidates in sorted(found.items()):
        path, notebook = max(candidates, key=lambda one: (one[1] is not None, one[0].stem == assignment, str(one[0])))
        remarks = [f"There were {len(candidates)} notebooks: `{path.name}` was marked."] if len(candidates) > 1 else []
        if notebook is None:
            remarks.append(f"The file `{path.name}` is no notebook that can be read: hand it in again.")
        files = [] if path.parent == folder else [other for other in sorted(path.parent.iterdir()) if _is_data(other)]
        hand_ins.append(HandIn(called[student], assignment, notebook, files, remarks))
    return hand_ins, unknown


def _read(path: Path) -> cells.Notebook | None:
    """The notebook in a file; None where it is none, or holds a cell that is none."""
    try:
        notebook = cells.read(path)
        return notebook if all(_is_cell(cell) for cell in notebook.cells) else None
    except Exception:  # not JSON, not a notebook, cut short: nbformat raises all kinds
        return None


def _is_cell(cell: Any) -> bool:
    """Has it a kind, a text that can be written to a file, and metadata? nbformat reads cells without them, too."""
    cell.source.encode()  # raises for half a character, which JSON may hold
    return isinstance(cell.cell_type, str) and isinstance(cell.metadata.get("nbgrader", {}), dict)


def _assignment(path: Path, notebook: cells.Notebook | None, originals: Mapping[str, cells.Notebook]) -> str:
    """The assignment that shares most cells with the notebook, else the one that its path names, else ""."""
    if notebook is not None:
        shared = {name: recognised(notebook, original) for name, original in originals.items()}
        best = max(shared, key=lambda name: shared[name])
        if shared[best]:
            return best
    return next((name for name in originals if name in str(path)), "")


def _student(path: Path, folder: Path, assignment: str) -> str:
    """The first folder, or else the file's name without the assignment's."""
    parts = path.relative_to(folder).parts
    name = parts[0] if len(parts) > 1 else re.sub(r" ?\(\d+\)$", "", path.stem)  # "(1)" is a browser's
    return name.replace(assignment, "").strip("_- ") or name


def _names(students: Iterable[str]) -> dict[str, str]:
    """What each student is called in paths and tables: letters that a path may not have become _.

    Of those who would then be called alike the second gets a -2, and so on: nobody's work is taken for another's.
    """
    names: dict[str, str] = {}
    for student in sorted(set(students)):
        name = re.sub(r"[^\w.@-]", "_", student)
        numbered = chain([name], (f"{name}-{number}" for number in count(2)))
        names[student] = next(one for one in numbered if one not in names.values())
    return names


def _is_data(path: Path) -> bool:
    return path.is_file() and path.suffix.lower() in DATA and path.stat().st_size <= LARGEST
