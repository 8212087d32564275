"""Hand-ins that are alike: to each other, to the solutions, or to this package's source.

Code is compared as its syntax tree, written out again without comments, types and names that a student chooses: what
remains does not change when a copy is renamed, laid out anew or commented. Two pieces of code share the runs of `RUN`
words that both contain. A run that many hand-ins contain says little, so it counts one over their number: what the
task itself suggests weighs nothing beside what only two have. What students are given does not count at all.
"""

import ast
import builtins
import io
import re
import tokenize
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache, cached_property
from itertools import combinations
from pathlib import Path
from typing import Any

from tinyalex.course import cells
from tinyalex.files import write_table

RUN = 8  # words
ALIKE = 0.5  # the share of two whole hand-ins from which on a person should look
COPIED = 0.8  # the share of two answers to one exercise
RARE = 15.0  # what their runs must count together: thirty that only two hand-ins have

SOURCES = ("layers", "data", "parallel", "training", "optim.py", "columns.py", "course/reference.py")

Runs = frozenset[int]


@dataclass(frozen=True)
class Work:
    """A piece of work to compare.   runs: by exercise; "" for code outside of exercises."""

    name: str
    runs: Mapping[str, Runs]

    @cached_property
    def whole(self) -> Runs:
        """The runs of all its code."""
        return Runs().union(*self.runs.values())


@dataclass(frozen=True)
class Pair:
    """Two pieces of work that are alike.

    share: what both have of what the smaller one has.   exercises: those that are almost the same in both.
    """

    assignment: str
    first: str
    second: str
    share: float
    exercises: tuple[str, ...]


def alike(name: str, notebooks: Mapping[str, cells.Notebook], original: cells.Notebook) -> list[Pair]:
    """The pairs that a person should look at, the most alike first.

    name: of the assignment.   notebooks: by student.   original: the assignment with its solutions.
    """
    given = Runs().union(*(runs(_given(cell.source)) for cell in original.cells if cell.cell_type == "code"))
    works = [work(student, notebooks[student], given) for student in sorted(notebooks)]
    counts = Counter(run for one in works for run in one.whole)
    each = _Comparison(_Weights({run: 1 / max(2, count) for run, count in counts.items()}))
    source = _Comparison(_Weights())  # a source that many have copied is no less a source
    solution = work("the solution", original, given)
    pairs = [each.both(one, other) for one, other in combinations(works, 2)]
    pairs += [source.both(one, solution) for one in works]
    pairs += [source.quoted(one, file) for file in _sources() for one in works]
    found = [Pair(name, *pair) for pair in pairs if pair]
    return sorted(found, key=lambda pair: (-pair.share, pair.first, pair.second))


def write_alike(root: Path, originals: Mapping[str, cells.Notebook]) -> list[str]:
    """Compare all hand-ins of these assignments in root/submitted -> root/alike.csv, and a line on the pairs in it."""
    found = []
    for name, original in originals.items():
        places = sorted((root / "submitted").glob(f"*/{name}/{name}.ipynb"))
        found += alike(name, {place.parts[-3]: cells.read(place) for place in places}, original)
    rows = [(pair.assignment, pair.first, pair.second, f"{pair.share:.0%}", " ".join(pair.exercises)) for pair in found]
    write_table(root / "alike.csv", ("assignment", "student", "like", "in common", "the same exercises"), rows)
    first = ", ".join(f"{pair.first} and {pair.second}" for pair in found[:3])
    return [f"pairs that are alike: {len(found)}, such as {first}: {root / 'alike.csv'}"] if found else []


def work(name: str, notebook: cells.Notebook, given: Runs) -> Work:
    """The code of a notebook, without what is given and without tests."""
    found: dict[str, Runs] = {}
    for cell in notebook.cells:
        if cell.cell_type == "code" and not cells.is_tests(cell):
            exercise = cells.exercise_of(cells.grade_id(cell)) if cells.is_students(cell) else ""
            found[exercise] = found.get(exercise, Runs()) | (runs(cell.source) - given)
    return Work(name, found)


@cache
def _sources() -> tuple[Work, ...]:
    """The files of this package that do what assignments ask for."""
    package = Path(__file__).parents[2]
    files = [path for place in SOURCES for path in sorted([package / place, *(package / place).rglob("*.py")])]
    return tuple(
        Work(f"tinyalex/{path.relative_to(package).as_posix()}", {"": runs(path.read_text("utf-8"))})
        for path in files
        if path.is_file()
    )


class _Weights(dict[int, float]):
    """What each run counts; one that is not here counts as if two had it."""

    def __missing__(self, run: int) -> float:
        return 0.5


@dataclass(frozen=True)
class _Comparison:
    """Compares work."""

    weights: _Weights

    def both(self, one: Work, other: Work) -> tuple[str, str, float, tuple[str, ...]] | None:
        """Names, share and exercises, if the two are alike as a whole or in an exercise."""
        smaller = self.weight(min(one.whole, other.whole, key=len))
        share = self.weight(one.whole & other.whole) / smaller if smaller >= RARE else 0.0
        same = tuple(name for name in one.runs if name and self.copied(one.runs[name], other.runs.get(name, Runs())))
        return (one.name, other.name, share, same) if share >= ALIKE or same else None

    def quoted(self, one: Work, source: Work) -> tuple[str, str, float, tuple[str, ...]] | None:
        """The same, if an answer consists of runs of a source file, which contains much else."""
        same = tuple(name for name, own in one.runs.items() if name and self.copied(own, source.whole & own))
        share = self.weight(one.whole & source.whole) / self.weight(one.whole) if same else 0.0
        return (one.name, source.name, share, same) if same else None

    def copied(self, one: Runs, other: Runs) -> bool:
        """Whether two answers are almost the same, and not only in what everybody writes."""
        if len(both := one & other) < RARE:  # each counts less than one: most pairs end here
            return False
        shared = self.weight(both)
        return shared >= RARE and shared >= COPIED * max(self.weight(one), self.weight(other))

    def weight(self, some: Runs) -> float:
        """What runs count together."""
        return sum(map(self.weights.__getitem__, some))


def _given(source: str) -> str:
    """A cell as students receive it."""
    return re.sub(r"### BEGIN (SOLUTION|HIDDEN TESTS).*?### END \1", "pass", source, flags=re.DOTALL)


def runs(code: str) -> Runs:
    """The runs of words in a piece of code, as hash values; none if it is no Python."""
    words = _words(code)
    return frozenset(hash(tuple(words[i : i + RUN])) for i in range(len(words) - RUN + 1))


def _words(code: str) -> list[str]:
    """The words of the code without what a copyist can change with no thought."""
    try:
        text = ast.unparse(ast.fix_missing_locations(_Plain().visit(ast.parse(code))))
        return [word.string for word in tokenize.generate_tokens(io.StringIO(text).readline) if word.string.strip()]
    except (SyntaxError, ValueError, MemoryError, RecursionError, tokenize.TokenError):
        return []


class _Plain(ast.NodeTransformer):
    """Takes from a tree what a copyist changes: names, types, texts that document."""

    def visit_Name(self, node: ast.Name) -> Any:
        """A name of Python's stays, all others become one."""
        return ast.Name(node.id if hasattr(builtins, node.id) else "_", node.ctx)

    def visit_arg(self, node: ast.arg) -> Any:  # noqa: ARG002
        """A parameter, without its type."""
        return ast.arg("_")

    def visit_FunctionDef(self, node: ast.FunctionDef) -> Any:
        """A function, without its name and types."""
        node.name, node.returns = "_", None
        return self.generic_visit(node)

    def visit_AnnAssign(self, node: ast.AnnAssign) -> Any:
        """An assignment, without the type."""
        return self.generic_visit(ast.Assign([node.target], node.value)) if node.value else None

    def visit_Expr(self, node: ast.Expr) -> Any:
        """An expression; none for a text that documents."""
        return None if isinstance(node.value, ast.Constant) else self.generic_visit(node)
