"""nbgrader's settings for this course; `make formgrader` starts JupyterLab with them."""

from pathlib import Path

from nbgrader import preprocessors as steps

from tinyalex.course.marking.execute import MarkingExecute

c = get_config()  # noqa: F821 (a function of the one who reads this file)

here = Path(__file__).resolve().parent
c.CourseDirectory.course_id = "tinyalex"
c.CourseDirectory.source_directory = str(here / "source")
c.CourseDirectory.root = str(here.parents[1] / "runs" / "marks")
c.CourseDirectory.release_directory = str(here.parents[1] / "build" / "assignments")

c.ClearSolutions.code_stub = {"python": "# YOUR CODE HERE\nraise NotImplementedError"}
c.ClearSolutions.text_stub = "YOUR ANSWER HERE"

c.Autograde.autograde_preprocessors = [
    MarkingExecute,
    steps.LimitOutput,
    steps.SaveAutoGrades,
    steps.AssignLatePenalties,
    steps.CheckCellMetadata,
]
c.MarkingExecute.timeout = 30  # seconds a cell
c.MarkingExecute.memory = 4096  # MB of 2**20 bytes a notebook
c.MarkingExecute.total = 600  # seconds a notebook

# Pages of feedback, and Formgrader's: scripts in a student's cells do nothing.
c.HTMLExporter.preprocessors = ["tinyalex.course.pages.safe.Inert"]
c.HTMLExporter.filters = {"markdown2html": "tinyalex.course.pages.safe.rendered"}
c.GenerateFeedback.exporter_class = "tinyalex.course.pages.feedback.FeedbackPage"
c.GenerateFeedback.preprocessors = ["tinyalex.course.pages.feedback.Grades"]
