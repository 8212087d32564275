"""The lecturer's page: points by exercise, the commonest mistakes, and what a person has to look at.

It is one HTML file without scripts, beside marks.csv, with links to the pages of feedback.
"""

import csv
import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from statistics import mean, median

import nbformat
from markupsafe import Markup, escape

from tinyalex.course import cells
from tinyalex.course.handed_in.look_at import CodeLine, lines_to_look_at
from tinyalex.course.marking.by_nbgrader import Marks
from tinyalex.course.pages.feedback import exercises, from_template, summary

BARS = 10
LEFT_OUT = "nothing is filled in"


@dataclass(frozen=True)
class Bar:
    """How many hand-ins have `low` to `high` points. height: relative to the highest bar, 0 ... 1."""

    low: float
    high: float
    count: int
    height: float


def bars(points: Sequence[float], of: float) -> list[Bar]:
    """The distribution of points from 0 to `of`, in ten classes of the same width."""
    width = of / BARS or 1.0
    counts = Counter(min(BARS - 1, int(one / width)) for one in points)
    most = max(counts.values(), default=1)
    return [Bar(i * width, (i + 1) * width, counts[i], counts[i] / most) for i in range(BARS)]


@dataclass
class Spread:
    """The points of the hand-ins in an exercise, or in the whole assignment; of answers, those that have been read."""

    title: str
    points: list[float]
    of: float

    @property
    def bars(self) -> list[Bar]:
        """Their distribution."""
        return bars(self.points, self.of)

    @property
    def middle(self) -> tuple[float, float]:
        """The mean and the median."""
        return mean(self.points), median(self.points)


@dataclass
class Section:
    """An assignment on the page.

    titles:   of the exercises, by their names.
    mistakes: (exercise, what a test said of it, students), the most frequent first.
    waiting:  (exercise, students) for answers without points.
    repairs:  (student, what was changed before marking or went wrong in it).
    lines:    (student, a line of code to look at).
    alike:    lines of alike.csv: student, like (whom or what), in common, the same exercises.
    students: who has a page of feedback.
    """

    name: str
    title: str
    total: Spread
    exercises: list[Spread]
    titles: dict[str, str]
    mistakes: list[tuple[str, str, list[str]]] = field(default_factory=list)
    waiting: list[tuple[str, list[str]]] = field(default_factory=list)
    repairs: list[tuple[str, list[str]]] = field(default_factory=list)
    lines: list[tuple[str, CodeLine]] = field(default_factory=list)
    alike: list[dict[str, str]] = field(default_factory=list)
    students: set[str] = field(default_factory=set)


def write_overview(marks: Sequence[Marks], root: Path) -> None:
    """Write root/overview.html about these hand-ins, which were marked in `root`.

    It shows what root/alike.csv says of their assignments, if that file is there.
    """
    names = sorted({one.assignment for one in marks})
    sections = [section([one for one in marks if one.assignment == name], root) for name in names]
    page = from_template("overview.html.j2", {"number": _number, "with_code": _with_code}, sections=sections)
    (root / "overview.html").write_text(page, encoding="utf-8")


def _number(value: float) -> str:
    return f"{round(value, 1):g}"


def _with_code(text: str) -> Markup:
    """A message as HTML; what stands between backquotes is code."""
    return Markup(re.sub("`([^`]+)`", r"<code>\1</code>", str(escape(text))))


def section(marks: Sequence[Marks], root: Path) -> Section:
    """What the page says of the hand-ins for one assignment."""
    name = marks[0].assignment
    notebooks = {one.student: _marked(root, one) for one in marks}
    first = next((notebook for notebook in notebooks.values() if notebook.cells), nbformat.v4.new_notebook())
    titles = {exercise.name: exercise.title for exercise in exercises(first)}
    whole = [one for one in marks if one.exercises]
    spreads = [
        Spread(titles.get(exercise, exercise), _points(whole, exercise), of)
        for exercise, (_, of) in (whole[0].exercises.items() if whole else ())
    ]
    total = Spread("All exercises", [one.points for one in whole], whole[0].of if whole else 0.0)
    found = Section(name, summary(first)["title"] or name, total, spreads, titles)
    found.mistakes = _mistakes(notebooks)
    waiting = {exercise: [one.student for one in marks if exercise in one.by_hand] for exercise in titles}
    found.waiting = [(one, students) for one, students in waiting.items() if students]
    found.repairs = [(one.student, one.remarks) for one in marks if one.remarks]
    found.lines = [(student, line) for student in notebooks for line in lines_to_look_at(notebooks[student])]
    found.alike = [row for row in _alike(root / "alike.csv") if row["assignment"] == name]
    found.students = {path.name for path in (root / "feedback").glob("*") if (path / name).is_dir()}
    return found


def _points(marks: Sequence[Marks], exercise: str) -> list[float]:
    return [one.exercises[exercise][0] for one in marks if exercise not in one.by_hand]


def _marked(root: Path, marks: Marks) -> cells.Notebook:
    """The notebook as nbgrader has marked it; an empty one if the marking failed."""
    if not marks.exercises:  # the notebook there may be that of an earlier call
        return nbformat.v4.new_notebook()
    return cells.read(root / "autograded" / marks.student / marks.assignment / f"{marks.assignment}.ipynb")


# ---------------------------------------------------------------- mistakes


def _mistakes(notebooks: Mapping[str, cells.Notebook]) -> list[tuple[str, str, list[str]]]:
    """What the failed tests said: (exercise, in words, students), the most frequent first.

    Of each exercise of a hand-in the message that says most counts; messages that differ in numbers only are the same.
    """
    students: dict[tuple[str, str], list[str]] = {}
    words: dict[tuple[str, str], Counter[str]] = {}
    for student, notebook in notebooks.items():
        for exercise, complaints in _complaints(notebook).items():
            _, said = max(complaints, key=lambda one: one[0])
            key = exercise, re.sub(r"-?\d[\d.e+-]*", "#", said)
            students.setdefault(key, []).append(student)
            words.setdefault(key, Counter())[said] += 1
    most_first = sorted(students, key=lambda key: -len(students[key]))
    return [(key[0], words[key].most_common(1)[0][0], students[key]) for key in most_first]


def _complaints(notebook: cells.Notebook) -> dict[str, list[tuple[int, str]]]:
    """What the failed tests said, by exercise."""
    found: dict[str, list[tuple[int, str]]] = {}
    for cell in filter(cells.is_tests, notebook.cells):
        for output in cell.get("outputs", []):
            if output["output_type"] == "error":
                exercise = cells.exercise_of(cells.grade_id(cell))
                found.setdefault(exercise, []).append(_in_short(output["ename"], output["evalue"]))
    return found


def _in_short(kind: str, message: str) -> tuple[int, str]:
    """How much the message says, and the mistake that it names; else what it looks like; else its first line."""
    if kind == "NotImplementedError":
        return 0, LEFT_OUT
    for worth, sign in ((3, "What it is: "), (2, "What it looks like: ")):
        _, named, rest = message.partition(sign)
        if named:
            return worth, rest.partition("\n")[0]
    first = message.strip().partition("\n")[0]
    return 1, first if kind == "CheckError" else f"{kind}: {first}"


def _alike(path: Path) -> list[dict[str, str]]:
    """The lines of a table of hand-ins that are alike; none if there is no file."""
    if not path.is_file():
        return []
    with path.open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))
