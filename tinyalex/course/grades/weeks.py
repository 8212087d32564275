"""The tables of the whole course: what each student has in each assignment, who has not handed in, and delays."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from tinyalex.course.grades.exported import Exported, Result
from tinyalex.course.grades.late import Key, days_late, deductions, moment
from tinyalex.course.grades.roster import Roster, Student, read_roster
from tinyalex.course.grades.settings import Settings, read_settings
from tinyalex.course.grades.table import Table, shown
from tinyalex.course.handed_in.hand_ins import HandIn
from tinyalex.course.marking.by_nbgrader import Course, Marks
from tinyalex.course.marking.gradebook import all_marks
from tinyalex.errors import UsageError
from tinyalex.files import write_table
from tinyalex.typed import bare, brief


class Weeks:
    """All marks so far, with what delays cost.

    marks: of every hand-in, of all weeks.   handed_in: also those that could not be marked.
    lines: what the lecturer should know.
    """

    def __init__(self, marks: Sequence[Marks], assignments: Sequence[str], settings: Settings, roster: Roster) -> None:
        self.marks = {(one.student, one.assignment): one for one in marks}
        self.assignments, self.settings, self.roster = assignments, settings, roster
        self.handed_in = set(self.marks)
        self.times: dict[Key, datetime] = {}
        self.lines: list[str] = []

    def note_times(self, folder: Path, hand_ins: Iterable[HandIn], told: Mapping[Key, datetime]) -> None:
        """Note when hand-ins came: from late.csv of earlier weeks, files beside them, Moodle, the lecturer's table."""
        self.times |= _times(folder / "late.csv") if (folder / "late.csv").is_file() else {}
        for one in hand_ins:
            key = one.student, one.assignment
            if came := moment(one.stamp):
                self.times[key] = came
            elif one.stamp:
                self.lines.append(f"{one.student}, {one.assignment}: no time in its timestamp.txt")
        self.times |= told
        if self.settings.times:
            self.times |= _times(self.settings.path(self.settings.times))
        days = self.days()
        for one in hand_ins:
            if one.late and (one.student, one.assignment) not in days:
                self.lines.append(
                    f"{one.student}, {one.assignment}: late, says Canvas, but not by how much: enter it in [days]"
                )

    def days(self) -> dict[Key, int]:
        """How many days late each hand-in is, where that is known."""
        settings = self.settings
        found = {
            (student, name): days_late(came, settings.due[name], settings.late.grace)
            for (student, name), came in self.times.items()
            if name in settings.due
        }
        return found | {(student, name): days for student, own in settings.days.items() for name, days in own.items()}

    def results(self) -> dict[Key, Result]:
        """The points of each hand-in after its deduction, and the comment."""
        days = self.days()
        lost = deductions(
            days, {key: (one.points, one.of) for key, one in self.marks.items()}, self._order(), self.settings.late
        )
        return {
            key: Result(one.points - lost.get(key, 0.0), one.of, _comment(one, days.get(key, 0), lost.get(key, 0.0)))
            for key, one in self.marks.items()
        }

    def _order(self) -> list[str]:
        """The assignments by due date."""
        due = self.settings.due
        return sorted(
            self.assignments, key=lambda name: (due[name].astimezone().timestamp() if name in due else 0, name)
        )

    def write(self, folder: Path) -> None:
        """Write course.csv, late.csv, and with a roster missing.csv."""
        results, days = self.results(), self.days()
        names = {student.id: student.name for student in self.roster.students}
        students = sorted(names.keys() | {student for student, _ in self.marks})
        rows = []
        for student in students:
            own = [results.get((student, name)) for name in self.assignments]
            points = [shown(one.points) if one else "" for one in own]
            late = sum(days.get((student, name), 0) for name in self.assignments if (student, name) in results)
            rows.append(
                (student, names.get(student, ""), *points, shown(sum(one.points for one in own if one)), str(late))
            )
        write_table(folder / "course.csv", ("student", "name", *self.assignments, "sum", "days late"), rows)
        keys = sorted(self.times.keys() | days.keys())
        times = {key: self.times[key].isoformat(" ", "seconds") for key in self.times}
        late_rows = (
            (*key, times.get(key, ""), str(days.get(key, "")), shown(self.marks[key].points - results[key].points))
            for key in keys
            if key in self.marks
        )
        write_table(folder / "late.csv", ("student", "assignment", "time", "days late", "points lost"), late_rows)
        if self.roster.students:
            rows = [(name, one.id, one.name, one.email) for name in self._begun() for one in self.missing(name)]
            write_table(folder / "missing.csv", ("assignment", "student", "name", "email"), rows)

    def _begun(self) -> list[str]:
        """The assignments that somebody has handed in."""
        return [name for name in self.assignments if any(of == name for _, of in self.handed_in)]

    def missing(self, name: str) -> list[Student]:
        """The students of the roster who have not handed in an assignment."""
        return [student for student in self.roster.students if (student.id, name) not in self.handed_in]

    def missing_lines(self) -> list[str]:
        """A line for each assignment that somebody has not handed in, with the first ten students."""
        lines = []
        for name in self._begun():
            missing = [student.id for student in self.missing(name)]
            more = f" and {len(missing) - 10} more" if len(missing) > 10 else ""
            if missing:
                lines.append(f"{name}: not handed in by {len(missing)}: {', '.join(missing[:10])}{more}")
        return lines

    def fill(self, exported: Exported, marked: Sequence[str], folder: Path) -> Path:
        """Write the points into the table of Moodle or Canvas -> the new file."""
        of_one = exported.system == "Moodle"
        names = [exported.assignment(self.assignments, marked)] if of_one else self._begun()
        self.lines += exported.fill(self.roster, self.results(), names, self.settings.columns)
        path = folder / exported.path.name
        exported.table.write(path)
        return path


def _check_apart(table: Path, folder: Path) -> None:
    """Raise UsageError if the table that is filled in would replace `table` itself."""
    if table.resolve() == (folder / table.name).resolve():
        raise UsageError(f"got {table}, which would be replaced: expected a table in another folder")


def _times(path: Path) -> dict[Key, datetime]:
    """When hand-ins came, in a table with the columns student, assignment and time."""
    table = Table.read(path)
    if not {"student", "assignment", "time"} <= set(table.header):
        raise UsageError(f"got {path}: expected the columns student, assignment and time")
    found = {}
    for row in table.rows:
        if came := moment(row["time"]):
            found[row["student"], row["assignment"]] = came
        elif row["time"]:
            raise UsageError(f"got {brief(row['time'])} in {path}: expected a time, such as 2027-03-01 23:59")
    return found


def _comment(marks: Marks, days: int, lost: float) -> str:
    """The points by exercise in a line, and what they lack."""
    parts = [
        f"{name} {shown(points)}/{shown(of)}"
        for name, (points, of) in marks.exercises.items()
        if name not in marks.by_hand
    ]
    late = [f"{days} {'day' if days == 1 else 'days'} late: -{shown(lost)}"] if lost else []
    waits = [f"not marked yet: {', '.join(marks.by_hand)}"] if marks.by_hand else []
    return "; ".join([*parts, *late, *waits])


@dataclass(frozen=True)
class Classroom:
    """What a lecturer gives beside the hand-ins: settings, students, and a table of Moodle or Canvas to fill in."""

    settings: Settings
    roster: Roster
    into: Exported | None

    def check(self, names: Sequence[str], marked: Sequence[str], folder: Path) -> None:
        """Raise UsageError for what could not be written when all is marked.

        That is a table that lies in `folder`, whose assignment cannot be told, or that has no column for it; a table
        of times that cannot be read; a name that is unknown.
        names: of the assignments.   marked: those of the hand-ins.
        """
        chosen, students = self.settings, {student.id for student in self.roster.students}
        for place in (chosen.due, chosen.columns, *chosen.days.values()):
            if unknown := sorted(place.keys() - set(names)):
                raise UsageError(f"got the assignment {bare(unknown[0])} in the settings: expected {', '.join(names)}")
        if students and (unknown := sorted(chosen.days.keys() - students)):
            raise UsageError(f"got days.{bare(unknown[0])} in the settings: expected the id of a student in the roster")
        if chosen.times:
            _times(chosen.path(chosen.times))
        if self.into:
            _check_apart(self.into.path, folder)
            if self.into.system == "Moodle":
                self.into.assignment(names, marked)
            else:
                self.into.columns(sorted(set(marked)) or names, chosen.columns)


def classroom(settings: Path | None, into: Path | None) -> Classroom:
    """The classroom of these files. Without a roster in the settings, the students are those in the table."""
    chosen = read_settings(settings) if settings else Settings()
    exported = Exported.read(into) if into else None
    return Classroom(chosen, read_roster(into) if into and not chosen.roster else chosen.read_roster(), exported)


def write_weeks(course: Course, room: Classroom, hand_ins: Sequence[HandIn], folder: Path) -> list[str]:
    """Write all tables of the course into `folder` -> what the lecturer should know, and the files.

    Raises UsageError if nothing was ever marked.
    """
    marks = all_marks(course)
    if not marks:
        raise UsageError(f"got no hand-ins, and none marked before in {folder}: expected a folder or a zip of them")
    weeks = Weeks(marks, course.names, room.settings, room.roster)
    weeks.handed_in |= {(place.parent.name, place.name) for place in (course.root / "submitted").glob("*/*")}
    marked = [one.assignment for one in hand_ins]
    told: dict[Key, datetime] = {}
    if room.into and room.into.system == "Moodle":
        name = room.into.assignment(course.names, marked)
        told = {(student, name): came for student, came in room.into.times(room.roster).items()}
    weeks.note_times(folder, hand_ins, told)
    weeks.write(folder)
    files = [folder / name for name in ("course.csv", "late.csv")]
    if room.roster.students:
        files.append(folder / "missing.csv")
        weeks.lines += weeks.missing_lines()
    if room.into:
        files.append(weeks.fill(room.into, marked, folder))
    return [*weeks.lines, f"the course so far: {', '.join(map(str, files))}"]
