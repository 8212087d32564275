"""tinyalex grade: every hand-in gets the marks that it should, whatever is in it, and the batch goes on.

`make test-course` marks 30 hand-ins; without its option, --whole-course, the three of them that need most care.
"""

import csv
import os
import random
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import zipfile
from contextlib import suppress
from pathlib import Path, PurePosixPath

import pytest
from nbgrader.api import Gradebook

from course.generated import Generated, mixed
from course.sources import ASSIGNMENTS, SOURCE, mistakes, outcomes
from course.zips import moodle, text, zipped
from tinyalex import cli
from tinyalex.course import cells
from tinyalex.course.handed_in.hand_ins import collect
from tinyalex.course.handed_in.sender import Sender, sent
from tinyalex.course.marking import by_nbgrader as marking


def broken(*deeds):
    """A hand-in with things in it that could each stop a batch, and what the feedback must say of them."""
    one = Generated("-".join(deeds), "assignment1", file=f"{'-'.join(deeds)}_assignment1 (1).ipynb")
    if "loop" in deeds:
        one.replace_body("grouped_forward", "while True:\n    pass")
        one.says("TimeLimitError: grouped_forward was stopped after 10 s")
    if "exit" in deeds:
        one.replace_body("grouped_backward", "import os\nos._exit(3)")
        one.says("the cell ended Python")
    if "memory" in deeds:
        one.replace_body("conv_backward", "return [0] * 10**12")
        one.says("MemoryError")
    if "library" in deeds:
        one.replace_body("conv_forward", "from tinyalex import Conv2D\nreturn Conv2D(3, 4, 3).forward(x)")
        one.own_cell("setup", "import tinyalex.course\ntinyalex.course.same = lambda *_, **__: None\nexit()")
        one.says("LibraryError: conv_forward calls tinyalex")
    return one


def copied():
    """Test cells deleted, doubled and changed, a syntax error, and a mistake."""
    one = Generated("copied", "assignment1", file="copied/Untitled.ipynb")
    one.syntax_error("im2col")
    one.duplicate("col2im-overlap")
    one.delete("conv_loops-dtype")
    one.edit("conv_loops-numbers", "print('all right')")
    one.mistake(0)
    one.says("`conv_loops-numbers`: changed, so the original was run instead")
    one.says(mistakes("assignment1")[0].symptom)
    return one


def bare():
    """What is left when a tool has dropped what it did not know."""
    one = Generated("bare", "assignment1")
    one.strip_metadata()
    return one


@pytest.fixture(scope="module")
def hand_ins(pytestconfig):
    generated = [Generated("whole", "assignment1"), broken("loop", "exit", "memory", "library"), copied()]
    if pytestconfig.getoption("--whole-course"):
        generated += [bare(), *(broken(deed) for deed in ("loop", "exit", "memory", "library"))]
        rng = random.Random(2012)
        numbers = range(30 - len(generated))
        generated += [mixed(number, ASSIGNMENTS[number % len(ASSIGNMENTS)], rng, number % 9 == 4) for number in numbers]
    return generated


def grade_all(hand_ins, marks):
    words = ["grade", str(hand_ins), "--source", str(SOURCE), "--out", str(marks)]
    return subprocess.run([sys.executable, "-m", "tinyalex", *words], capture_output=True, text=True)


@pytest.fixture(scope="module")
def marked(hand_ins, tmp_path_factory):
    """The folder that one `tinyalex grade` of all hand-ins, and of two files that are none, has written."""
    folder = tmp_path_factory.mktemp("course")
    for one in hand_ins:
        one.write(folder / "hand-ins")
    (folder / "hand-ins" / "cut").mkdir()
    (folder / "hand-ins" / "cut" / "assignment1.ipynb").write_text('{"cells": [')
    (folder / "hand-ins" / "letter.ipynb").write_text("Dear all")
    done = grade_all(folder / "hand-ins", folder / "marks")
    assert (done.returncode, done.stderr) == (0, "")
    (folder / "marks" / "output").write_text(done.stdout)
    return folder / "marks"


def test_moodle_takes_the_feedback_back(tmp_path):
    """A folder for each student, with the number by which Moodle knows them; only for what was marked, from Moodle."""
    original = cells.read(SOURCE / "assignment1" / "assignment1.ipynb")
    files = moodle({("Anna Ås", 41): {"a.ipynb": text(original)}, ("Bo Lee", 42): {"b.ipynb": b"{"}})
    (tmp_path / "all.zip").write_bytes(zipped(files | {"by hand/c.ipynb": text(original)}))
    hand_ins, _ = collect(tmp_path / "all.zip", {"assignment1": original}, tmp_path)
    marks = [marking.Marks(one.student, "assignment1", {"relu": (1.0, 2.0)}) for one in hand_ins]
    for one in hand_ins:
        page = tmp_path / "feedback" / one.student / "assignment1" / "assignment1.html"
        page.parent.mkdir(parents=True)
        page.write_text(one.student)
    [path] = marking.write_zips(hand_ins, marks, tmp_path)
    assert path == tmp_path / "feedback-assignment1.zip"
    with zipfile.ZipFile(path) as archive:
        [name] = archive.namelist()
        assert archive.read(name) == "Anna_Ås".encode()
    assert name == "Anna Ås_41_assignsubmission_file_/feedback.html"
    assert sent(PurePosixPath(name), ()).sender == Sender("Anna Ås", "Moodle", "41")
    assert marking.write_zips(hand_ins, [marking.Marks(one.student, "assignment1") for one in hand_ins], tmp_path) == []


def rows(path):
    with path.open(newline="") as file:
        return list(csv.DictReader(file))


def test_marks_are_what_each_should_get(marked, hand_ins):
    got = {row["student"]: float(row["points"]) for row in rows(marked / "marks.csv")}
    assert got == {**{one.student: one.points for one in hand_ins}, "cut": 0}


def test_points_are_lost_in_the_right_exercises(marked, hand_ins):
    got = {(row["student"], row["exercise"]): float(row["points"]) for row in rows(marked / "exercises.csv")}
    for one in hand_ins:
        expected = {}
        for name, outcome in outcomes(one.assignment).items():
            points = 0 if name in one.lost else outcome.of
            expected[cells.exercise_of(name)] = expected.get(cells.exercise_of(name), 0) + points
        assert {exercise: got[one.student, exercise] for exercise in expected} == expected, one.student


def test_each_gets_feedback_that_says_why(marked, hand_ins):
    for one in hand_ins:
        page = (marked / "feedback" / one.student / one.assignment / f"{one.assignment}.html").read_text()
        text = re.sub(r"\s+", " ", re.sub(r"<[^>]+>", "", page)).replace("&#39;", "'").replace("&quot;", '"')
        for words in one.words:
            assert words.replace("`", "") in text.replace("`", ""), (one.student, words)
    page = (marked / "feedback" / "cut" / "assignment1" / "assignment1.html").read_text()
    assert "cannot be read as a notebook" in page


def test_a_line_is_printed_for_each(marked, hand_ins):
    lines = (marked / "output").read_text().splitlines()
    assert len(lines) == len(hand_ins) + 5  # the letter, the cut one, what is alike, the sum, the course
    assert "letter.ipynb: cannot be read, and its name is no assignment's" in lines[0]
    assert "whole, assignment1: 90 of 100, to mark by hand: what_groups_save, what_tests_find" in lines


def test_written_answers_wait_for_a_reader(marked):
    waiting = {row["student"]: row["to mark by hand"] for row in rows(marked / "marks.csv")}
    assert waiting["whole"] == "what_groups_save what_tests_find"
    assert waiting["cut"] == ""


def test_marks_given_by_hand_stay_when_all_is_marked_again_and_a_changed_answer_is_told(marked, tmp_path):
    shutil.copytree(marked, tmp_path / "marks")
    given = {"what_groups_save": 4, "what_tests_find": 3}
    with Gradebook(f"sqlite:///{tmp_path / 'marks' / 'gradebook.db'}", "tinyalex") as book:
        for name, points in given.items():
            grade = book.find_grade(name, "assignment1", "assignment1", "whole")
            grade.manual_score, grade.needs_manual_grade = points, False
        book.db.commit()
    again = Generated("whole", "assignment1")
    again.edit("what_tests_find", "All that I have thought of since.")
    again.write(tmp_path / "hand-ins")
    for _ in range(2):  # until a person has looked at it
        done = grade_all(tmp_path / "hand-ins", tmp_path / "marks")
        assert done.stdout.splitlines()[0] == (
            "whole, assignment1: 97 of 100, to mark by hand: what_tests_find; "
            "`what_tests_find`: the answer has changed since it got 3 points by hand."
        ), done.stderr


def points_of_weeks(marks):
    """The points in the table of all weeks, by student and assignment."""
    weeks = rows(marks / "course.csv")
    return {(row["student"], name): float(row[name]) for row in weeks for name in ASSIGNMENTS if row.get(name)}


def test_the_tables_of_all_weeks_are_written_again_with_marks_given_by_hand(marked, tmp_path, capsys):
    """Without hand-ins, from the gradebook; nothing is run."""
    got = points_of_weeks(marked)
    assert got == {(row["student"], row["assignment"]): float(row["points"]) for row in rows(marked / "marks.csv")}
    shutil.copytree(marked, tmp_path / "marks")
    with Gradebook(f"sqlite:///{tmp_path / 'marks' / 'gradebook.db'}", "tinyalex") as book:
        grade = book.find_grade("what_groups_save", "assignment1", "assignment1", "whole")
        grade.manual_score, grade.needs_manual_grade = 4, False
        book.db.commit()
    assert cli.main(["grade", "--source", str(SOURCE), "--out", str(tmp_path / "marks")]) == 0
    assert "the course so far: " in capsys.readouterr().out
    whole = "whole", "assignment1"
    assert points_of_weeks(tmp_path / "marks") == {**got, whole: got[whole] + 4}


def test_the_quick_run_of_the_other_tests_agrees(marked, hand_ins):
    """The points of `run_cells`, which the mistakes are marked with, are nbgrader's."""
    quick = {name: one.points for name, one in outcomes("assignment1", mistakes("assignment1")[0]).items()}
    copied = next(one for one in hand_ins if one.student == "copied")
    assert {name for name, points in quick.items() if not points} < copied.lost
    got = {
        row["exercise"]: float(row["points"]) for row in rows(marked / "exercises.csv") if row["student"] == "copied"
    }
    assert got["conv_loops"] == sum(points for name, points in quick.items() if cells.exercise_of(name) == "conv_loops")


# ---------------------------------------------------------------- what a user can get wrong


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ("grade {0}/nowhere", "expected a folder of hand-ins"),
        ("grade {0}", "without notebooks: expected STUDENT/assignment1.ipynb"),
        ("grade", "got no hand-ins, and none marked before in"),
        ("grade {0} --course {0}", "expected the settings of a course, as a TOML file"),
        ("grade {0} --into {0}", "expected a table, as a CSV file"),
        ("grade {0} --source {0}", "without assignments: expected"),
        ("grade {0} --jobs 0", "got jobs=0: expected 1 or more"),
        ("grade {0} --jobs=-3", "got jobs=-3: expected 1 or more"),
        ("assignments --source {0}", "without assignments: expected"),
        ("bundles --source /", "without assignments: expected"),
    ],
)
def test_mistakes_of_the_lecturer_get_one_line(words, message, tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(SOURCE.parents[2])
    code = cli.main([word.format(tmp_path) for word in [*words.split(), "--out", "{0}/out"]])
    err = capsys.readouterr().err
    assert (code, err.count("\n")) == (2, 1)
    assert message in err


@pytest.fixture
def short_folder():
    """One whose path leaves room for the paths of sockets."""
    with tempfile.TemporaryDirectory(dir="/tmp") as folder:
        yield Path(folder)


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux tells what runs")
def test_ctrl_c_ends_all_that_runs_and_leaves_whole_tables(tmp_path, short_folder):
    for student in ("first", "second"):
        one = Generated(student, "assignment1")
        if student == "second":
            one.own_cell("setup", "import time\ntime.sleep(600)")
        one.write(tmp_path / "hand-ins")
    words = [
        "grade",
        str(tmp_path / "hand-ins"),
        "--source",
        str(SOURCE),
        "--out",
        str(tmp_path / "marks"),
        "--jobs",
        "2",
    ]
    environment = {**os.environ, "TMPDIR": str(short_folder)}
    with subprocess.Popen(
        [sys.executable, "-m", "tinyalex", *words], stdout=subprocess.PIPE, text=True, env=environment
    ) as grade:
        assert grade.stdout.readline().startswith("first, assignment1: 90 of 100")
        grade.send_signal(signal.SIGINT)
        assert grade.wait() == 130
    assert [(row["student"], row["points"]) for row in rows(tmp_path / "marks" / "marks.csv")] == [("first", "90.0")]
    assert [*short_folder.iterdir()] == []
    assert not [path for path in Path("/proc").glob("[0-9]*/cmdline") if str(short_folder).encode() in _read(path)]


def _read(path):
    with suppress(OSError):
        return path.read_bytes()
    return b""


def test_ctrl_c_stops_the_whole_marking():
    """Though nbgrader takes it for the failure of one notebook."""
    before = signal.getsignal(signal.SIGINT)
    with pytest.raises(KeyboardInterrupt), marking.nbgrader_ready(), suppress(KeyboardInterrupt):
        signal.raise_signal(signal.SIGINT)
    assert signal.getsignal(signal.SIGINT) == before
    with marking.nbgrader_ready():
        assert signal.getsignal(signal.SIGINT) != before
    assert signal.getsignal(signal.SIGINT) == before
