"""The bundles for Gradescope and Otter: run here, in folders like theirs."""

import json
import shutil
import subprocess
import sys
import types
import zipfile
from pathlib import Path

import nbformat
import pytest
from nbformat.v4 import new_code_cell, new_notebook

from course.generated import Generated
from course.sources import SOURCE, lost, mistakes, outcomes, source
from tinyalex.course import cells
from tinyalex.course.autograders import bundles, gradescope
from tinyalex.errors import UsageError

REPOSITORY = Path(__file__).parents[2]


def cell(name, code, points=0, solution=False):
    data = {"grade_id": name, "locked": not solution, "solution": solution, "grade": bool(points), "schema_version": 3}
    data |= {"points": points, "cell_type": "code", "task": False} if points else {"cell_type": "code", "task": False}
    return new_code_cell(code, id=name, metadata={"nbgrader": data})


def judged(name, body):
    """The text of a test cell."""
    return f"import tinyalex.course as _course\n\n\n@_course.tests\ndef {name}() -> None:\n{body}"


DOUBLE = "def double(x):\n    ### BEGIN SOLUTION\n    return 2 * x\n    ### END SOLUTION"
SEEN = '    from tinyalex.course import same\n\n    same("y", double(3.0), 6.0)\n    print("right")'
UNSEEN = """    ### BEGIN HIDDEN TESTS
    from tinyalex.course import same

    same("y", double(-1.0), -2.0)
    ### END HIDDEN TESTS"""


@pytest.fixture
def small(tmp_path):
    """A repository with an assignment of one function, and the package that this test uses."""
    place = tmp_path / "repository" / "notebooks" / "assignments" / "source" / "tiny"
    place.mkdir(parents=True)
    shutil.copy(SOURCE.parent / "nbgrader_config.py", place.parents[1])
    notebook = new_notebook(
        cells=[
            cell("double", DOUBLE, solution=True),
            cell("double-seen", judged("_seen", SEEN), 2),
            cell("double-unseen", judged("_unseen", UNSEEN), 3),
        ]
    )
    nbformat.write(notebook, place / "tiny.ipynb")
    for file in bundles.INSTALL:
        (tmp_path / "repository" / file).write_text("x")
    (tmp_path / "repository" / "tinyalex" / "__pycache__").mkdir(parents=True)
    (tmp_path / "repository" / "tinyalex" / "__init__.py").write_text("")
    (tmp_path / "repository" / "tinyalex" / "__pycache__" / "x.pyc").write_text("")
    return tmp_path / "repository"


def test_gradescope_marks_with_the_bundle(small, tmp_path):
    """In a folder like /autograder, unpacked and called as Gradescope does."""
    at = tmp_path / "auto grader"
    path = bundles.gradescope(small, "tiny", tmp_path, 2027, python=sys.executable, at=str(at))
    with zipfile.ZipFile(path) as archive:
        archive.extractall(at / "source")
        modes = {one.filename: one.external_attr >> 16 & 0o777 for one in archive.infolist()}
    assert modes["setup.sh"] == modes["run_autograder"] == 0o755
    assert {name for name in modes if "/" in name} == {
        "tinyalex/__init__.py",
        "notebooks/assignments/nbgrader_config.py",
        "notebooks/assignments/source/tiny/tiny.ipynb",
    }
    shutil.rmtree(at / "source" / "tinyalex")  # setup.sh installs it; here it is the one under test
    answer = new_notebook(cells=[cell("double", "def double(x):\n    return abs(2 * x)", solution=True)])
    (at / "submission").mkdir()
    nbformat.write(answer, at / "submission" / "my answer.ipynb")
    (at / "submission" / "notes.pdf").write_text("x")
    done = subprocess.run(["bash", at / "source" / "run_autograder"], capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (0, "")
    results = json.loads((at / "results" / "results.json").read_text())
    seen, unseen = results["tests"]
    assert seen == {"name": "double: seen", "score": 2, "max_score": 2, "output": "right\n", "visibility": "visible"}
    assert (unseen["score"], unseen["max_score"], unseen["visibility"]) == (0, 3, "after_published")
    assert "y is 2, expected -2" in unseen["output"]
    assert "notes.pdf: neither a notebook nor its data" in results["output"]
    assert results["stdout_visibility"] == "hidden"


def test_what_is_no_notebook_gets_a_result_that_says_so(small, tmp_path, monkeypatch):
    path = bundles.gradescope(small, "tiny", tmp_path, 2027)
    with zipfile.ZipFile(path) as archive:
        archive.extractall(tmp_path / "at" / "source")
    (tmp_path / "at" / "submission").mkdir()
    (tmp_path / "at" / "submission" / "work.py").write_text("x = 1")
    monkeypatch.setattr(sys, "argv", ["gradescope", "tiny", "--folder", str(tmp_path / "at")])
    gradescope.main()
    results = json.loads((tmp_path / "at" / "results" / "results.json").read_text())
    assert results["score"] == 0
    why = "student: work.py: Python code beside a notebook is not run"
    assert f"without notebooks ({why}): expected" in results["output"]
    monkeypatch.setattr(gradescope, "marked", lambda *_: 1 / 0)
    gradescope.main()
    results = json.loads((tmp_path / "at" / "results" / "results.json").read_text())
    assert (results["score"], results["output"]) == (0, "The marking failed with ZeroDivisionError: division by zero")


def test_the_script_that_installs_names_only_what_is_in_the_bundle(tmp_path):
    """Without Gradescope's machine: its words, and that a shell understands it."""
    with zipfile.ZipFile(bundles.gradescope(REPOSITORY, "assignment1", tmp_path, 2027)) as archive:
        names = set(archive.namelist())
        scripts = {name: archive.read(name).decode() for name in ("setup.sh", "run_autograder")}
    for text in scripts.values():
        assert subprocess.run(["bash", "-n"], input=text, text=True).returncode == 0
    assert {"pyproject.toml", "constraints.txt", "README.md", "tinyalex/course/autograders/gradescope.py"} <= names
    assert {name for name in names if name.endswith(".ipynb")} == {
        "notebooks/assignments/source/assignment1/assignment1.ipynb"
    }
    words = "/opt/tinyalex/bin/python -m tinyalex.course.autograders.gradescope assignment1 --seed 2027"
    assert words in scripts["run_autograder"]


def test_a_folder_that_is_no_repository(tmp_path):
    with pytest.raises(UsageError, match=r"without pyproject\.toml: expected the repository's folder"):
        bundles.gradescope(tmp_path, "tiny", tmp_path, 1)


# ---------------------------------------------------------------- Otter


class Case:
    """What otter.test_files.test_case does: it keeps a function with its points."""

    def __init__(self, name, points, hidden):
        self.name, self.points, self.hidden = name, points, hidden

    def __call__(self, function):
        self.function = function
        return self


@pytest.fixture
def otter(monkeypatch, tmp_path, capsys):
    """The points that Otter would give, by test cell."""
    module = types.ModuleType("otter.test_files")
    module.test_case = Case
    monkeypatch.setitem(sys.modules, "otter", types.ModuleType("otter"))
    monkeypatch.setitem(sys.modules, "otter.test_files", module)

    hidden = set()

    def points(notebook, assignment):
        env = {"__name__": "__main__"}
        for one in notebook.cells:
            if one.cell_type == "code" and not cells.is_tests(one):
                exec(one.source, env)
        found = {}
        with zipfile.ZipFile(bundles.otter(source(assignment), assignment, tmp_path)) as archive:
            for file in archive.namelist():
                if file.startswith("tests/"):
                    test = {}
                    exec(archive.read(file).decode(), test)
                    assert test["OK_FORMAT"] is False
                    cases = [case for case in test.values() if isinstance(case, Case)]
                    found |= {case.name: _points(case, env) for case in cases}
                    hidden.update({case.name for case in cases if case.hidden})
        capsys.readouterr()
        return found

    def _points(case, env):
        try:
            case.function(env)
        except Exception:
            return 0.0
        return case.points

    points.hidden = hidden
    return points


def test_otter_gives_the_points_that_marking_gives(otter):
    whole = {name: one.points for name, one in outcomes("assignment2").items()}
    assert otter(source("assignment2"), "assignment2") == whole
    tests = [cell for cell in source("assignment2").cells if cells.is_tests(cell)]
    assert otter.hidden == {cells.grade_id(cell) for cell in tests if "HIDDEN TESTS" in cell.source} < whole.keys()
    one = Generated("x", "assignment2")
    one.mistake(0)
    wrong = lost("assignment2", mistakes("assignment2")[0])
    assert otter(one.notebook, "assignment2") == {name: 0.0 if name in wrong else whole[name] for name in whole}
