"""The recipes of docs/design.md, each carried out in a copy of the package exactly as the page shows it.

A recipe is a section "### Add ...: 10 files". Its blocks begin with the path of a file: a block of Python is that file,
whole; a block of diff changes it. `check.py` is run when all changes are made.
"""

import os
import re
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
    "tinyalex/step/field.py",
    "tinyalex/viz/figure2.py",
}


@dataclass
class Block:
    """A block of a recipe: of `kind` "python" or "diff", for the file at `path`."""

    kind: str
    path: str
    text: str

    def places(self):
        """(before, after) of each place that a block of diff changes."""
        lines = self.text.splitlines(keepends=True)
        for apart, place in groupby(lines, lambda line: line.startswith("@@")):
            if not apart:
                place = list(place)
                assert {line[0] for line in place} <= set("+- "), place
                yield tuple("".join(line[1:] for line in place if line[0] in signs) for signs in ("- ", "+ "))

    def carry_out(self, folder):
        file = folder / self.path
        if self.kind == "python":
            assert not file.exists(), f"{self.path} is there already"
            file.write_text(self.text)
            return
        text = file.read_text()
        for before, after in self.places():
            assert text.count(before) == 1, f"{self.path} has {text.count(before)} times:\n{before}"
            text = text.replace(before, after)
        file.write_text(text)


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
        elif token.type == "fence" and (named := re.match(r"# (\S+\.py)\n", token.content)):
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
    """A folder with a copy of the package, and of what mypy found before."""
    shutil.copytree(ROOT / "tinyalex", tmp_path / "tinyalex", ignore=shutil.ignore_patterns("__pycache__"))
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
    run = subprocess.run([sys.executable, "check.py"], cwd=copy, env=settings, capture_output=True, text=True)
    assert run.returncode == 0, run.stderr


def test_mypy_names_what_a_new_kind_of_layer_must_fill(copy):
    spec, *others = RECIPES["Add a kind of layer"].blocks
    assert spec.path == "tinyalex/spec.py"
    spec.carry_out(copy)
    found = mypy(copy)
    assert {line.partition(":")[0] for line in found if "assert_never" in line} == KINDS_OF_LAYERS, found
    for block in others:
        block.carry_out(copy)
    assert mypy(copy) == []
