"""Whose notebook it is, and which assignment, whatever the file is called and however it comes."""

import codecs
import copy
import json

import nbformat
import pytest
from nbformat.v4 import new_code_cell, new_notebook

from course.sources import ASSIGNMENTS, solution_cells, source
from course.zips import MAC, canvas, moodle, text, zipped
from tinyalex.course.grades.roster import read_roster
from tinyalex.course.handed_in.hand_ins import collect
from tinyalex.errors import UsageError

ORIGINALS = {name: source(name) for name in ASSIGNMENTS}
ONE = text(ORIGINALS["assignment1"])


HIDDEN = "cannot be read, and its name is that of a hidden file"


def blank(assignment="assignment1", filled=0):
    """The student's version, with the first answers filled in."""
    notebook = copy.deepcopy(ORIGINALS[assignment])
    for cell in list(solution_cells(notebook).values())[filled:]:
        before, _, _ = cell.source.partition("    ### BEGIN SOLUTION")
        cell.source = f"{before}    # YOUR CODE HERE\n    raise NotImplementedError"
    for cell in notebook.cells:
        if cell.cell_type == "markdown" and cell.metadata.get("nbgrader", {}).get("solution"):
            cell.source = "YOUR ANSWER HERE"
    return text(notebook)


def put(path, assignment="assignment1"):
    path.parent.mkdir(parents=True, exist_ok=True)
    nbformat.write(ORIGINALS[assignment], path)


@pytest.fixture
def found(tmp_path_factory):
    """The hand-ins in a folder or zip, and the lines on all else."""

    def find(place):
        hand_ins, lines = collect(place, ORIGINALS, tmp_path_factory.mktemp("scratch"))
        return {(one.student, one.assignment): one for one in hand_ins}, lines

    return find


@pytest.fixture
def handed_in(found, tmp_path):
    """The hand-ins in a zip of these files."""

    def find(files):
        (tmp_path / "all.zip").write_bytes(zipped(files))
        return found(tmp_path / "all.zip")

    return find


@pytest.mark.parametrize(
    ("file", "student"),
    [
        ("anna/assignment1.ipynb", "anna"),
        ("anna/assignment1/assignment1.ipynb", "anna"),
        ("anna/final version (2).ipynb", "anna"),
        ("anna.ipynb", "anna"),
        ("anna_assignment1.ipynb", "anna"),
        ("anna_assignment1 (1).ipynb", "anna"),
        ("assignment1-anna.ipynb", "anna"),
        ("assignment1.ipynb", "assignment1"),
        ("Anna Ås_1234_file/Untitled.ipynb", "Anna_Ås_1234_file"),
        ("anna@uni.edu/x.ipynb", "anna@uni.edu"),
        ("[anna]/x.ipynb", "_anna_"),
        (".._12_assignsubmission_file_/x.ipynb", "_."),
        (".zip/x.ipynb", "_"),
    ],
)
def test_a_student_is_the_folder_or_the_file(file, student, tmp_path, found):
    put(tmp_path / file)
    assert list(found(tmp_path)[0]) == [(student, "assignment1")]


def test_two_students_with_nearly_the_same_name_are_two(tmp_path, found):
    for name in ("Anna Ås", "Anna_Ås", "Anna?Ås"):
        put(tmp_path / name / "assignment1.ipynb")
    hand_ins, _ = found(tmp_path)
    assert list(hand_ins) == [(name, "assignment1") for name in ("Anna_Ås", "Anna_Ås-2", "Anna_Ås-3")]
    assert all(one.remarks == [] for one in hand_ins.values())


def test_an_assignment_is_known_by_its_cells(tmp_path, found):
    for name in ASSIGNMENTS:
        put(tmp_path / "anna" / f"my {name[::-1]}.ipynb", name)
    put(tmp_path / "bert" / f"{ASSIGNMENTS[0]}.ipynb", ASSIGNMENTS[-1])
    hand_ins, unknown = found(tmp_path)
    assert list(hand_ins) == [*(("anna", name) for name in ASSIGNMENTS), ("bert", ASSIGNMENTS[-1])]
    assert unknown == []


def test_of_two_the_one_that_is_filled_in_counts_and_the_student_is_told(found, tmp_path):
    (tmp_path / "anna").mkdir()
    (tmp_path / "anna" / "assignment1 (2).ipynb").write_bytes(blank())
    (tmp_path / "anna" / "a draft.ipynb").write_bytes(blank(filled=3))
    put(tmp_path / "anna" / ".ipynb_checkpoints" / "zz.ipynb")
    hand_ins, lines = found(tmp_path)
    assert hand_ins["anna", "assignment1"].remarks == [
        "There were 2 notebooks, `a draft.ipynb` (3 answers), `assignment1 (2).ipynb` (0 answers): "
        "`a draft.ipynb` was marked."
    ]
    assert lines == ["anna: .ipynb_checkpoints/zz.ipynb: written by the system, not by the student"]


@pytest.mark.parametrize(
    "files", [["work (9).ipynb", "work (10).ipynb"], ["work.ipynb", "work-1.ipynb"], ["zz.ipynb", "aa.ipynb"]]
)
def test_of_two_that_are_filled_in_the_later_one_counts(files, handed_in):
    hand_ins, _ = handed_in({f"anna/{file}": blank(filled=8 - number) for number, file in enumerate(files)})
    assert hand_ins["anna", "assignment1"].remarks[0].endswith(f"`{files[1]}` was marked.")


def test_what_cannot_be_read_is_a_hand_in_without_a_notebook(tmp_path, found):
    (tmp_path / "anna").mkdir()
    (tmp_path / "anna" / "assignment1.ipynb").write_text('{"cells": [')
    (tmp_path / "bert").mkdir()
    (tmp_path / "bert" / "letter.ipynb").write_bytes(b"\xff\xfe")
    (tmp_path / "carl").mkdir()
    (tmp_path / "carl" / "other.ipynb").write_text(json.dumps(new_notebook(cells=[new_code_cell("x = 1")])))
    hand_ins, unknown = found(tmp_path)
    assert list(hand_ins) == [("anna", "assignment1")]
    assert hand_ins["anna", "assignment1"].notebook is None
    assert "cannot be read as a notebook" in hand_ins["anna", "assignment1"].remarks[0]
    assert unknown == [
        "bert/letter.ipynb: cannot be read, and its name is no assignment's",
        "carl/other.ipynb: not a notebook of an assignment",
    ]


@pytest.mark.parametrize(
    ("part", "wrong"),
    [
        ("source", None),
        ("source", 3),
        ("source", "x = '\ud83d'"),
        ("cell_type", None),
        ("metadata", {"nbgrader": None}),
        ("metadata", {"nbgrader": [1]}),
        ("id", ["x"]),
    ],
)
def test_a_cell_that_is_none_stops_no_batch(part, wrong, tmp_path, found):
    put(tmp_path / "anna" / "assignment1.ipynb")
    notebook = json.loads((tmp_path / "anna" / "assignment1.ipynb").read_text())
    notebook["cells"][2][part] = wrong
    notebook["nbformat_minor"] = 4  # of which nbformat does not look at the ids
    (tmp_path / "anna" / "assignment1.ipynb").write_text(json.dumps(notebook))
    put(tmp_path / "bert" / "assignment1.ipynb")
    hand_ins, _ = found(tmp_path)
    assert "cannot be read as a notebook" in hand_ins["anna", "assignment1"].remarks[0]
    assert hand_ins["bert", "assignment1"].remarks == []


def test_a_notebook_that_can_be_read_goes_before_one_that_cannot(tmp_path, found):
    put(tmp_path / "anna" / "final.ipynb")
    (tmp_path / "anna" / "assignment1.ipynb").write_text('{"cells": [')
    hand_ins, _ = found(tmp_path)
    assert hand_ins["anna", "assignment1"].notebook is not None


def test_data_beside_the_notebook_comes_along_and_code_does_not(tmp_path, found):
    put(tmp_path / "anna" / "assignment1.ipynb")
    for name in ("net.npz", "numpy.py", "notes.txt"):
        (tmp_path / "anna" / name).write_text("x")
    (tmp_path / "anna" / "tinyalex").mkdir()
    assert sorted(found(tmp_path)[0]["anna", "assignment1"].files) == ["net.npz", "notes.txt"]
    put(tmp_path / "bert.ipynb")
    (tmp_path / "net.npz").write_text("whose?")
    assert found(tmp_path)[0]["bert", "assignment1"].files == {}


def test_an_empty_folder_is_refused(tmp_path, found):
    with pytest.raises(UsageError, match="without notebooks: expected"):
        found(tmp_path)


def test_if_there_are_no_notebooks_at_all_one_line_says_what_there_is(handed_in):
    with pytest.raises(UsageError, match=r"without notebooks \(anna: w.rar: an archive .*; 1 more\): expected"):
        handed_in({"anna/w.rar": b"Rar!", "bo/a.py": b""})


def test_a_folder_without_a_notebook_is_told(tmp_path, found):
    put(tmp_path / "anna" / "assignment1.ipynb")
    (tmp_path / "berta").mkdir()
    (tmp_path / "berta" / "assignment1.pdf").write_bytes(b"%PDF")
    (tmp_path / ".git").mkdir()
    hand_ins, unknown = found(tmp_path)
    assert list(hand_ins) == [("anna", "assignment1")]
    assert unknown == ["berta: assignment1.pdf: neither a notebook nor its data", "berta: no notebook of theirs"]


# ---------------------------------------------------------------- Moodle and Canvas


def test_what_moodle_writes_is_no_part_of_a_name(handed_in):
    hand_ins, lines = handed_in(
        moodle(
            {
                ("Anna Åström", 4711): {"assignment1.ipynb": ONE},
                ("Bert van den Berg", 4712): {"hw.zip": {"hw/Untitled.ipynb": ONE, "hw/net.npz": b"x"}},
                ("Cara_Lee", 4713): {"deep/er/work.ipynb": ONE},
            }
        )
        | {
            "Dora Ek_4714_assignsubmission_file_assignment1.ipynb": ONE,
            "Eve_4715_assignsubmission_onlinetext_/t.html": b"",
        }
    )
    assert [student for student, _ in hand_ins] == ["Anna_Åström", "Bert_van_den_Berg", "Cara_Lee", "Dora_Ek"]
    assert list(hand_ins["Bert_van_den_Berg", "assignment1"].files) == ["net.npz"]
    assert lines == ["Eve: t.html: neither a notebook nor its data", "Eve: no notebook of theirs"]


def test_what_canvas_writes_is_no_part_of_a_name(handed_in):
    hand_ins, lines = handed_in(
        canvas(
            {
                ("Åström, Anna", 101): {"assignment5-1.ipynb": text(ORIGINALS["assignment5"]), "net-1.npz": b"x"},
                ("Lee, Bo", 102): {"assignment1.ipynb": ONE, "assignment1-1.ipynb": ONE},
                ("Ek, Eva", 103): {"work.zip": {"work/assignment1.ipynb": ONE}, "letter.pdf": b"%PDF"},
            },
            late=["Lee, Bo"],
        )
        | {"anon_x1Yz9_9001_assignment1.ipynb": ONE, "LATE_anon_QQQ11_9002_assignment1.ipynb": ONE}
    )
    assert [student for student, _ in hand_ins] == ["anon_QQQ11", "anon_x1Yz9", "ekeva", "leebo", "åströmanna"]
    assert [student for (student, _), one in hand_ins.items() if one.late] == ["anon_QQQ11", "leebo"]
    assert list(hand_ins["åströmanna", "assignment5"].files) == ["net.npz"]
    assert hand_ins["leebo", "assignment1"].remarks[0].endswith("`assignment1-1.ipynb` was marked.")
    assert lines == ["ekeva: letter.pdf: neither a notebook nor its data"]


def test_two_students_of_one_name_are_two(handed_in):
    hand_ins, lines = handed_in(moodle({("Anna Lee", number): {"a.ipynb": ONE} for number in (4712, 4711)}))
    assert list(hand_ins) == [("Anna_Lee", "assignment1"), ("Anna_Lee-2", "assignment1")]
    assert lines == ["Anna Lee: one of several of this name, called Anna_Lee-2; use a roster"]
    hand_ins, _ = handed_in(moodle({(name, 47): {"a.ipynb": ONE} for name in ("Kim Lee", "kim lee")}))
    assert list(hand_ins) == [("Kim_Lee", "assignment1"), ("kim_lee-2", "assignment1")], "one folder on many disks"


def test_with_a_roster_a_student_has_its_id(tmp_path):
    (tmp_path / "roster.csv").write_text("id,name\nal1,Anna Lee\nbe2,Bo Ek\n")
    (tmp_path / "all.zip").write_bytes(
        zipped(moodle({("Lee Anna", 1): {"a.ipynb": ONE}, ("Zoe", 2): {"a.ipynb": ONE}}))
    )
    (tmp_path / "scratch").mkdir()
    roster = read_roster(tmp_path / "roster.csv")
    hand_ins, lines = collect(tmp_path / "all.zip", ORIGINALS, tmp_path / "scratch", roster)
    assert [one.student for one in hand_ins] == ["Zoe", "al1"]
    assert lines == ["Zoe: in no line of the roster, or in two; called Zoe"]


def test_nothing_vanishes(handed_in):
    """Each of a student's files is marked, comes along, or has a line."""
    files = {
        "assignment3.ipynb": text(ORIGINALS["assignment3"]),
        "._assignment3.ipynb": MAC,
        ".._assignment3.ipynb": MAC,
        "__MACOSX/._assignment3.ipynb": MAC,
        "helper.py": b"import os",
        "work.7z": b"7z",
        "timestamp.txt": b"\xff garbage",
        "net.npz": b"x",
    }
    hand_ins, lines = handed_in(moodle({("Anna Lee", 4711): files}))
    one = hand_ins["Anna_Lee", "assignment3"]
    assert (list(one.files), one.stamp, one.remarks) == (["net.npz"], "", [])
    assert lines == [
        f"Anna Lee_4711_assignsubmission_file_/.._assignment3.ipynb: {HIDDEN}",
        "Anna Lee: helper.py: Python code beside a notebook is not run",
        "Anna Lee: timestamp.txt: a time of the student's own, which does not count",
        "Anna Lee: work.7z: an archive of a kind that is not read: ask for a zip",
        "Anna Lee: ._assignment3.ipynb, __MACOSX: written by the system, not by the student",
    ]


def test_the_folder_of_macos_is_no_student(handed_in):
    files = {f"{name}/a.ipynb": ONE for name in ("anna", "bo")} | {
        f"__MACOSX/{name}/._a": MAC for name in ("anna", "bo")
    }
    hand_ins, lines = handed_in(files)
    assert [student for student, _ in hand_ins] == ["anna", "bo"]
    assert lines == ["__MACOSX: written by the system, not by the student"]


def test_a_notebook_may_have_any_name_and_breaks_no_remark(handed_in):
    names = ["Übung 1 – final `[2]`.ipynb", "a\x1b[31m.ipynb"]
    hand_ins, lines = handed_in(moodle({("Anna Lee", 4711): dict.fromkeys(names, ONE)}))
    [remark] = hand_ins["Anna_Lee", "assignment1"].remarks
    assert remark.startswith("There were 2 notebooks, `a?[31m.ipynb` (")
    assert "`Übung 1 – final '[2]'.ipynb`" in remark
    assert lines == []


def test_nbgraders_time_is_kept_apart(handed_in):
    hand_ins, lines = handed_in({"anna/assignment1/a.ipynb": ONE, "anna/assignment1/timestamp.txt": b"\xff 2027\n"})
    one = hand_ins["anna", "assignment1"]
    assert (one.files, one.stamp, lines) == ({}, "\ufffd 2027", [])


def test_only_loose_code_is_told(handed_in):
    hand_ins, lines = handed_in(
        moodle({("Anna Lee", 1): {"assignment1.py": b"x = 1"}, ("Bo Ek", 2): {"assignment1.ipynb": ONE}})
        | {"net.npz": b""}
    )
    assert list(hand_ins) == [("Bo_Ek", "assignment1")]
    assert lines == [
        "Anna Lee: assignment1.py: Python code beside a notebook is not run",
        "net: net.npz: beside no notebook",
        "Anna Lee: no notebook of theirs",
        "net: no notebook of theirs",
    ]


@pytest.mark.parametrize(
    ("content", "remark"),
    [
        (codecs.BOM_UTF8 + ONE, []),
        (ONE.decode().encode("utf-16"), ["The file was in UTF-16."]),
        (
            ONE.decode().encode("cp1252", errors="ignore"),
            ["The file was not in UTF-8: letters with accents may be wrong."],
        ),
    ],
)
def test_a_notebook_in_another_encoding_is_read(content, remark, handed_in):
    hand_ins, _ = handed_in({"anna/a.ipynb": content})
    assert hand_ins["anna", "assignment1"].notebook is not None
    assert hand_ins["anna", "assignment1"].remarks in (remark, [])
