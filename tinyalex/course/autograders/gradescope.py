"""Marks the hand-in that Gradescope has put into a folder.

    python -m tinyalex.course.autograders.gradescope assignment1

Gradescope's machine holds submission/ and source/ in /autograder, and reads results/results.json there:
https://gradescope-autograders.readthedocs.io/en/latest/specs/
"""

import argparse
import json
import os
import shutil
import tempfile
from pathlib import Path
from typing import Any

from tinyalex.course import cells
from tinyalex.course.handed_in.hand_ins import collect
from tinyalex.course.marking.batch import Setting, mark_all
from tinyalex.course.marking.by_nbgrader import Course, Marks
from tinyalex.course.seeds import YEAR
from tinyalex.errors import TinyAlexError

STUDENT = "student"  # the user that setup.sh makes for the student's code, and the name of the hand-in
HIDDEN = "after_published"  # when Gradescope shows the result of a hidden test


def main() -> None:
    """Mark the hand-in, and write why that failed if it does: Gradescope shows a crash to nobody."""
    words = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    words.add_argument("assignment")
    words.add_argument("--seed", type=int, default=YEAR)
    words.add_argument("--folder", type=Path, default=Path("/autograder"))
    given = words.parse_args()
    with tempfile.TemporaryDirectory() as scratch:
        try:
            results = marked(given.folder, given.assignment, given.seed, Path(scratch))
        except TinyAlexError as error:
            results = {"score": 0, "output": str(error)}
        except Exception as error:
            results = {"score": 0, "output": f"The marking failed with {type(error).__name__}: {error}"}
    out = given.folder / "results"
    out.mkdir(exist_ok=True)
    (out / "results.json").write_text(json.dumps({**results, "stdout_visibility": "hidden"}, indent=1))


def marked(folder: Path, assignment: str, seed: int, scratch: Path) -> dict[str, Any]:
    """The results of the hand-in in folder/submission, as Gradescope wants them. Raises TinyAlexError."""
    source = folder / "source" / "notebooks" / "assignments" / "source"
    course = Course(source, release=scratch / "release", root=scratch / "marks")
    shutil.copytree(folder / "submission", scratch / "in" / STUDENT, symlinks=True)
    (scratch / "unpacked").mkdir()
    hand_ins, lines = collect(scratch / "in", {assignment: course.original(assignment)}, scratch / "unpacked")
    setting = Setting(1, (STUDENT,) if _has_user() else (), seed=seed)
    setting.check([source])
    if not hand_ins:
        return {"score": 0, "output": "\n".join(lines)}
    course.build(assignment)
    [marks] = mark_all(course, hand_ins[:1], setting)
    return _results(course, marks, lines)


def _has_user() -> bool:
    """Whether this is root, on a machine with a user for the student's code."""
    if os.name != "posix" or os.geteuid() != 0:
        return False
    import pwd

    return any(user.pw_name == STUDENT for user in pwd.getpwall())


def _results(course: Course, marks: Marks, lines: list[str]) -> dict[str, Any]:
    """The results: a test for each test cell. Written answers are marked on Gradescope, by hand."""
    name = marks.assignment
    waits = f"To be marked by hand: {', '.join(marks.by_hand)}." if marks.by_hand else ""
    output = "\n".join(filter(None, [*lines, *marks.remarks, waits]))
    notebook = course.root / "autograded" / marks.student / name / f"{name}.ipynb"
    if not marks.exercises or not notebook.is_file():
        return {"score": 0, "output": output}
    hidden = {cells.grade_id(cell) for cell in course.original(name).cells if cells.is_hidden(cell)}
    scores = course.scores(marks.student, name)
    tests = [
        {
            "name": cells.grade_id(cell).replace("-", ": "),
            "score": scores[cells.grade_id(cell)],
            "max_score": float(cell.metadata.nbgrader.points),
            "output": _said(cell),
            "visibility": HIDDEN if cells.grade_id(cell) in hidden else "visible",
        }
        for cell in cells.read(notebook).cells
        if cells.is_tests(cell)
    ]
    return {"tests": tests, "output": output}


def _said(cell: Any) -> str:
    """What the test found."""
    errors = [f"{one.ename}: {one.evalue}" for one in cell.outputs if one.output_type == "error"]
    printed = [one.text for one in cell.outputs if one.output_type == "stream"]
    return "\n".join([*printed, *errors])


if __name__ == "__main__":
    main()
