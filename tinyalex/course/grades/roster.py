"""The class: who takes the course, read from a table of the lecturer's, of Moodle or of Canvas."""

import re
import unicodedata
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from tinyalex.course.grades.table import Table, columns
from tinyalex.course.handed_in.sender import Sender
from tinyalex.errors import UsageError
from tinyalex.typed import bare

# The columns that may tell a student's id, the best first: a lecturer's own, Canvas's, Moodle's.
IDS = ("id", "SIS Login ID", "SIS User ID", "Username", "ID number", "Email address", "email", "ID", "Identifier")
MOST_WORDS = 10  # of a name that may come first
NOBODY = ("Points Possible", "Student, Test")  # lines of Canvas's gradebook
EMAILS = ("email", "Email address", "SIS Login ID")


@dataclass(frozen=True)
class Student:
    """A line of the roster.

    id: what the student is called in paths and tables.
    keys: what a hand-in or a table may name the student by, the surest first: numbers of Moodle and Canvas, then ids,
        addresses and names, simplified.
    """

    id: str
    name: str
    email: str
    keys: tuple[str, ...]


@dataclass
class Roster:
    """The students of a course."""

    students: Sequence[Student] = ()
    _by_key: dict[str, set[str]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self._by_id = {student.id: student for student in self.students}
        for student in self.students:
            for key in student.keys:
                self._by_key.setdefault(key, set()).add(student.id)

    def find(self, sender: Sender) -> Student | None:
        """The student who is the sender: by Moodle's or Canvas's number, else by a name that only one student has."""
        return self._first((f"{sender.system} {sender.id}", simplified(sender.name)))

    def in_row(self, row: Mapping[str, str]) -> Student | None:
        """The student whom the line of a table is about; None if it is nobody's."""
        return self._first(student_in(row).keys)

    def _first(self, keys: Iterable[str]) -> Student | None:
        """The student whom the first key that only one student has belongs to."""
        for key in keys:
            if len(ids := self._by_key.get(key, set())) == 1:
                return self._by_id[next(iter(ids))]
        return None


def read_roster(path: Path) -> Roster:
    """The roster in a CSV file: columns id and name, or any table of students that Moodle or Canvas exports.

    Raises UsageError if the file has no students, or one twice.
    """
    table = Table.read(path)
    students = [student_in(row) for row in table.rows if _name(row) not in NOBODY]
    students = [student for student in students if student.name or student.id]
    ids = [student.id.casefold() for student in students]  # two that differ in case only are one folder on many disks
    if not students or "" in ids:
        raise UsageError(f"got {path} with {columns(table.header)}: expected columns id and name, and a line a student")
    if twice := [id for id, times in Counter(ids).items() if times > 1]:
        raise UsageError(f"got {path} with {bare(min(twice))} in two lines: expected each student once")
    return Roster(students)


def student_in(row: Mapping[str, str]) -> Student:
    """The student whom the line of a table describes; the id is "" if it has none."""
    called = [row[column] for column in IDS if row.get(column)]
    id, name = called[0] if called else "", _name(row)
    numbers = [f"Canvas {row['ID']}"] if row.get("ID", "").isdigit() else []
    if number := re.search(r"\d+$", row.get("Identifier", "")):
        numbers.append(f"Moodle {number[0]}")
    email = next((row[column] for column in EMAILS if row.get(column)), "")
    names = [simplified(one) for one in [*called, email, email.partition("@")[0], *_orders(name)]]
    return Student(in_paths(id), name, email, tuple(filter(None, [*numbers, *names])))


def in_paths(name: str) -> str:
    """The name as a part of a path: without slashes, nor a dot at the front, as ".." is another folder."""
    return re.sub(r"^\.|[^\w.@-]", "_", name)


def _name(row: Mapping[str, str]) -> str:
    """The student's full name."""
    first = row.get("First name") or row.get("FirstName") or ""
    last = row.get("Last name") or row.get("Surname") or row.get("LastName") or ""
    return (row.get("name") or row.get("Full name") or row.get("Student") or f"{first} {last}").strip()


def _orders(name: str) -> Iterable[str]:
    """The name with each of its words first: "Lee, Anna", "Anna Lee" and Canvas's "leeanna" are one name."""
    words = name.replace(",", " ").split()
    for first in range(min(len(words), MOST_WORDS)):
        yield "".join(words[first:] + words[:first])


def simplified(name: str) -> str:
    """Letters and digits only, in lower case, without accents."""
    plain = unicodedata.normalize("NFKD", name).casefold()
    return "".join(letter for letter in plain if letter.isalnum())
