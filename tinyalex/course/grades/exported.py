"""Grades written into the table that Moodle or Canvas has exported, so that it can be imported again.

Only the cells of students with points are changed. Nothing else is: no line is added, no column renamed.
"""

import html
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Literal

from tinyalex.course.grades.late import Key, moment
from tinyalex.course.grades.roster import Roster
from tinyalex.course.grades.table import Table, columns, shown
from tinyalex.errors import UsageError
from tinyalex.files import legible

ROW_OF_MAXIMA = "Points Possible"  # Canvas's second line


@dataclass(frozen=True)
class Result:
    """The points of a hand-in, after what its delay cost, of how many, and a comment for the student."""

    points: float
    of: float
    comment: str


@dataclass
class Exported:
    """A table of a learning system.   path: where it was read."""

    table: Table
    system: Literal["Moodle", "Canvas"]
    path: Path

    @classmethod
    def read(cls, path: Path) -> "Exported":
        """Moodle's grading worksheet of an assignment, or Canvas's gradebook. Raises UsageError for another table."""
        table = Table.read(path)
        if {"Identifier", "Grade"} <= set(table.header):
            return cls(table, "Moodle", path)
        if {"Student", "ID", "Section"} <= set(table.header):
            return cls(table, "Canvas", path)
        raise UsageError(
            f"got {path} with {columns(table.header)}: expected Moodle's grading worksheet (Identifier, Grade, ...) or "
            "Canvas's gradebook (Student, ID, Section, ...); export it again, in English"
        )

    def assignment(self, names: Sequence[str], marked: Sequence[str]) -> str:
        """The assignment that Moodle's worksheet is of: the one in its file's name, else the only one just marked.

        Raises UsageError if neither tells.
        """
        in_name = [name for name in names if _names(self.path.stem, name)]
        candidates = in_name or sorted(set(marked))
        if len(candidates) != 1:
            raise UsageError(
                f"got {self.path.name}, a worksheet of {' or '.join(candidates) or 'no assignment'}: expected the "
                f"assignment in the file's name, such as {names[0]}.csv; rename it"
            )
        return candidates[0]

    def times(self, roster: Roster) -> dict[str, datetime]:
        """When each student's hand-in came, as Moodle's worksheet says."""
        found = {}
        for row in self.table.rows:
            student, came = roster.in_row(row), moment(row.get("Last modified (submission)", ""))
            if student and came:
                found[student.id] = came
        return found

    def fill(
        self, roster: Roster, results: Mapping[Key, Result], assignments: Sequence[str], named: Mapping[str, str]
    ) -> list[str]:
        """Enter the results of these assignments -> lines on what could not be entered.

        named: the column of an assignment in Canvas's gradebook, where its name does not tell.
        """
        found, maxima = self.columns(assignments, named), self._maxima
        lines = [f"{self.path.name}: no column for {name}, or several" for name, column in found.items() if not column]
        for name, column in found.items():
            if column:
                lines += self._fill_column(name, column, maxima.get(column, ""), roster, results)
        return lines

    def columns(self, assignments: Sequence[str], named: Mapping[str, str]) -> dict[str, str]:
        """The column of each of these assignments, "" where there is none; `named` as for `fill`.

        Raises UsageError if there is none for any of them.
        """
        found = {name: "Grade" if self.system == "Moodle" else self._column(name, named) for name in assignments}
        if not any(found.values()):
            wanted = " or ".join(assignments) or "an assignment"
            raise UsageError(
                f"got {self.path} with {columns(self.table.header)}: expected a column for {wanted}; name it in the "
                "settings, under [columns]"
            )
        return found

    @property
    def _maxima(self) -> Mapping[str, str]:
        """The line of a gradebook of Canvas that has the points possible, by column; {} in other tables."""
        return next((row for row in self.table.rows if ROW_OF_MAXIMA in row.get("Student", "")), {})

    def _column(self, name: str, named: Mapping[str, str]) -> str:
        """The one column of Canvas's gradebook that is called like the assignment; "" if there are none or several."""
        maxima = self._maxima
        free = [column for column in self.table.header if "read only" not in maxima.get(column, "")]
        found = [column for column in free if column == named.get(name) or (name not in named and _names(column, name))]
        return found[0] if len(found) == 1 else ""

    def _fill_column(
        self, name: str, column: str, maximum: str, roster: Roster, results: Mapping[Key, Result]
    ) -> list[str]:
        lines, missing = [], {student for student, of in results if of == name}
        for row in self.table.rows:
            student = roster.in_row(row)
            if not student or (student.id, name) not in results:
                continue
            missing.discard(student.id)
            if row.get("Grade can be changed", "").lower() == "no":
                lines.append(f"{self.path.name}: {student.id} has a grade that Moodle has locked")
                continue
            result = results[student.id, name]
            row[column] = shown(result.points * _scale(maximum or _maximum(row), result.of))
            if "Feedback comments" in row:
                row["Feedback comments"] = html.escape(result.comment, quote=False)
        return lines + [f"{self.path.name}: no line for {legible(student)}, {name}" for student in sorted(missing)]


def _maximum(row: Mapping[str, str]) -> str:
    return row.get("Maximum Grade") or row.get("Maximum grade") or ""


def _scale(maximum: str, of: float) -> float:
    """The learning system's maximum, such as "10,00", as a share of ours; 1 if it has none."""
    try:
        return float(maximum.replace(",", ".")) / of if maximum and of else 1.0
    except ValueError:
        return 1.0


def _names(title: str, name: str) -> bool:
    """Whether a title is that of the assignment: "Assignment 1: convolution (4711)" is of assignment1, not of 11."""
    name = name.casefold()
    word = name.rstrip("0123456789")
    return bool(re.search(rf"{re.escape(word)}[\W_]*0*{name[len(word) :]}(?!\d)", title.casefold()))
