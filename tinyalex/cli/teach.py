"""The commands of a course: assignments, grade and bundles."""

import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

from tinyalex.cli.options import Argument, Command, Option
from tinyalex.errors import UsageError, at_least
from tinyalex.files import alone_in, make_folder

if TYPE_CHECKING:
    from tinyalex.course.grades.settings import Settings
    from tinyalex.course.grades.weeks import Classroom
    from tinyalex.course.handed_in.hand_ins import HandIn
    from tinyalex.course.marking.by_nbgrader import Course, Marks

Source = Annotated[Path, Option("folder of the assignments", metavar="DIR")]
SOURCE = Path("notebooks/assignments/source")
RELEASED = Path(__file__).parents[1] / "course" / "released"  # the students' versions, in a wheel that make wheel made


@dataclass(frozen=True)
class Assignments(Command):
    """Make the students' versions of the assignments: without solutions and hidden tests."""

    example = "assignments --out build/assignments"
    source: Source = SOURCE
    out: Annotated[Path, Option("folder to write", metavar="DIR")] = Path("build/assignments")
    keys: Annotated[Path | None, Option("write rubrics and answers into this folder, too", metavar="DIR")] = None

    def run(self) -> None:
        """Print each assignment and the folder made of it. Outside a clone these are the ones that a wheel brought."""
        if self.source == SOURCE and RELEASED.is_dir() and not SOURCE.is_dir():
            if self.keys:
                raise UsageError("got --keys: expected the sources, with solutions; work in a clone, or give --source")
            for notebook in sorted(RELEASED.glob("*/*.ipynb")):
                print(f"{notebook.stem}: {_copied(notebook, self.out / notebook.stem)}")
            return
        _check(self.source)
        from tinyalex.course.marking.by_nbgrader import Course
        from tinyalex.course.pages.keys import write_keys

        course = Course(self.source, release=self.out)
        make_folder(self.out)
        for name in course.names:
            print(f"{name}: {course.build(name)}")
            if self.keys:
                print(*write_keys(course.original(name), name, self.keys), sep="\n")


def _copied(notebook: Path, folder: Path) -> str:
    """Copy a notebook into the folder, unless it holds one of that name, which a student may have worked on."""
    if (copy := folder / notebook.name).exists():
        return f"{folder}, as it was"
    make_folder(folder)
    copy.write_bytes(notebook.read_bytes())
    return str(folder)


@dataclass(frozen=True)
class Grade(Command):
    """Mark what students handed in: marks.csv, exercises.csv, and a page of feedback for each student."""

    example = "grade hand-ins --out runs/marks"
    submissions: Annotated[
        Path | None,
        Argument(
            "hand-ins: a folder, or the zip of Moodle or Canvas; without it only tables are written", metavar="DIR|ZIP"
        ),
    ] = None
    source: Source = SOURCE
    out: Annotated[Path, Option("folder to write", metavar="DIR")] = Path("runs/marks")
    course: Annotated[
        Path | None, Option("settings of the course: roster, due dates, seed (docs/teaching.md)", metavar="FILE.toml")
    ] = None
    into: Annotated[
        Path | None, Option("grading worksheet of Moodle or gradebook of Canvas to fill in", metavar="TABLE.csv")
    ] = None
    jobs: Annotated[int | None, Option("hand-ins to run at a time (as many as there are cores)")] = None
    as_user: Annotated[
        str, Option("run students' code as these users, each one hand-in at a time; only for root", metavar="USER,...")
    ] = ""
    sandbox: Annotated[
        Literal["bubblewrap"] | None, Option("run students' code without the network and other files; on Linux")
    ] = None

    def run(self) -> None:
        """Print a line for each hand-in; the tables are complete up to it, should the marking be stopped."""
        at_least(1, jobs=self.jobs)
        _check(self.source)
        from tinyalex.course.grades.weeks import classroom, write_weeks
        from tinyalex.course.marking.by_nbgrader import Course

        with alone_in(self.out), tempfile.TemporaryDirectory() as scratch:
            course = Course(self.source, release=self.out / "release", root=self.out)
            room = classroom(self.course, self.into)
            hand_ins = self._collected(course, room, Path(scratch)) if self.submissions else []
            room.check(course.names, [hand_in.assignment for hand_in in hand_ins], self.out)
            if hand_ins:
                self._mark(course, hand_ins, room.settings)
            for line in write_weeks(course, room, hand_ins, self.out):
                print(line)

    def _collected(self, course: "Course", room: "Classroom", scratch: Path) -> "list[HandIn]":
        """The hand-ins; a line is printed for every file that is none."""
        from tinyalex.course.handed_in.hand_ins import collect

        assert self.submissions
        originals = {name: course.original(name) for name in course.names}
        hand_ins, unknown = collect(self.submissions, originals, scratch, room.roster)
        for line in unknown:
            print(line)
        return hand_ins

    def _mark(self, course: "Course", hand_ins: "list[HandIn]", settings: "Settings") -> None:
        """Mark the hand-ins and write their feedback and marks."""
        from tinyalex.backend import thread_count
        from tinyalex.course.handed_in.alike import write_alike
        from tinyalex.course.marking.batch import Setting, mark_all
        from tinyalex.course.marking.by_nbgrader import write_tables, write_zips
        from tinyalex.course.pages.overview import write_overview

        users = tuple(filter(None, self.as_user.split(",")))
        seeds = settings.seed, settings.seed_by_student
        setting = Setting(self.jobs or thread_count(), users, bool(self.sandbox), *seeds)
        if users:
            self.out.chmod(0o700)
        setting.check([self.source, self.out, *filter(None, [self.submissions])])
        names = sorted({hand_in.assignment for hand_in in hand_ins})
        for name in names:
            course.build(name)
        marks: list[Marks] = []
        for one in mark_all(course, hand_ins, setting):
            marks = sorted([*marks, one], key=lambda one: (one.student, one.assignment))
            write_tables(marks, self.out)
            print(_line(one), flush=True)
        for line in write_alike(self.out, {name: course.original(name) for name in names}):
            print(line)
        write_overview(marks, self.out)
        files = [self.out / name for name in ("marks.csv", "exercises.csv", "overview.html", "feedback")]
        written = ", ".join(map(str, [*files, *write_zips(hand_ins, marks, self.out)]))
        print(f"{len(marks)} hand-ins: {written}")


@dataclass(frozen=True)
class Bundles(Command):
    """Make autograders for Gradescope and tests for Otter, in zips."""

    example = "bundles --out build/bundles"
    source: Source = SOURCE
    out: Annotated[Path, Option("folder to write", metavar="DIR")] = Path("build/bundles")
    seed: Annotated[
        int | None, Option("seed of hidden data, another one each year (that of tinyalex/course/seeds.py)")
    ] = None

    def run(self) -> None:
        """Print the files."""
        _check(self.source)
        from tinyalex.course.autograders import bundles
        from tinyalex.course.marking.by_nbgrader import Course
        from tinyalex.course.seeds import YEAR

        seed = YEAR if self.seed is None else self.seed
        with tempfile.TemporaryDirectory() as folder:
            course = Course(self.source, root=Path(folder))
        make_folder(self.out)
        repository = self.source.resolve().parent.parent.parent
        for name in course.names:
            print(bundles.gradescope(repository, name, self.out, seed))
            print(bundles.otter(course.original(name), name, self.out))


def _line(marks: "Marks") -> str:
    """The student, the assignment, the points, and what a person still has to look at."""
    by_hand = f", to mark by hand: {', '.join(marks.by_hand)}" if marks.by_hand else ""
    remarks = f"; {' '.join(marks.remarks)}" if marks.remarks else ""
    return f"{marks.student}, {marks.assignment}: {marks.points:g} of {marks.of:g}{by_hand}{remarks}"


def _check(source: Path) -> None:
    """Raise UsageError unless the sources of the assignments are there, and what the extra `course` brings."""
    if not source.is_dir():
        raise UsageError(
            f"got no folder {source}: expected the sources of the assignments; work in a clone of the repository, or "
            "give --source; a wheel that `make wheel` made brings the students' versions along"
        )
    try:
        import latex2mathml  # noqa: F401
        import nbgrader  # noqa: F401
    except ImportError as error:
        raise UsageError(f"marking needs {error.name}: run pip install nbgrader jupyter latex2mathml") from None
