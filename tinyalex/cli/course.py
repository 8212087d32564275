"""The commands of a course: assignments and grade."""

from pathlib import Path

from tinyalex.errors import UsageError
from tinyalex.files import alone_in, make_folder


def assignments(source: Path, out: Path) -> None:
    """Make the student versions of all assignments, without solutions and hidden tests."""
    _needs_nbgrader()
    from tinyalex.course.marking import Course

    course = Course(source, release=out)
    make_folder(out)
    for name in course.names:
        print(f"{name}: {course.build(name)}")


def grade(submissions: Path, source: Path, out: Path) -> None:
    """Mark all hand-ins: a line for each, marks.csv, exercises.csv, and a page of feedback a student."""
    _needs_nbgrader()
    from tinyalex.course.hand_ins import collect
    from tinyalex.course.marking import Course, Marks, write_tables

    if not submissions.is_dir():
        raise UsageError(f"there is no folder {submissions}")
    with alone_in(out):
        course = Course(source, release=out / "release", root=out)
        hand_ins, unknown = collect(submissions, {name: course.original(name) for name in course.names})
        for line in unknown:
            print(line)
        for name in sorted({hand_in.assignment for hand_in in hand_ins}):
            course.build(name)
        marks = []
        for hand_in in hand_ins:
            try:
                one = course.mark(hand_in)
            except Exception as error:  # whatever is wrong with this one, the others are marked all the same
                cause = str(error) if isinstance(error, UsageError) else f"{type(error).__name__}: {error}"
                one = Marks(hand_in.student, hand_in.assignment, remarks=[f"{cause}: mark it by hand."])
            marks.append(one)
            waiting = f", to mark by hand: {', '.join(one.by_hand)}" if one.by_hand else ""
            noted = f"; {' '.join(one.remarks)}" if one.remarks else ""
            print(f"{one.student}, {one.assignment}: {one.points:g} of {one.of:g}{waiting}{noted}", flush=True)
            write_tables(marks, out)
        print(f"{len(marks)} hand-ins: {out / 'marks.csv'}, {out / 'exercises.csv'}, {out / 'feedback'}")


def _needs_nbgrader() -> None:
    try:
        import nbgrader  # noqa: F401
    except ImportError:
        raise UsageError("marking needs nbgrader: pip install 'tinyalex[course]'") from None
