"""Builds the student versions of assignments and marks hand-ins, with nbgrader."""

import contextlib
import logging
import os
import shutil
import signal
import sysconfig
import threading
import warnings
import zipfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NoReturn

import nbformat
from nbgrader.api import Gradebook
from nbgrader.apps import NbGraderAPI
from nbgrader.preprocessors import DeduplicateIds, OverwriteCells, OverwriteKernelspec
from traitlets.config import Config
from traitlets.config.loader import PyFileConfigLoader

from tinyalex.course import cells
from tinyalex.course.handed_in.hand_ins import HandIn
from tinyalex.course.marking.by_hand import Reading
from tinyalex.course.marking.execute import MarkingExecute
from tinyalex.course.marking.repair import repaired
from tinyalex.errors import UsageError
from tinyalex.files import replacing, write_table


@dataclass
class Marks:
    """The points of a hand-in.

    exercises: (points, maximum) by exercise.   remarks: what was changed in the notebook before marking.
    by_hand: the exercises that wait for a human reader; they have no points yet.
    """

    student: str
    assignment: str
    exercises: dict[str, tuple[float, float]] = field(default_factory=dict)
    by_hand: list[str] = field(default_factory=list)
    remarks: list[str] = field(default_factory=list)

    @property
    def points(self) -> float:
        """The points so far."""
        return sum(points for points, _ in self.exercises.values())

    @property
    def of(self) -> float:
        """The maximum of the points."""
        return sum(of for _, of in self.exercises.values())

    def add(self, cell: str, points: float, of: float, waits: bool) -> None:
        """Add the points of a graded cell to those of its exercise.   waits: whether a person has yet to read it."""
        exercise = cells.exercise_of(cell)
        before, maximum = self.exercises.get(exercise, (0.0, 0.0))
        self.exercises[exercise] = (before + points, maximum + of)
        if waits and exercise not in self.by_hand:
            self.by_hand.append(exercise)


class Course:
    """The assignments of a course, and the folders that building and marking use.

    source:  holds NAME/NAME.ipynb for each assignment; the folder above it holds nbgrader_config.py.
    release: for the student versions.   root: for hand-ins, gradebook and feedback. None: as in nbgrader_config.py.
    Raises UsageError if `source` holds no assignments.
    """

    def __init__(self, source: Path, release: Path | None = None, root: Path | None = None) -> None:
        self.names = sorted(path.stem for path in source.glob("*/*.ipynb") if path.stem == path.parent.name)
        settings = source.parent / "nbgrader_config.py"
        if not self.names or not settings.is_file():
            raise UsageError(
                f"got {source} without assignments: expected NAME/NAME.ipynb in it and nbgrader_config.py above it; "
                "work in a clone of the repository, or give --source; a wheel has them if `make wheel` made it"
            )
        config = self.config = PyFileConfigLoader(settings.name, path=str(settings.parent)).load_config()
        config.CourseDirectory.source_directory = str(source.resolve())
        if release:
            config.CourseDirectory.release_directory = str(release.resolve())
        if root:
            config.CourseDirectory.root = str(root.resolve())
        # The notebooks were run before nbgrader reads them, and it keeps what they showed.
        config.Autograde.sanitize_preprocessors = [DeduplicateIds, OverwriteKernelspec, OverwriteCells]
        config.Autograde.autograde_preprocessors.remove(MarkingExecute)
        directory = config.CourseDirectory
        self.source, self.release, self.root = source, Path(directory.release_directory), Path(directory.root)
        self.root.mkdir(parents=True, exist_ok=True)
        with nbgrader_ready():
            self.api = NbGraderAPI(config=config)

    def original(self, name: str) -> cells.Notebook:
        """The assignment with solutions and hidden tests."""
        return cells.read(self.source / name / f"{name}.ipynb")

    def student_version(self, name: str) -> cells.Notebook:
        """The assignment without solutions and hidden tests."""
        return cells.read(self.release / name / f"{name}.ipynb")

    def build(self, name: str) -> Path:
        """Make the student version of an assignment and enter its cells in the gradebook -> its folder."""
        with nbgrader_ready():
            _checked(self.api.generate_assignment(name), name)
        return self.release / name

    def prepare(self, hand_in: HandIn) -> tuple[Path, list[str]]:
        """Write the repaired notebook and its files to root/submitted -> their folder, and remarks on the repairs."""
        name = hand_in.assignment
        student_version = self.student_version(name)
        notebook, remarks = repaired(
            hand_in.notebook or student_version, self.original(name), student_version, hand_in.remarks
        )
        folder = self._submitted(hand_in)
        files = {one: path.read_bytes() for one, path in hand_in.files.items()}  # first: they may lie in `folder`
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)
        for file, content in files.items():
            (folder / file).write_bytes(content)
        nbformat.write(notebook, folder / f"{name}.ipynb")
        return folder, remarks

    def marked(self, hand_in: HandIn) -> bool:
        """Whether a hand-in of this student for this assignment was ever marked."""
        return self._autograded(hand_in).is_file()

    def _autograded(self, hand_in: HandIn) -> Path:
        return self.root / "autograded" / hand_in.student / hand_in.assignment / f"{hand_in.assignment}.ipynb"

    def _submitted(self, hand_in: HandIn) -> Path:
        return self.root / "submitted" / hand_in.student / hand_in.assignment

    def record(self, hand_in: HandIn, notebook: str, remarks: list[str]) -> Marks:
        """Enter the points in the gradebook. notebook: the text of the prepared notebook after it was run."""
        name, student = hand_in.assignment, hand_in.student
        (self._submitted(hand_in) / f"{name}.ipynb").write_text(notebook, encoding="utf-8")
        with self._book() as book:
            reading = Reading.of(book, self._autograded(hand_in), student, name)
        with nbgrader_ready():
            _checked(self.api.autograde(name, student), f"{student}, {name}")
        with self._book() as book:
            remarks = [*remarks, *reading.kept(book, nbformat.reads(notebook, as_version=4))]
            return self._marks(book, student, name, remarks)

    def scores(self, student: str, name: str) -> dict[str, float]:
        """The points of a hand-in by graded cell, by the cell's grade_id."""
        with self._book() as book:
            return {grade.name: grade.score for grade in book.find_submission_notebook(name, name, student).grades}

    def _book(self) -> Gradebook:
        return Gradebook(self.api.coursedir.db_url, self.api.course_id)

    def _marks(self, book: Gradebook, student: str, name: str, remarks: list[str]) -> Marks:
        """The marks in the gradebook."""
        marks = Marks(student, name, remarks=remarks)
        for grade in book.find_submission_notebook(name, name, student).grades:
            marks.add(grade.name, grade.score, grade.max_score, grade.needs_manual_grade)
        return marks


def write_feedback(config: Config, student: str, name: str) -> None:
    """Write the page that a student gets back to root/feedback/STUDENT/NAME/NAME.html."""
    with nbgrader_ready():
        _checked(NbGraderAPI(config=config).generate_feedback(name, student), f"{student}, {name}")


def write_zips(hand_ins: Sequence[HandIn], marks: Sequence[Marks], root: Path) -> list[Path]:
    """Put the pages of marked hand-ins that came from Moodle into root/feedback-NAME.zip, for Moodle -> the zips."""
    marked = {(one.student, one.assignment) for one in marks if one.exercises}
    pages: dict[str, dict[str, Path]] = {}
    for one in hand_ins:
        page = root / "feedback" / one.student / one.assignment / f"{one.assignment}.html"
        if one.folder and (one.student, one.assignment) in marked and page.is_file():
            pages.setdefault(one.assignment, {})[f"{one.folder}/feedback.html"] = page
    zips = [root / f"feedback-{name}.zip" for name in pages]
    for path, of_one in zip(zips, pages.values(), strict=True):
        with replacing(path) as file, zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
            for place, page in of_one.items():
                archive.write(page, place)
    return zips


def write_tables(marks: Sequence[Marks], folder: Path) -> None:
    """Write marks.csv, one line for each hand-in, and exercises.csv, one line for each exercise of each hand-in."""
    hand_ins = [
        (one.student, one.assignment, str(one.points), str(one.of), " ".join(one.by_hand), " ".join(one.remarks))
        for one in marks
    ]
    exercises = [
        (one.student, one.assignment, exercise, str(points), str(of))
        for one in marks
        for exercise, (points, of) in one.exercises.items()
    ]
    write_table(folder / "marks.csv", ("student", "assignment", "points", "of", "to mark by hand", "remarks"), hand_ins)
    write_table(folder / "exercises.csv", ("student", "assignment", "exercise", "points", "of"), exercises)


def _checked(result: dict[str, Any], what: str) -> None:
    """Raise UsageError, led by `what`, if nbgrader reports a failure."""
    if not result["success"]:
        reasons = [line for line in result.get("log", "").splitlines() if "Error" in line] or [result["error"]]
        raise UsageError(f"{what}: got a failure of nbgrader: {reasons[0].strip()}")


@contextlib.contextmanager
def nbgrader_ready() -> Iterator[None]:
    """Prepare for calls of nbgrader: no log on the terminal (results contain it), its programs on the PATH.

    nbgrader takes Ctrl-C for a failure of one notebook and continues; here it stops all marking.
    """
    log, path = logging.getLogger("traitlets"), os.environ.get("PATH", "")
    before, log.propagate = log.propagate, False
    nothing = logging.NullHandler()
    log.addHandler(nothing)
    os.environ["PATH"] = os.pathsep.join((sysconfig.get_path("scripts"), path))
    stopped = False

    def stop(*_: Any) -> NoReturn:
        nonlocal stopped
        stopped = True
        raise KeyboardInterrupt

    in_main = threading.current_thread() is threading.main_thread()  # only the main thread can set a handler
    handler = signal.signal(signal.SIGINT, stop) if in_main else None
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # nbgrader's own queries cause warnings
            yield
    finally:
        if in_main:
            signal.signal(signal.SIGINT, handler)
        os.environ["PATH"] = path
        log.propagate = before
        log.removeHandler(nothing)
        if stopped:
            raise KeyboardInterrupt
