"""The class: who takes the course, read from a table of the lecturer's, of Moodle or of Canvas."""

import re
import unicodedata
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from tinyalex.course.sender import Sender
from tinyalex.course.table import Table
from tinyalex.errors import UsageError

# The columns that may tell a student's id, the best first: a lecturer's own, Canvas's, Moodle's.
IDS = ("id", "SIS Login ID", "SIS User ID", "Username", "ID number", "Email address", "email", "ID", "Identifier")


@dataclass(frozen=True)
class Student:
    """A line of the roster.

    id: what the student is called in paths and tables.   keys: whatever a hand-in may name the student by, simplified.
    numbers: the ids in Moodle's and Canvas's zips, by system.
    """

    id: str
    name: str
    keys: frozenset[str]
    numbers: Mapping[str, str]


@dataclass
class Roster:
    """The students of a course."""

    students: Sequence[Student] = ()
    _by_key: dict[str, set[str]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self._by_id = {student.id: student for student in self.students}
        for student in self.students:
            for key in [*student.keys, *(f"{system} {number}" for system, number in student.numbers.items())]:
                self._by_key.setdefault(key, set()).add(student.id)

    def find(self, sender: Sender) -> Student | None:
        """The student who is the sender: by Moodle's or Canvas's number, else by a name that only one student has."""
        for key in (f"{sender.system} {sender.id}", simplified(sender.name)):
            if len(ids := self._by_key.get(key, set())) == 1:
                return self._by_id[next(iter(ids))]
        return None


def read_roster(path: Path) -> Roster:
    """The roster in a CSV file: columns id and name, or any table of students that Moodle or Canvas exports.

    Raises UsageError if the file has no students, or one twice.
    """
    table = Table.read(path)
    students = [_student(row) for row in table.rows if _name(row) and "Points Possible" not in _name(row)]
    ids = [student.id for student in students]
    if not students or "" in ids:
        raise UsageError(
            f"got {path} with the columns {', '.join(table.header)}: expected a line of id and name for each student"
        )
    if twice := sorted({one for one in ids if ids.count(one) > 1}):
        raise UsageError(f"got {path} with {twice[0]} in two lines: expected each student once")
    return Roster(students)


def _student(row: Mapping[str, str]) -> Student:
    id = next((row[column] for column in IDS if row.get(column)), "")
    name = _name(row)
    called = {row[column] for column in IDS if row.get(column)} | {id.partition("@")[0]}
    numbers = {}
    if row.get("ID", "").isdigit():
        numbers["Canvas"] = row["ID"]
    if number := re.search(r"(\d+)$", row.get("Identifier", "")):
        numbers["Moodle"] = number[1]
    keys = {simplified(one) for one in [*called, *_orders(name)]} - {""}
    return Student(re.sub(r"[^\w.@-]", "_", id), name, frozenset(keys), numbers)


def _name(row: Mapping[str, str]) -> str:
    """The student's full name."""
    whole = next((row[column] for column in ("name", "Full name", "Student") if row.get(column)), "")
    parts = [
        next((row[one] for one in columns if row.get(one)), "")
        for columns in (("First name", "FirstName"), ("Last name", "Surname", "LastName"))
    ]
    return (whole or " ".join(parts)).strip()


def _orders(name: str) -> Iterable[str]:
    """The name with each of its words first: "Lee, Anna", "Anna Lee" and Canvas's "leeanna" are one name."""
    words = name.replace(",", " ").split()
    for first in range(len(words)):
        yield "".join(words[first:] + words[:first])


def simplified(name: str) -> str:
    """Letters and digits only, in lower case, without accents."""
    plain = unicodedata.normalize("NFKD", name).casefold()
    return "".join(letter for letter in plain if letter.isalnum())
