"""The recipes of docs/design.md, each carried out in a copy of the project exactly as the page shows it.

A recipe is a section "### Add ...: 10 files". Its blocks begin with the path of a file: a block of Python is that file,
whole; a block of diff changes it. When all changes are made, `check.py` is run, and the tests that list what there is.
"""

import os
import re
import shlex
import shutil
import subprocess
import sys
from dataclasses import dataclass
from itertools import groupby

import pytest

from pages import ROOT, tokens

PAGE = ROOT / "docs" / "design.md"
KINDS_OF_LAYERS = {  # the modules with a match over all kinds
    "tinyalex/count.py",
    "tinyalex/layers/build.py",
    "tinyalex/cost/speed.py",
    "tinyalex/cost/simulation.py",
    "tinyalex/viz/figure2.py",
    "tinyalex/weights/onnx_export.py",
}
TESTS = {  # by recipe, those that list what there is
    "Add a kind of layer": "tests/layers/test_layer.py tests/step/test_words.py tests/docs/test_reading.py "
    "-k 'not test_layer or every_layer or L2Pool2D or l2_pool'",
    "Add a faster twin": "tests/backend/cpu/test_twins.py -k every_twin_takes",
    "Add a file format for weights": "tests/weights/test_weights.py",
    "Add an experiment": "tests/experiments/test_catalogue.py",
}
MOVED = (
    "docs/design.md quotes a line of {0} that is not there as quoted (it was found {1} times): update the recipe\n{2}"
)


@dataclass
class Block:
    """A block of a recipe: of `kind` "python" or "diff", for the file at `path`."""

    kind: str
    path: str
    text: str

    def places(self):
        """(before, after) of each place that a block of diff changes; "…" is a part of a line that stays as it is."""
        lines = self.text.splitlines(keepends=True)
        for apart, place in groupby(lines, lambda line: line.startswith("@@")):
            if not apart:
                place = list(place)
                assert {line[0] for line in place} <= set("+- "), place
                yield tuple("".join(line[1:] for line in place if line[0] in signs) for signs in ("- ", "+ "))

    def carry_out(self, folder):
        file = folder / self.path
        if self.kind == "python":
            assert not file.exists(), f"{self.path} is there already: give the recipe in docs/design.md another example"
            file.write_text(self.text)
            return
        text = file.read_text()
        for before, after in self.places():
            found = re.findall(pattern := "^" + "(.*)".join(map(re.escape, before.split("…"))), text, re.MULTILINE)
            assert len(found) == 1, MOVED.format(self.path, len(found), before)
            text = re.sub(pattern, lambda at: fill(after, at.groups()), text, flags=re.MULTILINE)  # noqa: B023
        file.write_text(text)


def fill(text, parts):
    """The text with each "…" replaced by one of the parts, in order."""
    first, *rest = text.split("…")
    return first + "".join(part + more for part, more in zip(parts, rest, strict=True))


@dataclass
class Recipe:
    """A section of the page.   files: how many files it says that it touches."""

    files: int
    blocks: list[Block]
    check: str


def recipes():
    """The recipes of the page by their titles."""
    found, title = {}, ""
    page = tokens(PAGE.read_text())
    for number, token in enumerate(page):
        if token.type == "heading_open":
            title = page[number + 1].content
        elif token.type == "fence" and (named := re.match(r"# (\S+\.(?:py|md))\n", token.content)):
            heading = re.fullmatch(r"(.+): (\d+) files?", title)
            recipe = found.setdefault(heading[1], Recipe(int(heading[2]), [], ""))
            text = token.content[named.end() :]
            if named[1] == "check.py":
                recipe.check = text
            else:
                recipe.blocks.append(Block(token.info, named[1], text))
    return found


RECIPES = recipes()


@pytest.fixture
def copy(tmp_path):
    """A folder with a copy of the project, and of what mypy found before."""
    for name in ("tinyalex", "tests", "docs"):
        shutil.copytree(ROOT / name, tmp_path / name, ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(ROOT / "pyproject.toml", tmp_path)
    if (ROOT / ".mypy_cache").is_dir():
        shutil.copytree(ROOT / ".mypy_cache", tmp_path / ".mypy_cache")
    return tmp_path


def mypy(copy):
    """The lines in which mypy says what is wrong with the copy."""
    command = [sys.executable, "-m", "mypy", "--config-file", ROOT / "pyproject.toml", "--no-error-summary"]
    run = subprocess.run(command, cwd=copy, capture_output=True, text=True, timeout=300)
    assert run.stderr == ""
    return run.stdout.splitlines()


def test_there_are_four():
    assert list(RECIPES) == [
        "Add a kind of layer",
        "Add a faster twin",
        "Add a file format for weights",
        "Add an experiment",
    ]


@pytest.mark.parametrize("title", list(RECIPES))
def test_a_recipe_touches_as_many_files_as_it_says(title):
    assert len({block.path for block in RECIPES[title].blocks}) == RECIPES[title].files


def test_a_part_of_a_line_stays_and_a_line_that_moved_is_named(tmp_path):
    file = tmp_path / "names.py"
    file.write_text("x = 1\nNAMES = [A, B, Z]\n")
    block = Block("diff", "names.py", "-NAMES = [A, …, Z]\n+NAMES = [A, …, Y, Z]\n@@\n x = 1\n+y = 2\n")
    block.carry_out(tmp_path)
    assert file.read_text() == "x = 1\ny = 2\nNAMES = [A, B, Y, Z]\n"
    file.write_text("NAMES = (A, B, Z)\n")
    with pytest.raises(AssertionError, match=r"docs/design\.md quotes a line of names\.py .* update the recipe"):
        block.carry_out(tmp_path)


@pytest.mark.parametrize("title", list(RECIPES))
def test_a_recipe_works(copy, title):
    recipe = RECIPES[title]
    for block in recipe.blocks:
        block.carry_out(copy)
    (copy / "check.py").write_text(
        f"import tinyalex\nassert tinyalex.__file__.startswith({str(copy)!r})\n" + recipe.check
    )
    # To compile all twins again would take a minute; one thread, as other tests run beside this one.
    settings = {**os.environ, "TINYALEX_KERNELS": "reference", "OPENBLAS_NUM_THREADS": "1"}
    files = " ".join(block.path for block in recipe.blocks if block.path.endswith(".py"))
    for command in ("check.py", f"-m ruff check --fix {files}", f"-m ruff format {files}", f"-m pytest {TESTS[title]}"):
        words = [sys.executable, *shlex.split(command)]
        run = subprocess.run(words, cwd=copy, env=settings, capture_output=True, text=True)
        assert run.returncode == 0, f"{command}\n{run.stdout}\n{run.stderr}"


def test_mypy_names_what_a_new_kind_of_layer_must_fill(copy):
    spec, *others = RECIPES["Add a kind of layer"].blocks
    assert spec.path == "tinyalex/spec/kinds.py"
    spec.carry_out(copy)
    found = mypy(copy)
    assert {line.partition(":")[0] for line in found if "assert_never" in line} == KINDS_OF_LAYERS, found
    for block in others:
        block.carry_out(copy)
    assert mypy(copy) == []
