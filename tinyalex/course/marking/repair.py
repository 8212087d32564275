"""Repairs a hand-in: puts the original test cells around the student's answers, and lists what was changed."""

import ast
import copy
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

from nbformat.v4 import new_markdown_cell, new_notebook

from tinyalex.course.cells import Notebook, grade_id, is_students, name_of


@dataclass
class _Anchor:
    """A cell of the assignment in a hand-in, the student's own cells that follow it, and all its copies."""

    cell: Any = None
    following: tuple[Any, ...] = ()
    copies: tuple[Any, ...] = ()


def repaired(
    handed_in: Notebook, original: Notebook, student_version: Notebook, remarks: Sequence[str] = ()
) -> tuple[Notebook, list[str]]:
    """The hand-in ready for marking, and `remarks` extended by one for each kind of repair.

    original:        the assignment's source, with the hidden tests.
    student_version: the notebook that the student received.
    The result contains every cell of the assignment once and in order, tests and texts in their original form. The
    student's own cells stay after the cell that they followed. The remarks are shown at the top.
    """
    known = {name_of(cell): cell for cell in original.cells}
    given = {name_of(cell): cell for cell in student_version.cells}
    first, anchors = _sorted(handed_in, known, given)
    _find_answers(anchors, known)
    cells = list(first)
    for name, source in known.items():
        anchor = anchors.get(name, _Anchor())
        cell = copy.deepcopy(given[name] if is_students(source) else source)
        if is_students(source) and anchor.cell is not None:
            cell.source = anchor.cell.source
        cells += [cell, *anchor.following]
    for number, cell in enumerate(cells):
        cell["id"] = grade_id(cell) or f"other-{number}"
    graded = [name for name in known if grade_id(known[name])]
    repairs = {name: _remark_on(anchors.get(name, _Anchor()).copies, known[name], given[name]) for name in graded}
    all_remarks = [*remarks] + [
        f"{', '.join(f'`{name}`' for name in repairs if repairs[name] == repair)}: {repair}."
        for repair in dict.fromkeys(repairs.values())
        if repair
    ]
    if all_remarks:
        text = "\n".join(f"- {remark}" for remark in all_remarks)
        cells.insert(0, new_markdown_cell(f"**Before marking**\n\n{text}", id="remarks"))
    return new_notebook(cells=cells, metadata=original.metadata), all_remarks


def recognised(handed_in: Notebook, original: Notebook) -> int:
    """The number of cells of the assignment that the notebook contains."""
    known = {name_of(cell): cell for cell in original.cells}
    return len(set(_names(handed_in, known, known)) - {""})


def _sorted(
    handed_in: Notebook, known: Mapping[str, Any], given: Mapping[str, Any]
) -> tuple[list[Any], dict[str, _Anchor]]:
    """The student's own cells at the top, and an anchor for each cell of the assignment in the hand-in."""
    names = _names(handed_in, known, given)
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
                continue  # leave out further copies of tests and of unfilled cells
        own = _own(cell)
        if latest is None:
            first.append(own)
        else:
            latest.following += (own,)
    return first, anchors


def _find_answers(anchors: dict[str, _Anchor], known: Mapping[str, Any]) -> None:
    """Find written answers that have lost their name: the student's text after the question."""
    for question, name in pairwise(known):
        if question in anchors and name not in anchors and is_students(known[name]):
            own = anchors[question].following
            if own and own[0].cell_type == known[name].cell_type == "markdown":
                anchors[name] = _Anchor(own[0], own[1:], own[:1])
                anchors[question].following = ()


def _last_used(name: str, names: list[str], cells: list[Any], known: Any, given: Any) -> int:
    """The place of the copy that is marked: the last one that was filled in."""
    places = [index for index, other in enumerate(names) if other == name]
    filled = [index for index in places if _text(cells[index]) != _text(given[name])]
    return (filled or places)[-1] if is_students(known[name]) else places[-1]


def _names(handed_in: Notebook, known: Mapping[str, Any], given: Mapping[str, Any]) -> list[str]:
    """For each cell of the hand-in its name in the assignment, or "".

    Answers and tests are recognised by their metadata or id; an answer that has lost both, by the function that it
    defines. Other cells are recognised by their text; a text that the student has edited becomes a cell of their own.
    """
    names = [
        next((told for told in (grade_id(cell), cell.get("id", "")) if told in known and grade_id(known[told])), "")
        for cell in handed_in.cells
    ]
    texts = {_text(one[name]): name for one in (given, known) for name in known if not is_students(known[name])}
    texts.pop("", None)  # test cells whose tests are all hidden are empty
    defining = {
        function: name
        for name, source in known.items()
        if is_students(source) and name not in names
        for function in _defined(source)
    }
    for index, cell in enumerate(handed_in.cells):
        defined = [defining[function] for function in _defined(cell) if function in defining]
        names[index] = names[index] or (defined[0] if defined else texts.get(_text(cell), ""))
    return names


def _defined(cell: Any) -> set[str]:
    """The functions and classes that a code cell defines at its outermost level."""
    if cell.cell_type != "code":
        return set()
    try:
        body = ast.parse(cell.source).body
    except (SyntaxError, ValueError, MemoryError, RecursionError):  # the last three: text that is not a program
        return set()
    return {node.name for node in body if isinstance(node, ast.FunctionDef | ast.ClassDef)}


def _own(cell: Any) -> Any:
    """A copy of the cell without nbgrader's metadata: a cell of the student's own."""
    cell = copy.deepcopy(cell)
    cell.metadata.pop("nbgrader", None)
    return cell


def _text(cell: Any) -> str:
    return "\n".join(line.rstrip() for line in cell.source.strip().splitlines())


def _remark_on(copies: tuple[Any, ...], source: Any, given: Any) -> str:
    """The remark on a cell of the assignment: what happened to it; "" if nothing did."""
    if not copies:
        return "missing, so the original was put back"
    if is_students(source):
        return "more than one copy, so the last one that is filled in was marked" if len(copies) > 1 else ""
    if any(_text(cell) not in (_text(given), _text(source)) for cell in copies):
        return "changed, so the original was run instead"
    return "more than one copy, so it was run once" if len(copies) > 1 else ""
