"""The page that a student gets back: points by exercise at the top, then the notebook with what each test said.

The template lies in templates/feedback. What a student's cells show is made inert first (see `safe`).
"""

import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader
from nbconvert.exporters import HTMLExporter
from nbgrader.preprocessors import GetGrades
from pygments.formatters import HtmlFormatter
from traitlets import List, Unicode

from tinyalex.course import cells
from tinyalex.course.pages.safe import clean

TEMPLATES = Path(__file__).parent / "templates"
SIGNS = {"right": "✓", "partly right": "◐", "wrong": "✗", "to be read": "✎"}  # told apart without colour


def from_template(name: str, filters: Mapping[str, Callable[..., object]], **values: object) -> str:
    """The HTML page that a template makes of these values; text in them is escaped."""
    environment = Environment(loader=FileSystemLoader(TEMPLATES), autoescape=True, trim_blocks=True, lstrip_blocks=True)
    environment.filters.update(filters)
    return environment.get_template(name).render(**values)


@dataclass
class Part:
    """A test or a written answer with its points: `name` is its cell's; `waits` for a human reader."""

    name: str
    points: float
    of: float
    waits: bool = False

    @property
    def label(self) -> str:
        """What the part of the exercise is called, such as "dtype" for conv_loops-dtype."""
        return self.name.partition("-")[2].replace("_", " ") or "answer"

    @property
    def verdict(self) -> str:
        """One of the words in SIGNS."""
        return verdict(self.points, self.of, self.waits)


@dataclass
class Exercise:
    """The parts of an exercise, and the heading above it."""

    name: str
    title: str
    parts: list[Part] = field(default_factory=list)

    @property
    def points(self) -> float:
        """The points of all parts."""
        return sum(part.points for part in self.parts)

    @property
    def of(self) -> float:
        """The maximum of the points."""
        return sum(part.of for part in self.parts)

    @property
    def verdict(self) -> str:
        """One of the words in SIGNS."""
        return verdict(self.points, self.of, any(part.waits for part in self.parts))


def verdict(points: float, of: float, waits: bool = False) -> str:
    """What the points mean, in a word of SIGNS."""
    if waits:
        return "to be read"
    if points >= of:
        return "right"
    return "partly right" if points > 0 else "wrong"


def exercises(notebook: cells.Notebook) -> list[Exercise]:
    """The exercises of a notebook whose cells hold their points (see `Grades`), in order."""
    found: dict[str, Exercise] = {}
    title = ""
    for cell in notebook.cells:
        data = cell.metadata.get("nbgrader", {})
        if cell.cell_type == "markdown" and not cells.is_students(cell):
            title = _heading(cell.source) or title
        if data.get("grade"):
            name = cells.exercise_of(cells.grade_id(cell))
            exercise = found.setdefault(name, Exercise(name, title or name))
            part = Part(cells.grade_id(cell), data.get("score") or 0.0, data["points"], data.get("waits", False))
            exercise.parts.append(part)
    return list(found.values())


def summary(notebook: cells.Notebook) -> dict[str, Any]:
    """What the template shows at the top: the title, the exercises, and their parts by name."""
    found = exercises(notebook)
    return {
        "title": next((_heading(cell.source.splitlines()[0]) for cell in notebook.cells if _is_title(cell)), ""),
        "exercises": found,
        "parts": {part.name: part for exercise in found for part in exercise.parts},
    }


def _is_title(cell: Any) -> bool:
    return cell.cell_type == "markdown" and cell.source.startswith("# ") and not cells.is_students(cell)


def _heading(markdown: str) -> str:
    """The last heading of a text, without the points behind it; "" if it has none."""
    headings = re.findall(r"^#+ +(.+)$", markdown, flags=re.MULTILINE)
    return re.sub(r" *\([^()]*\d+ points?\)$", "", headings[-1]) if headings else ""


def coloured_code() -> str:
    """The style sheet for code, on light and on dark paper."""
    light, dark = (HtmlFormatter(style=style).get_style_defs(".highlight") for style in ("default", "github-dark"))
    return f"{light}\n@media (prefers-color-scheme: dark) {{\n{dark}\n}}"


class Grades(GetGrades):  # type: ignore[misc]
    """Reads points and comments from the gradebook into the cells, and sums the points up by exercise."""

    def preprocess(self, nb: Any, resources: Any) -> Any:
        """The notebook, and `resources` with what the template needs."""
        nb, resources = super().preprocess(nb, resources)
        resources.update(summary(nb))
        return nb, resources

    def _get_score(self, cell: Any, resources: Any) -> None:
        super()._get_score(cell, resources)
        data = cell.metadata.nbgrader
        grade = self.gradebook.find_grade(data["grade_id"], self.notebook_id, self.assignment_id, self.student_id)
        data["waits"] = bool(grade.needs_manual_grade)


class FeedbackPage(HTMLExporter):
    """One HTML file without scripts, which reads nothing from the network."""

    # No settings of a course: nbgrader gives every HTMLExporter its own template.
    template_name = Unicode("feedback").tag(affects_template=True)
    extra_template_basedirs = List(Unicode(), [str(TEMPLATES)]).tag(affects_environment=True)
    extra_template_paths = List(Unicode(), [str(TEMPLATES)]).tag(affects_environment=True)

    def default_filters(self) -> Iterator[tuple[str, Any]]:
        """nbconvert's filters, one for points, and one for HTML."""
        yield from super().default_filters()
        yield ("number", "{:g}".format)
        yield ("clean", clean)

    def from_notebook_node(self, nb: Any, resources: Any = None, **kw: Any) -> Any:
        """The page, and nbconvert's `resources`."""
        resources["signs"], resources["coloured_code"] = SIGNS, coloured_code()
        return super().from_notebook_node(nb, resources, **kw)
