"""The commands of a course: assignments and grade."""

import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

from tinyalex.cli.options import Argument, Command, Option
from tinyalex.errors import UsageError
from tinyalex.files import alone_in, make_folder

if TYPE_CHECKING:
    from tinyalex.course.marking import Marks

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
    submissions: Annotated[Path, Argument("hand-ins: a folder, or the zip of Moodle or Canvas", metavar="DIR|ZIP")]
    source: Source = SOURCE
    out: Annotated[Path, Option("folder to write", metavar="DIR")] = Path("runs/marks")
    jobs: Annotated[int | None, Option("hand-ins to run at a time (as many as there are cores)")] = None
    as_user: Annotated[
        str, Option("run students' code as these users, each one hand-in at a time; only for root", metavar="USER,...")
    ] = ""
    sandbox: Annotated[
        Literal["bubblewrap"] | None, Option("run students' code without the network and other files; on Linux")
    ] = None

    def run(self) -> None:
        """Print a line for each hand-in; the tables are complete up to it, should the marking be stopped."""
        _check_nbgrader()
        from tinyalex.backend import thread_count
        from tinyalex.course.batch import Setting, mark_all
        from tinyalex.course.hand_ins import collect
        from tinyalex.course.marking import Course, write_tables

        users = tuple(filter(None, self.as_user.split(",")))
        setting = Setting(self.jobs or thread_count(), users, bool(self.sandbox))

        with alone_in(self.out), tempfile.TemporaryDirectory() as scratch:
            course = Course(self.source, release=self.out / "release", root=self.out)
            originals = {name: course.original(name) for name in course.names}
            hand_ins, unknown = collect(self.submissions, originals, Path(scratch))
            for line in unknown:
                print(line)
            for name in sorted({hand_in.assignment for hand_in in hand_ins}):
                course.build(name)
            setting.check([self.source, self.out, self.submissions])
            marks: list[Marks] = []
            for one in mark_all(course, hand_ins, setting):
                print(_line(one), flush=True)
                marks = sorted([*marks, one], key=lambda one: (one.student, one.assignment))
                write_tables(marks, self.out)
            written = ", ".join(str(self.out / name) for name in ("marks.csv", "exercises.csv", "feedback"))
            print(f"{len(marks)} hand-ins: {written}")


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
