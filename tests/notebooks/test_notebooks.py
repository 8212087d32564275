"""The tutorials: clean in git, in order, and each runs through in a fresh kernel to its check, which says "right".

A line such as `p = 0.9  # try: 0.1, 0.5` in a notebook proposes other values: its cell must run with each of them too.
"""

import ast
import re
from pathlib import Path

import nbformat
import pytest
import traitlets
from jupyter_client.kernelspec import KernelSpecManager
from jupyter_client.manager import AsyncKernelManager
from nbclient import NotebookClient

FOLDER = Path(__file__).parents[2] / "notebooks"
NOTEBOOKS = sorted(FOLDER.glob("*.ipynb"))
SECONDS = 180  # a cell, on a machine as busy as may be; on a quiet one a whole notebook takes 20
PROPOSAL = re.compile(r"^(?P<names>[\w, ]+) = .*?# try: (?P<values>.+)$", re.MULTILINE)
METADATA = {
    "kernelspec": {"display_name": "Python 3", "language": "python", "name": "python3"},
    "language_info": {"name": "python"},
}

each_notebook = pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)


class OwnKernel(AsyncKernelManager):
    """Starts kernels of the Python that runs the tests, whichever others are installed."""

    @traitlets.default("kernel_spec_manager")
    def _specs(self):
        return KernelSpecManager(kernel_dirs=[])


def cells(path, kind):
    return [cell for cell in nbformat.read(path, as_version=4).cells if cell.cell_type == kind]


def variations(source):
    """The source of a cell with each of the values that it proposes."""
    for proposal in PROPOSAL.finditer(source):
        for value in ast.parse(f"[{proposal['values']}]").body[0].value.elts:
            yield source.replace(proposal[0], f"{proposal['names']} = {ast.unparse(value)}")


def printed(outputs):
    return "".join(output.get("text", "") for output in outputs)


def test_they_are_numbered_without_a_gap():
    assert [int(path.name[:2]) for path in NOTEBOOKS] == list(range(1, len(NOTEBOOKS) + 1))


@each_notebook
def test_git_holds_what_was_written_and_nothing_that_was_run(path):
    notebook = nbformat.read(path, as_version=nbformat.NO_CONVERT)
    nbformat.validate(notebook)
    assert (notebook.nbformat, notebook.nbformat_minor) == (4, 5)
    assert notebook.metadata == METADATA
    for cell in notebook.cells:
        assert cell.metadata == {}
        if cell.cell_type == "code":
            assert (cell.outputs, cell.execution_count) == ([], None), "clear all outputs before a commit"


@each_notebook
def test_its_form(path):
    """A title, a purpose, what will be seen, three things to try, a check; and links lead somewhere."""
    first = cells(path, "markdown")[0].source
    assert first.startswith(f"# {int(path.name[:2])} ")
    assert "**Purpose.**" in first
    assert "**You will see**" in first
    code = [cell.source for cell in cells(path, "code")]
    assert sum("Try it" in cell.source for kind in ("code", "markdown") for cell in cells(path, kind)) >= 3
    assert 'print("right")' in code[-1]
    assert "assert " in code[-1]
    for cell in cells(path, "markdown"):
        for link in re.findall(r"\]\(([^)#]+)", cell.source):
            assert link.startswith("https://") or (FOLDER / link).exists(), link


def run(notebook):
    """Run its cells in their folder, in a kernel of this Python."""
    client = NotebookClient(
        notebook,
        kernel_manager_class=OwnKernel,
        kernel_name="python3",
        timeout=SECONDS,
        resources={"metadata": {"path": str(FOLDER)}},
    )
    client.execute()


@each_notebook
def test_it_runs(path):
    """To its check; then its cells with the values that they propose."""
    notebook = nbformat.read(path, as_version=4)
    ran = len(notebook.cells)
    notebook.cells += [
        nbformat.v4.new_code_cell(variation) for cell in cells(path, "code") for variation in variations(cell.source)
    ]
    run(notebook)
    last = next(cell for cell in reversed(notebook.cells[:ran]) if cell.cell_type == "code")
    assert printed(last.outputs).splitlines()[-1] == "right"
    for cell in notebook.cells:
        for output in cell.get("outputs", []):
            assert output.get("name") != "stderr", f"a warning: {output.text}"


def test_the_real_one_runs_without_real_files(monkeypatch):
    for variable in ("TINYALEX_WEIGHTS", "TINYALEX_DATA"):
        monkeypatch.delenv(variable, raising=False)
    [path] = FOLDER.glob("14_*.ipynb")
    notebook = nbformat.read(path, as_version=4)
    run(notebook)
    assert "stored figure" in "".join(printed(cell.get("outputs", [])) for cell in notebook.cells)
    assert printed(notebook.cells[-1].outputs) == "right\n"


def test_what_a_cell_proposes_is_found():
    cell = "# Try it: more.\np = 0.9  # try: 0.1, 0.5\na, b = 1, 2  # try: (3, 4)\nprint(p)\n"
    assert [text.splitlines()[1:3] for text in variations(cell)] == [
        ["p = 0.1", "a, b = 1, 2  # try: (3, 4)"],
        ["p = 0.5", "a, b = 1, 2  # try: (3, 4)"],
        ["p = 0.9  # try: 0.1, 0.5", "a, b = (3, 4)"],
    ]
