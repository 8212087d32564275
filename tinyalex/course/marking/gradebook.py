"""All marks of a course, read from nbgrader's gradebook: of all weeks, with those that were given by hand."""

from nbgrader import api
from sqlalchemy import select

from tinyalex.course.marking.by_nbgrader import Course, Marks, nbgrader_ready


def all_marks(course: Course) -> list[Marks]:
    """The marks of every hand-in that was ever marked, sorted by student and assignment."""
    wanted = (
        select(
            api.Student.id,
            api.Assignment.name,
            api.BaseCell.name,
            api.Grade.score,
            api.Grade.max_score,
            api.Grade.needs_manual_grade & api.Grade.manual_score.is_(None),
        )
        .join(api.SubmittedNotebook, api.Grade.notebook_id == api.SubmittedNotebook.id)
        .join(api.SubmittedAssignment, api.SubmittedNotebook.assignment_id == api.SubmittedAssignment.id)
        .join(api.Student, api.SubmittedAssignment.student_id == api.Student.id)
        .join(api.Assignment, api.SubmittedAssignment.assignment_id == api.Assignment.id)
        .join(api.BaseCell, api.Grade.cell_id == api.BaseCell.id)
        .order_by(api.Student.id, api.Assignment.name)
    )
    found: dict[tuple[str, str], Marks] = {}
    with nbgrader_ready(), api.Gradebook(course.api.coursedir.db_url, course.api.course_id) as book:
        for student, name, cell, score, of, waits in book.db.execute(wanted):
            found.setdefault((student, name), Marks(student, name)).add(cell, score, of, waits)
    return list(found.values())
