"""Marks that were given by hand, when a hand-in is marked again: they stay, and a changed answer is told."""

from dataclasses import dataclass
from pathlib import Path
from typing import Self

from nbgrader.api import Gradebook, MissingEntry

from tinyalex.course import cells


@dataclass
class Reading:
    """What a person had marked before.

    waiting: for each mark given by hand, by its name in the gradebook, whether it waits for a second look.
    answers: what had been handed in for each exercise, when the notebook was last marked.
    """

    student: str
    assignment: str
    waiting: dict[str, bool]
    answers: dict[str, list[str]]

    @classmethod
    def of(cls, book: Gradebook, marked: Path, student: str, assignment: str) -> Self:
        """What the gradebook says. marked: the notebook that was last marked, if there was one."""
        try:
            grades = book.find_submission_notebook(assignment, assignment, student).grades
        except MissingEntry:
            grades = []
        waiting = {grade.name: grade.needs_manual_grade for grade in grades if grade.manual_score is not None}
        return cls(student, assignment, waiting, _answers(cells.read(marked)) if marked.is_file() else {})

    def kept(self, book: Gradebook, notebook: cells.Notebook) -> list[str]:
        """Let only changed answers wait for a second look, not all, as nbgrader does -> a remark on each of these."""
        answers, remarks = _answers(notebook), []
        for grade in book.find_submission_notebook(self.assignment, self.assignment, self.student).grades:
            if grade.name in self.waiting:
                exercise = cells.exercise_of(grade.name)
                changed = answers.get(exercise) != self.answers.get(exercise)
                grade.needs_manual_grade = changed or self.waiting[grade.name]
                if grade.needs_manual_grade:
                    remarks.append(
                        f"`{grade.name}`: the answer has changed since it got {grade.manual_score:g} points by hand."
                    )
        book.db.commit()
        return remarks


def _answers(notebook: cells.Notebook) -> dict[str, list[str]]:
    """What the student has written, by exercise."""
    found: dict[str, list[str]] = {}
    for cell in notebook.cells:
        if cells.is_students(cell):
            found.setdefault(cells.exercise_of(cells.grade_id(cell)), []).append(cell.source)
    return found
