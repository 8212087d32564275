"""Hand-ins as they come in: whole, with mistakes, blank, broken, renamed; and the marks that each should get."""

import copy
from dataclasses import dataclass, field

import nbformat
from nbformat.v4 import new_code_cell

from course.sources import lost, make, mistakes, outcomes, solution_cells, source, write_files
from tinyalex.course import cells

SWALLOWING = "while True:\n    try:\n        while True:\n            pass\n    except BaseException:\n        pass"


@dataclass
class Generated:
    """A hand-in: its notebook, the file that it comes in, the test cells that should give nothing."""

    student: str
    assignment: str
    file: str = ""
    lost: set[str] = field(default_factory=set)
    words: list[str] = field(default_factory=list)  # what the feedback must say

    def __post_init__(self):
        self.notebook = source(self.assignment)
        self.file = self.file or f"{self.student}/{self.assignment}.ipynb"

    @property
    def points(self):
        return sum(one.of for name, one in outcomes(self.assignment).items() if name not in self.lost)

    def write(self, folder):
        path = folder / self.file
        path.parent.mkdir(parents=True, exist_ok=True)
        nbformat.write(self.notebook, path)
        if path.parent != folder:  # files are a student's only in a folder of the student's own
            write_files(self.assignment, path.parent)

    def says(self, words):
        self.words.append(words)

    # ---------------------------------------------------------------- deeds

    def cell(self, name):
        return next(cell for cell in self.notebook.cells if cells.grade_id(cell) == name)

    def all_lost(self, exercise):
        self.lost |= {name for name in outcomes(self.assignment) if cells.exercise_of(name) == exercise}

    def mistake(self, index):
        mistake = mistakes(self.assignment)[index]
        make(self.notebook, mistake)
        self.lost |= set(lost(self.assignment, mistake))

    def blank(self, exercise):
        self.replace_body(exercise, "raise NotImplementedError")

    def replace_body(self, exercise, code):
        """The first function of the solution does nothing but `code`."""
        cell = self.cell(exercise)
        head, _, rest = cell.source.partition("    ### BEGIN SOLUTION\n")
        _, _, tail = rest.partition("    ### END SOLUTION")
        cell.source = head + "".join(f"    {line}\n" for line in code.splitlines()) + tail
        self.all_lost(exercise)

    def syntax_error(self, exercise):
        self.cell(exercise).source += "\n    return (y"
        self.all_lost(exercise)

    def delete(self, name):
        self.notebook.cells.remove(self.cell(name))

    def duplicate(self, name):
        cell = self.cell(name)
        again = copy.deepcopy(cell)
        again["id"] = f"{name}-again"
        self.notebook.cells.insert(self.notebook.cells.index(cell), again)

    def edit(self, name, text):
        self.cell(name).source = text

    def own_cell(self, after, text):
        cell = self.cell(after)
        self.notebook.cells.insert(self.notebook.cells.index(cell) + 1, new_code_cell(text))

    def strip_metadata(self):
        """As a tool does that keeps only what it knows: no names, no ids."""
        for number, cell in enumerate(self.notebook.cells):
            cell.metadata.pop("nbgrader", None)
            cell["id"] = f"cell-{number}"


def mixed(number, assignment, rng, hangs):
    """A hand-in of mistakes, blanks and broken cells in exercises drawn at random, and a cell that hangs."""
    one = Generated(f"student{number:03}", assignment)
    if rng.random() < 0.3:
        one.file = f"{one.student}/{rng.choice(['final (2)', 'Untitled', 'my work'])}.ipynb"
    planted = mistakes(assignment)
    for exercise in solution_cells(one.notebook):
        deed = rng.choice(["whole", "whole", "mistake", "mistake", "blank", "syntax error"])
        if deed == "mistake":
            one.mistake(rng.choice([i for i, mistake in enumerate(planted) if mistake.exercise == exercise]))
        elif deed == "blank":
            one.cell(exercise).source = "# nothing yet\nraise NotImplementedError"
            one.all_lost(exercise)
        elif deed == "syntax error":
            one.syntax_error(exercise)
    tests = list(outcomes(assignment))
    if hangs:  # before the test that it follows may be deleted
        one.own_cell(tests[0], SWALLOWING)
    for name in rng.sample(tests, 3):
        rng.choice([one.delete, one.duplicate, lambda name: one.edit(name, "assert True")])(name)
    return one
