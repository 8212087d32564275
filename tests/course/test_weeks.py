"""Tables of the whole course, and grades written back into what Moodle and Canvas have exported."""

import csv
import dataclasses

import pytest

from course.zips import canvas, gradebook, moodle, worksheet, zipped
from tinyalex.course.grades.exported import Exported
from tinyalex.course.grades.roster import Roster, read_roster
from tinyalex.course.grades.settings import read_settings
from tinyalex.course.grades.weeks import Weeks, classroom
from tinyalex.course.handed_in.hand_ins import HandIn
from tinyalex.course.handed_in.sender import sent
from tinyalex.course.handed_in.unpack import listing
from tinyalex.course.marking.by_nbgrader import Marks
from tinyalex.errors import UsageError

NAMES = [f"assignment{number}" for number in range(1, 7)]
CLASS = [(f"Åsa{number:03} Lee", 4000 + number) for number in range(300)]
SETTINGS = """
[late]
per_day = 10
free_days = 1
[due]
assignment1 = 2027-03-01 23:59:00
assignment2 = 2027-03-08 23:59:00
[days.a007]
assignment1 = 0
"""


def rows(path):
    with path.open(newline="", encoding="utf-8-sig") as file:
        return list(csv.DictReader(file))


def marks(student, points, name="assignment1"):
    return Marks(student, name, {"conv": (points, 90.0), "words": (0.0, 10.0)}, ["words"])


@pytest.fixture
def settings(tmp_path):
    (tmp_path / "course.toml").write_text(SETTINGS)
    return read_settings(tmp_path / "course.toml")


def test_moodle_gets_its_worksheet_back_filled_in(tmp_path, settings):
    path = worksheet(tmp_path / "Grades-CS-Assignment 1-77.csv", CLASS)
    room = classroom(tmp_path / "course.toml", path)
    weeks = Weeks(
        [marks(student.id, 90 - i % 50) for i, student in enumerate(room.roster.students)][:-1],
        NAMES,
        settings,
        room.roster,
    )
    weeks.note_times(tmp_path, [], {(who, "assignment1"): came for who, came in room.into.times(room.roster).items()})
    filled = rows(weeks.fill(room.into, ["assignment1"], tmp_path / "out"))
    before = rows(path)
    for i, (row, old) in enumerate(zip(filled, before, strict=True)):
        lost = 10 if i % 10 == 7 else 0
        expected = f"{90 - i % 50 - lost}" if i < 299 else ""
        assert row["Grade"] == expected, row
        assert {**row, "Grade": "", "Feedback comments": ""} == old
        late = "; 2 days late: -10" if lost else ""
        assert row["Feedback comments"] == (f"conv {90 - i % 50}/90{late}; not marked yet: words" if i < 299 else "")
    assert weeks.lines == []
    assert [student.name for student in weeks.missing("assignment1")] == ["Åsa299 Lee"]
    assert (tmp_path / "out" / path.name).read_bytes().startswith(b"\xef\xbb\xbfIdentifier,Full name,")


def test_canvas_gets_its_gradebook_back_filled_in(tmp_path):
    path = gradebook(tmp_path / "gradebook.csv", CLASS)
    room = classroom(None, path)
    weeks = Weeks([marks(f"a{i:03}", i % 91) for i in range(300)], NAMES, room.settings, room.roster)
    filled = rows(weeks.fill(room.into, ["assignment1"], tmp_path / "out"))
    column = "Assignment 1: layers (77)"
    assert [row[column] for row in filled] == ["10.00", *(f"{i % 91 / 10:g}" for i in range(300)), ""]
    assert [{**row, column: ""} for row in filled] == [{**row, column: ""} for row in rows(path)]
    assert weeks.lines == []


def test_whoever_is_in_the_zip_is_found_in_the_table(tmp_path):
    """Of 300 students, each in Moodle's zip and in Canvas's, by the number alone."""
    one = {"assignment1.ipynb": b"{}"}
    for table, files in ((worksheet, moodle), (gradebook, canvas)):
        roster = read_roster(table(tmp_path / "table.csv", CLASS))
        (tmp_path / "all.zip").write_bytes(zipped(files({("Some Name", number): one for _, number in CLASS})))
        (tmp_path / table.__name__).mkdir()
        found = [sent(file.where, ()) for file in listing(tmp_path / "all.zip", tmp_path / table.__name__).files]
        assert [roster.find(one.sender) for one in found] == list(roster.students)


def test_a_course_adds_up_over_the_weeks(tmp_path, settings):
    roster = Roster(read_roster(worksheet(tmp_path / "w.csv", CLASS[:3])).students)
    anna, bo, cara = (student.id for student in roster.students)
    first = [marks(anna, 80), marks(bo, 70)]
    weeks = Weeks(first, NAMES, settings, roster)
    weeks.note_times(tmp_path, [hand_in(anna, "2027-03-03 10:00:00 UTC"), hand_in(bo, "junk")], {})
    weeks.write(tmp_path)
    assert weeks.lines == [f"{bo}, assignment1: no time in its timestamp.txt"]
    later = Weeks([*first, marks(anna, 60, "assignment2")], NAMES, settings, roster)
    later.note_times(tmp_path, [hand_in(anna, "2027-03-09 10:00:00 UTC", "assignment2")], {})
    later.write(tmp_path)
    table = {row["student"]: row for row in rows(tmp_path / "course.csv")}
    assert [table[anna][name] for name in ("assignment1", "assignment2", "sum", "days late")] == [
        "70",
        "50",
        "120",
        "3",
    ]
    assert [table[bo]["sum"], table[cara]["sum"], table[cara]["assignment1"]] == ["70", "0", ""]
    assert [(row["assignment"], row["student"]) for row in rows(tmp_path / "missing.csv")] == [
        ("assignment1", cara),
        ("assignment2", bo),
        ("assignment2", cara),
    ]
    assert later.missing_lines()[0] == f"assignment1: not handed in by 1: {cara}"


def hand_in(student, stamp, name="assignment1", late=False):
    return HandIn(student, name, None, {}, [], late, stamp)


def test_what_canvas_calls_late_is_told_until_the_lecturer_says_by_how_much(tmp_path, settings):
    late = [hand_in("a006", "", late=True), hand_in("a007", "", late=True)]
    weeks = Weeks([marks("a006", 80), marks("a007", 80)], NAMES, settings, Roster())
    weeks.note_times(tmp_path, late, {})
    assert weeks.lines == ["a006, assignment1: late, says Canvas, but not by how much: enter it in [days]"]


def test_what_could_not_be_marked_was_handed_in(tmp_path, settings):
    roster = read_roster(worksheet(tmp_path / "w.csv", CLASS[:2]))
    weeks = Weeks([], NAMES, settings, roster)
    weeks.handed_in.add((roster.students[0].id, "assignment1"))
    assert weeks.missing_lines() == [f"assignment1: not handed in by 1: {roster.students[1].id}"]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("[due]\nassignment9 = 2027-03-01 23:59:00", "got the assignment assignment9 in the settings: expected assig"),
        ("[columns]\none = 'x'", "got the assignment one in the settings"),
        ("[days.a000]\none = 1", "got the assignment one in the settings"),
        ("[days.zoe]\nassignment1 = 1", "got days.zoe in the settings: expected the id of a student in the roster"),
    ],
)
def test_names_that_nobody_has(text, message, tmp_path):
    (tmp_path / "course.toml").write_text(text)
    room = classroom(tmp_path / "course.toml", gradebook(tmp_path / "g.csv", CLASS[:2]))
    with pytest.raises(UsageError, match=message):
        room.check(NAMES, [], tmp_path / "out")


def test_what_could_not_be_written_is_told_before_anything_is_marked(tmp_path):
    table = gradebook(tmp_path / "g.csv", CLASS[:2])
    classroom(None, table).check(NAMES, ["assignment1"], tmp_path / "out")
    with pytest.raises(UsageError, match="which would be replaced: expected a table in another folder"):
        classroom(None, table).check(NAMES, ["assignment1"], tmp_path)
    with pytest.raises(UsageError, match="expected a column for assignment6; name it in the settings"):
        classroom(None, table).check(NAMES, ["assignment6"], tmp_path / "out")
    (tmp_path / "course.toml").write_text("times = 'times.csv'")
    with pytest.raises(UsageError, match="expected a table, as a CSV file"):
        classroom(tmp_path / "course.toml", None).check(NAMES, [], tmp_path / "out")


@pytest.mark.parametrize(
    ("file", "marked", "found"),
    [
        ("Grades-CS2-Assignment 1-77.csv", ["assignment3"], "assignment1"),
        ("assignment_02.csv", ["assignment3"], "assignment2"),
        ("grades.csv", ["assignment3", "assignment3"], "assignment3"),
        ("grades.csv", ["assignment3", "assignment4"], ""),
        ("Assignment 16.csv", [], ""),
    ],
)
def test_the_assignment_of_a_worksheet(file, marked, found, tmp_path):
    exported = Exported.read(worksheet(tmp_path / file, CLASS[:1]))
    if found:
        assert exported.assignment(NAMES, marked) == found
        assert exported.assignment([name.title() for name in NAMES], marked) in (found.title(), marked[0])
    else:
        with pytest.raises(UsageError, match=r"expected the assignment in the file's name, such as assignment1\.csv"):
            exported.assignment(NAMES, marked)


def test_what_cannot_be_entered_is_told(tmp_path, settings):
    path = worksheet(tmp_path / "assignment1.csv", CLASS[:2])
    path.write_text(path.read_text("utf-8-sig").replace(",Yes,", ",No,", 1))
    room = classroom(None, path)
    weeks = Weeks([marks("a000@uni.edu", 1), marks("zoe", 2)], NAMES, settings, room.roster)
    assert rows(weeks.fill(room.into, [], tmp_path / "out"))[0]["Grade"] == ""
    assert weeks.lines == [
        "assignment1.csv: a000@uni.edu has a grade that Moodle has locked",
        "assignment1.csv: no line for zoe, assignment1",
    ]
    canvas_room = classroom(None, gradebook(tmp_path / "g.csv", CLASS[:1]))
    weeks = Weeks([marks("a000", 1), marks("a000", 1, "assignment2")], NAMES, settings, canvas_room.roster)
    weeks.fill(canvas_room.into, [], tmp_path / "out")
    assert weeks.lines == ["g.csv: no column for assignment2, or several"]
    weeks.settings = dataclasses.replace(settings, columns={"assignment1": "Final Score"})
    with pytest.raises(UsageError, match=r"expected a column for assignment1 or assignment2; name it in the settings"):
        weeks.fill(canvas_room.into, [], tmp_path / "out")
    with pytest.raises(UsageError, match=r"expected Moodle's grading worksheet .* or Canvas's gradebook"):
        Exported.read(path.rename(tmp_path / "x.csv") and tmp_path / "course.toml")
