"""The commands of a course: assignments and grade."""

import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from tinyalex.cli.options import Argument, Command, Option
from tinyalex.errors import UsageError
from tinyalex.files import alone_in, make_folder

if TYPE_CHECKING:
    from tinyalex.course.hand_ins import HandIn
    from tinyalex.course.marking import Course, Marks

Source = Annotated[Path, Option("folder of the assignments", metavar="DIR")]
SOURCE = Path("notebooks/assignments/source")


@dataclass(frozen=True)
class Assignments(Command):
    """Make the students' versions of the assignments: without solutions and hidden tests."""

    example = "assignments --out build/assignments"
    source: Source = SOURCE
    out: Annotated[Path, Option("folder to write", metavar="DIR")] = Path("build/assignments")

    def run(self) -> None:
        """Print each assignment and the file made of it."""
        _check_nbgrader()
        from tinyalex.course.marking import Course

        course = Course(self.source, release=self.out)
        make_folder(self.out)
        for name in course.names:
            print(f"{name}: {course.build(name)}")


@dataclass(frozen=True)
class Grade(Command):
    """Mark what students handed in: marks.csv, exercises.csv, and a page of feedback for each student."""

    example = "grade hand-ins --out runs/marks"
    submissions: Annotated[
        Path, Argument("hand-ins: a folder, or the zip of Moodle or Canvas", metavar="DIR|ZIP")
    ]
    source: Source = SOURCE
    out: Annotated[Path, Option("folder to write", metavar="DIR")] = Path("runs/marks")

    def run(self) -> None:
        """Print a line for each hand-in; the tables are complete up to it, should the marking be stopped."""
        _check_nbgrader()
        from tinyalex.course.hand_ins import collect
        from tinyalex.course.marking import Course, write_tables

        with alone_in(self.out), tempfile.TemporaryDirectory() as scratch:
            course = Course(self.source, release=self.out / "release", root=self.out)
            originals = {name: course.original(name) for name in course.names}
            hand_ins, unknown = collect(self.submissions, originals, Path(scratch))
            for line in unknown:
                print(line)
            for name in sorted({hand_in.assignment for hand_in in hand_ins}):
                course.build(name)
            marks = []
            for hand_in in hand_ins:
                marks.append(_marked(course, hand_in))
                print(_line(marks[-1]), flush=True)
                write_tables(marks, self.out)
            written = ", ".join(str(self.out / name) for name in ("marks.csv", "exercises.csv", "feedback"))
            print(f"{len(marks)} hand-ins: {written}")


def _marked(course: "Course", hand_in: "HandIn") -> "Marks":
    """The marks of a hand-in. If marking it fails, a remark says why, and the other hand-ins are still marked."""
    from tinyalex.course.marking import Marks

    try:
        return course.mark(hand_in)
    except Exception as error:
        cause = str(error) if isinstance(error, UsageError) else f"{type(error).__name__}: {error}"
        return Marks(hand_in.student, hand_in.assignment, remarks=[f"{cause}: mark it by hand."])


def _line(marks: "Marks") -> str:
    """The student, the assignment, the points, and what a person still has to look at."""
    by_hand = f", to mark by hand: {', '.join(marks.by_hand)}" if marks.by_hand else ""
    remarks = f"; {' '.join(marks.remarks)}" if marks.remarks else ""
    return f"{marks.student}, {marks.assignment}: {marks.points:g} of {marks.of:g}{by_hand}{remarks}"


def _check_nbgrader() -> None:
    try:
        import nbgrader  # noqa: F401
    except ImportError:
        raise UsageError("marking needs nbgrader: run pip install nbgrader jupyter") from None
