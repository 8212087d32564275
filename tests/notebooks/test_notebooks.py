"""The tutorials: clean in git, in order, and each runs through in a fresh kernel with the answers of docs/answers.

With the answers every check says "right"; with an empty task it fails, and so it does with each of mistakes.py. A line
such as `p = 0.9  # try: 0.1, 0.5` in a notebook proposes other values: its cell must run with each of them too.
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

from notebooks.mistakes import MISTAKES
from site_tools.answers import answers, number_of, with_answers

FOLDER = Path(__file__).parents[2] / "notebooks"
NOTEBOOKS = sorted(FOLDER.glob("*.ipynb"))
SECONDS = 180  # a cell, on a machine as busy as may be; on a quiet one a whole notebook takes 20
PROPOSAL = re.compile(r"^(?P<names>[\w, ]+) = .*?# try: (?P<values>.+)$", re.MULTILINE)
LEANING = "import tinyalex.window; tinyalex.window.Window((1, 1), (1, 1), (0, 0), ceil_mode=False).output_size(1, 1)"
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
        # The tag lets "Run All" go on behind the check of a task that is not solved yet.
        assert cell.metadata == ({"tags": ["raises-exception"]} if number_of(cell, "Check") else {})
        if cell.cell_type == "code":
            assert (cell.outputs, cell.execution_count) == ([], None), "clear all outputs before a commit"


@each_notebook
def test_its_form(path):
    """A title, a purpose, what will be seen, three things to try; and links lead somewhere."""
    first = cells(path, "markdown")[0].source
    assert first.startswith(f"# {int(path.name[:2])} ")
    assert "**Purpose.**" in first
    assert "**You will see**" in first
    assert sum("Try it" in cell.source for kind in ("code", "markdown") for cell in cells(path, kind)) >= 3
    for cell in cells(path, "markdown"):
        for link in re.findall(r"\]\(([^)#]+)", cell.source):
            assert link.startswith("https://") or (FOLDER / link).exists(), link


def tasks(path):
    """The three cells of each task: its text, the cell to fill, the check."""
    found = nbformat.read(path, as_version=4).cells
    return [found[i - 1 : i + 2] for i, cell in enumerate(found) if number_of(cell, "Task")]


def is_empty(node):
    """Whether it is a function that only says that it is the student's to write, or a class of such functions."""
    body = node.body[ast.get_docstring(node) is not None :]
    if isinstance(node, ast.ClassDef):
        return all(isinstance(part, ast.FunctionDef) and is_empty(part) for part in body)
    return [ast.unparse(line).partition("(")[0] for line in body] == ["raise NotImplementedError"]


def heads(source):
    """The name of each function in a cell, with its parameters."""
    return {
        node.name: ast.unparse(node.args)
        for node in ast.walk(ast.parse(source))
        if isinstance(node, ast.FunctionDef) and node.name[0] != "_"
    }


@each_notebook
def test_the_form_of_its_tasks(path):
    """Two or three, each with two hints behind a click, an answer, and a check that says "right" at its end."""
    found, solutions = tasks(path), answers(path.stem)
    assert 2 <= len(found) <= 3
    assert list(solutions) == list(range(1, len(found) + 1))
    for number, (text, task, check) in enumerate(found, start=1):
        assert text.source.startswith(f"## Task {number}: ")
        assert len(re.findall(r"^<details><summary>.+</summary>\n\n(?s:.+?)\n\n</details>$", text.source, re.M)) >= 2
        assert f"(../docs/answers/{path.stem}.md#task-{number})" in text.source
        assert (number_of(task, "Task"), number_of(check, "Check")) == (number, number)
        for node in ast.parse(task.source).body:
            assert isinstance(node, ast.FunctionDef | ast.ClassDef), "a task is to write a function, or a class"
            assert ast.get_docstring(node)
            assert is_empty(node), f"{node.name} has something in it"
            assert node.name in check.source
        assert "call(" in check.source, "the check lets the package do the work"
        assert check.source.endswith('print("right")')
        assert heads(task.source).items() <= heads(solutions[number]).items()


@each_notebook
def test_one_may_leave_a_task_out(path):
    """No other cell uses what the student writes."""
    found = tasks(path)
    for number, (_, task, check) in enumerate(found, start=1):
        written = {node.name for node in ast.parse(task.source).body}
        for cell in cells(path, "code"):
            if cell.id not in (task.id, check.id):
                used = {node.id for node in ast.walk(ast.parse(re.sub("^%", "#", cell.source))) if hasattr(node, "id")}
                assert not used & written, f"{cell.id} uses {used & written} of task {number}"


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


def leaning(answer):
    """The answer, whose first function calls the package before it does its work."""
    first = next(node for node in ast.walk(ast.parse(answer)) if isinstance(node, ast.FunctionDef))
    begins, lines = first.body[ast.get_docstring(first) is not None], answer.splitlines()
    lines.insert(begins.lineno - 1, " " * begins.col_offset + LEANING)
    return "\n".join(lines)


def wrong_tries(path):
    """Cells, each with its check: for each task the empty cell, an answer that leans on the package, and mistakes."""
    solutions = answers(path.stem)
    for number, (_, task, check) in enumerate(tasks(path), start=1):
        planted = MISTAKES[path.stem[:2]][number]
        yield nbformat.v4.new_code_cell(task.source, metadata={"said": ""})
        yield nbformat.v4.new_code_cell(check.source, metadata=check.metadata)
        # A forgotten return, which the check itself must tell; and one of nothing at all.
        for returned, kind in (("None", {"kind": "AssertionError"}), ("{}", {})):
            source = re.sub(r"raise NotImplementedError.*", f"return {returned}", task.source)
            yield nbformat.v4.new_code_cell(source, metadata={"said": "", **kind})
            yield nbformat.v4.new_code_cell(check.source, metadata=check.metadata)
        source = leaning(solutions[number])
        yield nbformat.v4.new_code_cell(source, metadata={"said": "calls tinyalex.window", "kind": "LibraryError"})
        yield nbformat.v4.new_code_cell(check.source, metadata=check.metadata)
        for right, wrong, *said in planted:
            assert solutions[number].count(right) == 1, "a mistake has a place"
            source = solutions[number].replace(right, wrong)
            yield nbformat.v4.new_code_cell(source, metadata={"said": "".join(said)})
            yield nbformat.v4.new_code_cell(check.source, metadata=check.metadata)


@each_notebook
def test_it_runs(path):
    """With the answers, to its end; then the cells with the values that they propose, and wrong answers with checks."""
    written = nbformat.read(path, as_version=4)
    notebook = with_answers(written, answers(path.stem))
    notebook.cells += [
        nbformat.v4.new_code_cell(variation) for cell in cells(path, "code") for variation in variations(cell.source)
    ]
    right = len(notebook.cells)
    notebook.cells += wrong_tries(path)
    run(notebook)
    for cell in notebook.cells[:right]:
        for output in cell.get("outputs", []):
            assert output.get("name") != "stderr", f"a warning: {output.text}"
        if number_of(cell, "Check"):
            assert printed(cell.outputs).splitlines()[-1] == "right"
        elif "outputs" in cell:
            assert "right" not in printed(cell.outputs).splitlines(), "for the student's own work only"
    for task, check in zip(notebook.cells[right::2], notebook.cells[right + 1 :: 2], strict=True):
        assert "right" not in printed(check.outputs).splitlines(), task.source
        [error] = [output for output in check.outputs if output.output_type == "error"]
        assert task.metadata.said in error.evalue, task.source
        assert error.ename == task.metadata.get("kind", error.ename), (error.evalue, task.source)


def test_the_real_one_runs_without_real_files(monkeypatch):
    for variable in ("TINYALEX_WEIGHTS", "TINYALEX_DATA"):
        monkeypatch.delenv(variable, raising=False)
    [path] = FOLDER.glob("14_*.ipynb")
    notebook = with_answers(nbformat.read(path, as_version=4), answers(path.stem))
    run(notebook)
    assert "stored figure" in "".join(printed(cell.get("outputs", [])) for cell in notebook.cells)


def test_what_a_cell_proposes_is_found():
    cell = "# Try it: more.\np = 0.9  # try: 0.1, 0.5\na, b = 1, 2  # try: (3, 4)\nprint(p)\n"
    assert [text.splitlines()[1:3] for text in variations(cell)] == [
        ["p = 0.1", "a, b = 1, 2  # try: (3, 4)"],
        ["p = 0.5", "a, b = 1, 2  # try: (3, 4)"],
        ["p = 0.9  # try: 0.1, 0.5", "a, b = (3, 4)"],
    ]


def test_whether_normalisation_helps_is_asked_of_the_nets_themselves():
    """Tutorial 4 trains `mini`, and `mini` changed as `no-lrn` is from the paper's net; none that was made for it."""
    [path] = FOLDER.glob("04_*.ipynb")
    [cell] = [cell.source for cell in cells(path, "code") if "sgd.step()" in cell.source]
    assert 'variant("mini")' in cell
    assert '.layers == variant("no-lrn").layers' in cell
    assert "Conv(" not in cell
