"""Whose notebook it is, and which assignment, whatever the file is called."""

import json

import nbformat
import pytest
from nbformat.v4 import new_code_cell, new_notebook

from course.sources import ASSIGNMENTS, source
from tinyalex.course.hand_ins import collect
from tinyalex.errors import UsageError

ORIGINALS = {name: source(name) for name in ASSIGNMENTS}


def put(path, assignment="assignment1"):
    path.parent.mkdir(parents=True, exist_ok=True)
    nbformat.write(ORIGINALS[assignment], path)


def found(folder):
    hand_ins, unknown = collect(folder, ORIGINALS)
    return {(one.student, one.assignment): one for one in hand_ins}, unknown


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
    ],
)
def test_a_student_is_the_folder_or_the_file(file, student, tmp_path):
    put(tmp_path / file)
    assert list(found(tmp_path)[0]) == [(student, "assignment1")]


def test_two_students_with_nearly_the_same_name_are_two(tmp_path):
    for name in ("Anna Ås", "Anna_Ås", "Anna?Ås"):
        put(tmp_path / name / "assignment1.ipynb")
    hand_ins, _ = found(tmp_path)
    assert list(hand_ins) == [(name, "assignment1") for name in ("Anna_Ås", "Anna_Ås-2", "Anna_Ås-3")]
    assert all(one.remarks == [] for one in hand_ins.values())


def test_an_assignment_is_known_by_its_cells(tmp_path):
    for name in ASSIGNMENTS:
        put(tmp_path / "anna" / f"my {name[::-1]}.ipynb", name)
    put(tmp_path / "bert" / f"{ASSIGNMENTS[0]}.ipynb", ASSIGNMENTS[-1])
    hand_ins, unknown = found(tmp_path)
    assert list(hand_ins) == [*(("anna", name) for name in ASSIGNMENTS), ("bert", ASSIGNMENTS[-1])]
    assert unknown == []


def test_of_two_the_one_with_the_name_counts_and_the_student_is_told(tmp_path):
    put(tmp_path / "anna" / "assignment1.ipynb")
    put(tmp_path / "anna" / "zz.ipynb")
    put(tmp_path / "bert" / "draft.ipynb")
    put(tmp_path / "bert" / "final.ipynb")
    put(tmp_path / "bert" / ".ipynb_checkpoints" / "zz.ipynb")
    hand_ins, _ = found(tmp_path)
    assert hand_ins["anna", "assignment1"].remarks == ["There were 2 notebooks: `assignment1.ipynb` was marked."]
    assert hand_ins["bert", "assignment1"].remarks == ["There were 2 notebooks: `final.ipynb` was marked."]


def test_what_cannot_be_read_is_a_hand_in_without_a_notebook(tmp_path):
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
    assert [line.partition(": ")[2] for line in unknown] == ["not a notebook of an assignment"] * 2


@pytest.mark.parametrize(
    ("part", "wrong"),
    [
        ("source", None),
        ("source", 3),
        ("source", "x = '\ud83d'"),
        ("cell_type", None),
        ("metadata", {"nbgrader": None}),
        ("metadata", {"nbgrader": [1]}),
    ],
)
def test_a_cell_that_is_none_stops_no_batch(part, wrong, tmp_path):
    put(tmp_path / "anna" / "assignment1.ipynb")
    notebook = json.loads((tmp_path / "anna" / "assignment1.ipynb").read_text())
    notebook["cells"][2][part] = wrong
    (tmp_path / "anna" / "assignment1.ipynb").write_text(json.dumps(notebook))
    put(tmp_path / "bert" / "assignment1.ipynb")
    hand_ins, _ = found(tmp_path)
    assert "cannot be read as a notebook" in hand_ins["anna", "assignment1"].remarks[0]
    assert hand_ins["bert", "assignment1"].remarks == []


def test_a_notebook_that_can_be_read_goes_before_one_that_cannot(tmp_path):
    put(tmp_path / "anna" / "final.ipynb")
    (tmp_path / "anna" / "assignment1.ipynb").write_text('{"cells": [')
    hand_ins, _ = found(tmp_path)
    assert hand_ins["anna", "assignment1"].notebook is not None


def test_data_beside_the_notebook_comes_along_and_code_does_not(tmp_path):
    put(tmp_path / "anna" / "assignment1.ipynb")
    for name in ("net.npz", "numpy.py", "notes.txt"):
        (tmp_path / "anna" / name).write_text("x")
    (tmp_path / "anna" / "tinyalex").mkdir()
    assert [path.name for path in found(tmp_path)[0]["anna", "assignment1"].files] == ["net.npz", "notes.txt"]
    put(tmp_path / "bert.ipynb")
    (tmp_path / "net.npz").write_text("whose?")
    assert found(tmp_path)[0]["bert", "assignment1"].files == []


def test_an_empty_folder_is_refused(tmp_path):
    with pytest.raises(UsageError, match="without notebooks: expected"):
        collect(tmp_path, ORIGINALS)


def test_a_folder_without_a_notebook_is_told(tmp_path):
    put(tmp_path / "anna" / "assignment1.ipynb")
    (tmp_path / "berta").mkdir()
    (tmp_path / "berta" / "assignment1.pdf").write_bytes(b"%PDF")
    (tmp_path / ".git").mkdir()
    hand_ins, unknown = found(tmp_path)
    assert list(hand_ins) == [("anna", "assignment1")]
    assert unknown == [f"{tmp_path / 'berta'}: no notebook in it"]
