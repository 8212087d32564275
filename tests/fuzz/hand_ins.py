"""What a class hands in, and the tables of a course: whole files, and how they are read."""

import json
import tempfile
import zipfile
from itertools import product
from pathlib import Path

from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook

from course.zips import MAC, canvas, gradebook, link, moodle, text, worksheet, zipped
from tinyalex.course.grades.late import moment
from tinyalex.course.grades.weeks import Weeks, classroom
from tinyalex.course.handed_in.hand_ins import collect
from tinyalex.course.marking.by_nbgrader import Marks
from tinyalex.files import legible

NAME = "assignment1"
CLASS = [("Anna Lee", 4001), ("Zoë Ng", 4002), ("Bo Li", 4017)]
TIME = "2027-03-01 22:58:23.9 Europe/Berlin"
MOST_NAMES = 300  # in a zip that is made of a list of names; a damaged list has up to a million lines


def notebook(answer):
    """A notebook of an assignment of two cells, with this answer."""
    data = {"grade_id": "relu", "solution": True, "grade": False, "locked": False, "schema_version": 3}
    cells = [new_markdown_cell("Write ReLU.", id="task"), new_code_cell(answer, id="a1", metadata={"nbgrader": data})]
    return new_notebook(cells=cells)


ORIGINAL = notebook("### BEGIN SOLUTION\ndef relu(x):\n    return max(x, 0)\n### END SOLUTION")


def write_zips(folder):
    """Moodle's and Canvas's, with zips in them, links, and names in an old code page."""
    work, data = text(notebook("def relu(x):\n    return x")), json.dumps({"rate": 0.1}).encode()
    in_zip = {"work/one.ipynb": work, "__MACOSX/work/._one.ipynb": MAC, "work/net.json": data, "one.py": b"pass"}
    files = {
        "Moodle": moodle({CLASS[0]: {"one.ipynb": work, "net.json": data}, CLASS[1]: {"work.zip": in_zip}}),
        "Canvas": canvas({("Lee, Anna", 4001): {"one.ipynb": work, "one-1.ipynb": work}}, late=("Lee, Anna",)),
        "folders": {"anna/timestamp.txt": TIME.encode(), "anna/1.ipynb": work, "bo_1.rar": b""},
    }
    for name, content in files.items():
        (folder / f"{name}.zip").write_bytes(zipped(content))
    (folder / "link.zip").write_bytes(zipped({"anna/1.ipynb": work, "bo.zip": link("b.ipynb", "/etc/passwd")}))


def write_contents(folder):
    """The files in a zip, and their names as a text."""
    names = moodle({CLASS[0]: {"one.ipynb": b""}, CLASS[1]: {"net.json": b"", "work.zip": b""}})
    names |= canvas({("Lee, Anna", 4001): {"one-2.ipynb": b"", "net.npz": b""}})
    others = ("bo_assignment1.ipynb", f"{NAME}/one.ipynb", "1.ipynb", "anna/timestamp.txt", "anna/two (2).ipynb")
    (folder / "names").write_text("\n".join([*names, *others]))
    (folder / "one.ipynb").write_bytes(text(notebook("def relu(x):\n    return x")))
    (folder / "timestamp.txt").write_text(TIME)
    (folder / "inner.zip").write_bytes(zipped({"two.ipynb": (folder / "one.ipynb").read_bytes()}))


def read_contents(path):
    """A zip made anew of the files, with checksums that are right."""
    folder = path.parent
    with tempfile.TemporaryDirectory() as scratch:
        made = Path(scratch) / "class.zip"
        with zipfile.ZipFile(made, "w") as archive:
            for name in (folder / "names").read_text("utf-8", "replace").split("\n")[:MOST_NAMES]:
                kind = {".ipynb": "one.ipynb", ".zip": "inner.zip"}.get(Path(name).suffix, "timestamp.txt")
                archive.writestr(zipfile.ZipInfo(name[:10_000]), (folder / kind).read_bytes())
        read_zip(made)


def read_zip(path):
    """Collect the hand-ins. Names become paths, and what is told is printed: neither may do harm."""
    with tempfile.TemporaryDirectory() as scratch:
        hand_ins, lines = collect(path, {NAME: ORIGINAL}, Path(scratch))
        for one in hand_ins:
            moment(one.stamp)
            lines += one.remarks
            for name in (one.student, *one.files):
                assert name != "..", "a name that leads out of its folder"
                assert Path(name).name == name, f"{name!r} is no name of a file"
        for line in lines:
            assert line == legible(line), f"{line!r} cannot be printed"


# ---------------------------------------------------------------- tables


def write_tables(folder):
    """The settings of a course, its roster, times, and what Moodle and Canvas export."""
    worksheet(folder / f"Grades-{NAME}.csv", CLASS)
    gradebook(folder / "gradebook.csv", CLASS)
    (folder / "roster.csv").write_text(
        "id;name;email\nanna;Anna Lee;a@b.edu\nzoe;Ng, Zoë;z@b.edu\nbo;Bo Li;\n", "utf-16", newline=""
    )
    (folder / "times.csv").write_text(
        'student,assignment,time\nanna,assignment1,2027-03-01 10:00\nbo,assignment1,"Monday, 1 March 2027, 10:58 PM"\n'
    )
    (folder / "course.toml").write_text(
        'roster = "roster.csv"\ntimes = "times.csv"\nseed = 2027\nseed_by_student = true\n'
        f"[due]\n{NAME} = 2027-03-01T09:00:00\n[late]\nper_day = 10\nfree_days = 1\nlast_day = 7\ngrace = 15\n"
        f'[days.zoe]\n{NAME} = 2\n[columns]\n{NAME} = "Assignment 1: layers (77)"\n'
    )


def read_table(path):
    """Fill in the tables of Moodle and Canvas, with the settings, and with the students in the tables."""
    folder = path.parent
    tables = folder / f"Grades-{NAME}.csv", folder / "gradebook.csv"
    for table, settings in product(tables, (folder / "course.toml", None)):
        room = classroom(settings, table)
        room.check([NAME], [NAME], folder / "out")
        marks = [Marks(one.id, NAME, {"relu": (8.0, 10.0)}) for one in room.roster.students]
        weeks = Weeks(marks, [NAME], room.settings, room.roster)
        told = {(student, NAME): came for student, came in room.into.times(room.roster).items()}
        with tempfile.TemporaryDirectory() as out:
            weeks.note_times(Path(out), [], told)
            weeks.fill(room.into, [NAME], Path(out))
        for line in (*weeks.lines, *weeks.missing_lines()):
            assert line == legible(line), f"{line!r} cannot be printed"
