"""A hand-in as it should be: the original test cells around the student's answers, and a word on what changed."""

import ast
import copy
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from nbformat.v4 import new_markdown_cell, new_notebook

from tinyalex.course.cells import Notebook, grade_id, is_students


@dataclass
class _Anchor:
    """A cell that the assignment knows, the student's cells that follow it, and how its copies came in."""

    cell: Any = None
    following: tuple[Any, ...] = ()
    copies: tuple[Any, ...] = ()


def repaired(handed_in: Notebook, original: Notebook, student_version: Notebook) -> tuple[Notebook, list[str]]:
    """The hand-in ready for marking, and remarks for the student on every cell that was changed back.

    original:        the assignment's source, with the hidden tests.
    student_version: what the student was given.
    All cells of the assignment are there once, in its order, locked ones in their original form; the student's own
    cells stay behind the cell that they followed.
    """
    given = {grade_id(cell): cell for cell in student_version.cells if grade_id(cell)}
    known = {grade_id(cell): cell for cell in original.cells if grade_id(cell)}
    first, anchors = _sorted(handed_in, known, given)
    cells = list(first)
    for name, source in known.items():
        anchor = anchors.get(name, _Anchor())
        cell = copy.deepcopy(source if not is_students(source) else given[name])
        if is_students(source) and anchor.cell is not None:
            cell.source = anchor.cell.source
        cells += [cell, *anchor.following]
    for number, cell in enumerate(cells):
        cell["id"] = grade_id(cell) or f"own-{number}"
    remarks = _remarks({name: anchors.get(name, _Anchor()).copies for name in known}, known, given)
    if remarks:
        text = "\n".join(f"- {remark}" for remark in remarks)
        cells.insert(0, new_markdown_cell(f"**Changed before marking**\n\n{text}", id="remarks"))
    return new_notebook(cells=cells, metadata=original.metadata), remarks


def recognised(handed_in: Notebook, original: Notebook) -> int:
    """How many cells of the assignment the notebook holds."""
    known = {grade_id(cell): cell for cell in original.cells if grade_id(cell)}
    return len({name for cell in handed_in.cells if (name := _name(cell, known))})


def _sorted(
    handed_in: Notebook, known: Mapping[str, Any], given: Mapping[str, Any]
) -> tuple[list[Any], dict[str, _Anchor]]:
    """The student's own cells before all others, and an anchor for every cell of the assignment that is there."""
    names = [_name(cell, known) for cell in handed_in.cells]
    used = {name: _last_used(name, names, handed_in.cells, known, given) for name in names if name}
    first: list[Any] = []
    anchors: dict[str, _Anchor] = {}
    latest = None
    for index, (name, cell) in enumerate(zip(names, handed_in.cells, strict=True)):
        if name:
            anchor = anchors.setdefault(name, _Anchor())
            anchor.copies += (cell,)
            if index == used[name]:
                anchor.cell, latest = cell, anchor
                continue
            if not is_students(known[name]) or _text(cell) == _text(given[name]):
                continue  # copies of tests, and of the empty cell, are left out
        own = _own(cell)
        if latest is None:
            first.append(own)
        else:
            latest.following += (own,)
    return first, anchors


def _last_used(name: str, names: list[str], cells: list[Any], known: Any, given: Any) -> int:
    """Which of several copies counts: the last one that was filled in."""
    places = [index for index, other in enumerate(names) if other == name]
    filled = [index for index in places if _text(cells[index]) != _text(given[name])]
    return (filled or places)[-1] if is_students(known[name]) else places[-1]


def _name(cell: Any, known: Mapping[str, Any]) -> str:
    """The cell's name in the assignment: from its metadata, or its id, or the function that it defines; else ""."""
    for name in (grade_id(cell), cell.get("id", "")):
        if name in known:
            return str(name)
    defined = _defined(cell)
    for name, source in known.items():
        if is_students(source) and source.cell_type == "code" and defined and defined & _defined(source):
            return name
    return ""


def _defined(cell: Any) -> set[str]:
    """The functions and classes that a code cell defines at its outermost level."""
    if cell.cell_type != "code":
        return set()
    try:
        body = ast.parse(cell.source).body
    except SyntaxError:
        return set()
    return {node.name for node in body if isinstance(node, ast.FunctionDef | ast.ClassDef)}


def _own(cell: Any) -> Any:
    """The cell as one of the student's own."""
    cell = copy.deepcopy(cell)
    cell.metadata.pop("nbgrader", None)
    return cell


def _text(cell: Any) -> str:
    return "\n".join(line.rstrip() for line in cell.source.strip().splitlines())


def _remarks(copies: Mapping[str, tuple[Any, ...]], known: Mapping[str, Any], given: Mapping[str, Any]) -> list[str]:
    """What to tell the student about the cells that came in otherwise than they were given out."""
    fates: dict[str, list[str]] = {}
    for name, came in copies.items():
        if not came:
            fate = "missing, and put back"
        elif not is_students(given[name]) and any(
            _text(one) not in (_text(given[name]), _text(known[name])) for one in came
        ):
            fate = "changed, and the original was run in its place"
        elif len(came) > 1:
            fate = "there more than once, and " + (
                "the last one that is filled in was marked" if is_students(given[name]) else "it was run once"
            )
        else:
            continue
        fates.setdefault(fate, []).append(f"`{name}`")
    return [f"{', '.join(names)}: {fate}." for fate, names in fates.items()]
