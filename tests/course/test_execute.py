"""How a notebook is run for marking: what would end it, or take too long, costs its own cells."""

import sys
import zipfile

from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook

from tinyalex.course.execute import MarkingExecute


def run(*sources, **settings):
    """What each cell raised, or ""."""
    notebook = new_notebook(cells=[new_markdown_cell("x"), *map(new_code_cell, sources), new_markdown_cell("y")])
    MarkingExecute(**settings).preprocess(notebook, {})
    return ["".join(output.get("evalue", "") for output in cell.outputs) for cell in notebook.cells[1:-1]]


WORDS = "exit() and quit() end Python: leave them out"


def test_exit_is_an_error_of_its_own_cell():
    assert run("x = 1", "exit()", "quit()", "assert x == 1") == ["", WORDS, WORDS, ""]


def test_pip_installs_nothing(tmp_path):
    wheel = tmp_path / "other-1.0-py3-none-any.whl"
    with zipfile.ZipFile(wheel, "w") as file:
        file.writestr("other.py", "")
        file.writestr("other-1.0.dist-info/METADATA", "Metadata-Version: 2.1\nName: other\nVersion: 1.0\n")
        file.writestr("other-1.0.dist-info/WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n")
        file.writestr("other-1.0.dist-info/RECORD", "")
    install = f"said = get_ipython().getoutput('{sys.executable} -m pip install {wheel}')"
    assert run(install, "assert 'Would install other-1.0' in said, said") == ["", ""]


def test_a_notebook_that_takes_too_long_is_not_run_to_its_end():
    words = "not run: the notebook had taken more than 0 s"
    assert run("x = 1", "raise ValueError('no')", total=0) == [words, words]
