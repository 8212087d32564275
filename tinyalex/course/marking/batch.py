"""Marks many hand-ins, several at a time. Each runs in a process and a folder of its own, and none waits for another.

The gradebook is one file, so what the notebooks showed is entered here, one after the other.
"""

import copy
from collections import deque
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from tinyalex.course.handed_in.hand_ins import HandIn
from tinyalex.course.marking.by_nbgrader import Course, Marks, write_feedback
from tinyalex.course.marking.execute import executed
from tinyalex.course.marking.jobs import Jobs, Result
from tinyalex.course.marking.place import place, temporary_folder
from tinyalex.course.seeds import YEAR, seed_of
from tinyalex.errors import UsageError

PAGE = 120  # seconds that writing a page of feedback may take
MARGIN = 120  # seconds for a notebook beside its own limit, which ends it in all ordinary cases


@dataclass(frozen=True)
class Setting:
    """How hand-ins are run.

    jobs:       how many at a time.   users: whom the students' code runs as, one for each job; none: as this process.
    bubblewrap: whether it runs in bubblewrap's sandbox.   seed, seed_by_student: of hidden data, see `seeds`.
    """

    jobs: int = 1
    users: tuple[str, ...] = ()
    bubblewrap: bool = False
    seed: int = YEAR
    seed_by_student: bool = False

    def check(self, closed: Sequence[Path]) -> None:
        """Raise UsageError if students' code could not run so, or could read one of these files and folders."""
        for user in self.users or ("",) * self.bubblewrap:
            with place(user=user, bubblewrap=self.bubblewrap) as one:
                one.check(closed)


@dataclass
class _Running:
    """A hand-in that is run, and then, when it has its marks, its page of feedback that is written."""

    hand_in: HandIn
    user: str
    remarks: list[str] = field(default_factory=list)
    marks: Marks | None = None


def mark_all(course: Course, hand_ins: Sequence[HandIn], setting: Setting) -> Iterator[Marks]:
    """The marks of each hand-in, in the order in which they are ready; its page of feedback is written by then.

    If the marking of one fails, a remark says why.
    """
    waiting = deque(hand_ins)
    users = deque(setting.users or ("",) * setting.jobs)
    with temporary_folder() as folder, Jobs(len(users)) as jobs:
        folder.chmod(0o711)  # another user may reach a folder in it by its name, and list none
        while waiting or jobs.running:
            while waiting and jobs.free and users:
                one = _Running(waiting.popleft(), users.popleft())
                try:
                    _start(jobs, one, course, setting, str(folder))
                except Exception as error:
                    users.append(one.user)
                    yield _failed(one, _cause(error), course)
            for one, result in jobs.finished() if jobs.running else ():
                if one.marks is None:
                    users.append(one.user)
                yield from _step(jobs, one, result, course)


def _start(jobs: Jobs, one: _Running, course: Course, setting: Setting, inside: str) -> None:
    """Run the notebook in a job."""
    folder, one.remarks = course.prepare(one.hand_in)
    limits = copy.deepcopy(course.config)
    seed = seed_of(one.hand_in.student, setting.seed, setting.seed_by_student)
    limits.MarkingExecute.update(user=one.user, bubblewrap=setting.bubblewrap, inside=inside, seed=seed)
    jobs.start(one, limits.MarkingExecute.total + MARGIN, executed, folder / f"{one.hand_in.assignment}.ipynb", limits)


def _step(jobs: Jobs, one: _Running, result: Result, course: Course) -> Iterator[Marks]:
    """What follows when a job is done: marks and the job that writes the page, or the end."""
    if one.marks is not None:
        if result.failure:
            one.marks.remarks.append(f"There is no page of feedback: {result.failure}.")
        yield one.marks
    elif result.failure:
        yield _failed(one, result.failure, course)
    else:
        try:
            one.marks = course.record(one.hand_in, result.value, one.remarks)
            jobs.start(one, PAGE, write_feedback, course.config, one.hand_in.student, one.hand_in.assignment)
        except Exception as error:
            yield _failed(one, _cause(error), course)


def _failed(one: _Running, cause: str, course: Course) -> Marks:
    """No marks, and why."""
    earlier = course.marked(one.hand_in)
    left = " The tables of the course keep the points of an earlier hand-in." if earlier else ""
    return Marks(
        one.hand_in.student, one.hand_in.assignment, remarks=[*one.remarks, f"{cause}: mark it by hand.{left}"]
    )


def _cause(error: Exception) -> str:
    return str(error) if isinstance(error, UsageError) else f"{type(error).__name__}: {error}"
