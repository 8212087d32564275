"""Finds the hand-ins among the files that were handed in: whose file it is, and which assignment, whatever its name."""

import codecs
import re
from collections.abc import Iterable, Mapping
from collections.abc import Set as Collection
from dataclasses import dataclass
from itertools import chain, count
from pathlib import Path, PurePosixPath
from typing import Any

import nbformat

from tinyalex.course import cells
from tinyalex.course.grades.roster import Roster, in_paths
from tinyalex.course.handed_in.sender import MACOS, Sender, Sent, sent
from tinyalex.course.handed_in.unpack import File, listing
from tinyalex.course.marking.repair import recognised
from tinyalex.errors import UsageError
from tinyalex.files import legible

STAMP = "timestamp.txt"  # nbgrader's, with the time of a hand-in; it stops at one that it cannot read


@dataclass
class HandIn:
    """A student's notebook for an assignment (None if it cannot be read), and the data files beside it by name.

    late: whether Canvas says that it is.   stamp: what a timestamp.txt beside it says.
    folder: the student's in a zip of feedback for Moodle; "" for what did not come from there.
    """

    student: str
    assignment: str
    notebook: cells.Notebook | None
    files: dict[str, Path]
    remarks: list[str]
    late: bool = False
    stamp: str = ""
    folder: str = ""


@dataclass
class _Candidate:
    """A notebook of a student for an assignment."""

    file: File
    sent: Sent
    notebook: cells.Notebook | None
    remarks: list[str]
    filled: int  # answers that are filled in

    @property
    def place(self) -> str:
        """Where it lies."""
        return str(self.file.where)

    @property
    def called(self) -> str:
        """Its name in a remark."""
        name = legible(str(self.sent.file)).replace("`", "'")
        return f"`{name}`"

    @property
    def order(self) -> tuple[Any, ...]:
        """Filled in before blank, then the later one: by Canvas's number, by "(2)" or "-2" in its name, by its time."""
        number = re.search(r"[-( ](\d{1,4})\)?$", self.file.where.stem)
        version = int(number[1]) if number else 0
        readable = self.notebook is not None
        return readable, self.filled > 0, self.sent.upload, version, self.file.changed, self.place


def collect(
    source: Path, originals: Mapping[str, cells.Notebook], scratch: Path, roster: Roster | None = None
) -> tuple[list[HandIn], list[str]]:
    """The hand-ins in `source`, sorted by student and assignment, and a line for every file that is not used.

    source:  a folder or a zip: Moodle's or Canvas's, or STUDENT/anything.ipynb, STUDENT_assignment1.ipynb.
    scratch: a folder for what is in zips; it must exist as long as the hand-ins are used.
    A notebook is recognised by its cells, not by its name. If a student has several for one assignment, the latest
    that is filled in is marked.
    Raises UsageError if there are no notebooks.
    """
    found, names = listing(source, scratch), tuple(originals)
    asides = [(sent(where, names), reason) for where, reason in found.aside]
    if not any(map(_is_notebook, found.files)):
        raise UsageError(
            f"got {source} without notebooks{_such_as(asides)}: expected STUDENT/assignment1.ipynb or "
            "STUDENT_assignment1.ipynb"
        )
    senders = [(file, sent(file.where, names)) for file in found.files]
    students, strangers = _students({one.sender for _, one in senders}, roster or Roster())
    candidates, unknown = _candidates(senders, originals, students)
    data = [(file, one) for file, one in senders if not _is_notebook(file)]
    hand_ins = [_hand_in(*key, of_one, data) for key, of_one in sorted(candidates.items())]
    asides += _unused(data, hand_ins)
    with_notebook = {one.sender for file, one in senders if _is_notebook(file)}
    without = {one.sender.name for one, _ in asides} - {sender.name for sender in with_notebook} - {MACOS}
    lines = [*unknown, *_lines(asides), *(f"{legible(name)}: no notebook of theirs" for name in sorted(without))]
    return hand_ins, [*strangers, *lines]


def _candidates(
    senders: Iterable[tuple[File, Sent]], originals: Mapping[str, cells.Notebook], students: Mapping[Sender, str]
) -> tuple[dict[tuple[str, str], list[_Candidate]], list[str]]:
    """The notebooks by student and assignment, and a line for each that belongs to no assignment."""
    found: dict[tuple[str, str], list[_Candidate]] = {}
    lines = []
    for file, one in senders:
        if not _is_notebook(file):
            continue
        notebook, remarks = _read(file.path)
        assignment = _assignment(file.where, notebook, originals)
        if not assignment:
            reason = (
                "not a notebook of an assignment" if notebook else "cannot be read, and its name is no assignment's"
            )
            lines.append(f"{legible(str(file.where))}: {reason}")
        elif notebook is None and file.where.name.startswith("."):
            lines.append(f"{legible(str(file.where))}: cannot be read, and its name is that of a hidden file")
        else:
            filled = 0 if notebook is None else _filled(notebook, originals[assignment])
            key = students[one.sender], assignment
            found.setdefault(key, []).append(_Candidate(file, one, notebook, remarks, filled))
    return found, lines


def _hand_in(student: str, assignment: str, candidates: list[_Candidate], data: Iterable[tuple[File, Sent]]) -> HandIn:
    """The hand-in with the best of the notebooks."""
    best = max(candidates, key=lambda one: one.order)
    remarks = list(best.remarks)
    if len(candidates) > 1:
        each = ", ".join(
            f"{one.called} ({one.filled} answers)" for one in sorted(candidates, key=lambda one: one.place)
        )
        remarks.append(f"There were {len(candidates)} notebooks, {each}: {best.called} was marked.")
    if best.notebook is None:
        remarks.append(f"The file {best.called} cannot be read as a notebook: hand it in again.")
    files = _beside(best, data)
    written = files.pop(STAMP, None)
    stamp = written.read_text(errors="replace").strip() if written and not best.sent.sender.system else ""
    return HandIn(student, assignment, best.notebook, files, remarks, best.sent.late, stamp, best.sent.sender.folder)


def _beside(one: _Candidate, data: Iterable[tuple[File, Sent]]) -> dict[str, Path]:
    """The data files of the notebook's sender in the same folder, by the names that the student gave them.

    What came through Moodle or Canvas belongs to one hand-in, so there files of the sender's other folders count too.
    Canvas adds "-1" to the name of a file that is handed in again.
    """
    files: dict[str, Path] = {}
    own = [(file, other) for file, other in data if other.sender == one.sent.sender]
    for file, other in sorted(own, key=lambda pair: pair[0].where.parent != one.file.where.parent):
        if other.sender.system or file.where.parent == one.file.where.parent:
            again = other.sender.system == "Canvas"
            name = re.sub(r"-\d{1,3}(?=\.\w+$)", "", other.file.name) if again else other.file.name
            files.setdefault(name, file.path)
    return files


def _unused(data: Iterable[tuple[File, Sent]], hand_ins: Iterable[HandIn]) -> list[tuple[Sent, str]]:
    """The data files that lie beside no notebook, and times that students wrote themselves."""
    used = {path for one in hand_ins for path in one.files.values()}
    own_time = [(one, "a time of the student's own, which does not count") for _, one in data if _is_own_time(one)]
    rest = [(one, "beside no notebook") for file, one in data if file.path not in used and one.file.name != STAMP]
    return own_time + rest


def _is_own_time(one: Sent) -> bool:
    return one.file.name == STAMP and one.sender.system != ""


def _lines(asides: Iterable[tuple[Sent, str]]) -> list[str]:
    """A line for each sender and reason, with the files."""
    grouped: dict[tuple[str, str], list[str]] = {}
    for one, reason in asides:
        parts = [part for part in one.file.parts if part not in ("/",)]
        junk = next((part for part in parts if part == MACOS), str(one.file))
        names = grouped.setdefault((one.sender.name, reason), [])
        if junk not in names:
            names.append(junk)
    lines = [(name, ", ".join(files), reason) for (name, reason), files in sorted(grouped.items())]
    return [legible(": ".join(dict.fromkeys(parts))) for parts in lines]


def _such_as(asides: list[tuple[Sent, str]]) -> str:
    """The first line on a file that is not used, cut off for a message, and how many more there are."""
    lines = _lines(asides)
    more = f"; {len(lines) - 1} more" if len(lines) > 1 else ""
    return f" ({lines[0][:300]}{more})" if lines else ""


def _is_notebook(file: File) -> bool:
    return file.where.suffix.lower() == ".ipynb"


def _read(path: Path) -> tuple[cells.Notebook | None, list[str]]:
    """The notebook in a file, and a remark on its encoding; None if the file or one of its cells is malformed."""
    try:
        text, remarks = _decoded(path.read_bytes())
        notebook = nbformat.reads(text, as_version=4)
        return (notebook, remarks) if all(_is_cell(cell) for cell in notebook.cells) else (None, [])
    except Exception:  # not JSON, not a notebook, cut short: nbformat raises many kinds
        return None, []


def _decoded(content: bytes) -> tuple[str, list[str]]:
    """The text of a file, whatever program saved it, and a remark if it is not UTF-8, as a notebook must be."""
    if content.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        return content.decode("utf-16"), ["The file was in UTF-16."]
    try:
        return content.decode("utf-8-sig"), []
    except UnicodeDecodeError:
        return content.decode("cp1252"), ["The file was not in UTF-8: letters with accents may be wrong."]


def _is_cell(cell: Any) -> bool:
    """Whether the cell has a type, text that can be written to a file, and metadata; nbformat does not check this."""
    cell.source.encode()  # raises for half of a surrogate pair, which JSON may contain
    words = cell.cell_type, cell.get("id", "")
    return all(isinstance(one, str) for one in words) and isinstance(cell.metadata.get("nbgrader", {}), dict)


def _filled(notebook: cells.Notebook, original: cells.Notebook) -> int:
    """The number of answers in which the student has written something."""
    answers = {cells.grade_id(cell): cell.source for cell in original.cells if cells.is_students(cell)}
    blank = {name: re.sub(r"### BEGIN SOLUTION.*?### END SOLUTION", "", answers[name], flags=re.S) for name in answers}
    written = [(_bare(cell.source), cells.grade_id(cell)) for cell in notebook.cells]
    return sum(name in blank and text not in ("", _bare(blank[name])) for text, name in written)


def _bare(source: str) -> str:
    """An answer without white space and without what stands for a missing one in the student's version."""
    source = re.sub(r"# YOUR CODE HERE|raise NotImplementedError(\(\))?|YOUR ANSWER HERE", "", source)
    return "".join(source.split())


def _assignment(where: PurePosixPath, notebook: cells.Notebook | None, originals: Mapping[str, cells.Notebook]) -> str:
    """The assignment that shares most cells with the notebook, otherwise the one in its path, otherwise ""."""
    if notebook is not None:
        shared = {name: recognised(notebook, original) for name, original in originals.items()}
        best = max(shared, key=lambda name: shared[name])
        if shared[best]:
            return best
    return next((name for name in originals if name in str(where)), "")


def _students(senders: Collection[Sender], roster: Roster) -> tuple[dict[Sender, str], list[str]]:
    """The name of each sender in paths and tables, and a line for each who is not in the roster.

    In the roster it is the student's id. For others it is their name; characters that a path may not contain become _.
    If two become equal, the second gets the suffix -2, and so on, so that no work is attributed to another. Names that
    differ in upper and lower case are equal, as they are one folder on many disks.
    """
    found = {sender: roster.find(sender) for sender in senders}
    names = {sender: student.id for sender, student in found.items() if student}
    taken, lines = {name.casefold() for name in names.values()}, []
    for sender in sorted(senders - names.keys(), key=lambda one: (one.name, one.id)):
        name = in_paths(sender.name) or "_"
        numbered = chain([name], (f"{name}-{number}" for number in count(2)))
        names[sender] = next(one for one in numbered if one.casefold() not in taken)
        taken.add(names[sender].casefold())
        if roster.students:
            lines.append(f"{legible(sender.name)}: in no line of the roster, or in two; called {names[sender]}")
        elif names[sender] != name:
            lines.append(f"{legible(sender.name)}: one of several of this name, called {names[sender]}; use a roster")
    return names, lines
