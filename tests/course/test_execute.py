"""How a notebook is run for marking: what would end it, or take too long, costs its own cells."""

import sys
import zipfile

from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook
from nbgrader.utils import determine_grade

from tinyalex.course.marking.execute import MarkingExecute


def marked(*sources, **settings):
    """The outputs of each cell."""
    notebook = new_notebook(cells=[new_markdown_cell("x"), *map(new_code_cell, sources), new_markdown_cell("y")])
    MarkingExecute(**settings).preprocess(notebook, {})
    return [cell.outputs for cell in notebook.cells[1:-1]]


def run(*sources, **settings):
    """What each cell raised, or ""."""
    return ["".join(output.get("evalue", "") for output in outputs) for outputs in marked(*sources, **settings)]


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


def test_of_what_a_cell_prints_the_beginning_is_kept():
    loud = "for _ in range(5):\n    print('x' * 999, flush=True)\nimport sys\nprint('!', file=sys.stderr)"
    outputs, others = marked(loud, "print('all')", text=1500)
    assert "".join(output.text for output in outputs) == "x" * 999 + "\n" + "x" * 500
    assert [output.text for output in others] == ["all\n"]


SHOWN = {
    # what a cell displays -> the characters that are kept of its text, its pictures and its errors
    "for _ in range(9):\n    display('x' * 298)": (1500, 0, 0),
    "display({'a': 'x' * 2000}, raw=True)": (0, 0, 0),
    "display({'application/json': {'a': 'x' * 2000}, 'text/plain': 'json'}, raw=True)": (0, 0, 0),
    "display({'text/html': 'x' * 2000, 'text/plain': 'y'}, raw=True)": (1500, 0, 0),
    "display({'image/png': 'x' * 2500, 'text/plain': 'y'}, raw=True)": (1, 2500, 0),
    "for _ in range(3):\n    display({'image/png': 'x' * 1250}, raw=True)": (0, 2500, 0),
    "display({'image/png': 'x'}, metadata={'y': 'x' * 2000}, raw=True)": (0, 1, 0),
    "display('x', display_id='d')\nupdate_display('x' * 2000, display_id='d')": (1500, 0, 0),
    "print('x' * 2000)\nassert False, 'x' * 700": (1500, 0, 1500),
    "class E(Exception):\n    pass\nE.__name__ = 'x' * 2000\nraise E": (0, 0, 1500),
}


def test_of_what_a_cell_displays_the_beginning_is_kept():
    first = "from IPython.display import display, update_display"
    _, *cells = marked(first, *SHOWN, text=1500, pictures=3000)
    for source, outputs in zip(SHOWN, cells, strict=True):
        data = [item for output in outputs for item in output.get("data", {}).items()]
        text = sum(len(value) for kind, value in data if kind.startswith("text/"))
        text += sum(len(output.get("text", "")) for output in outputs)
        pictures = sum(len(value) for kind, value in data if kind.startswith("image/"))
        errors = [output for output in outputs if output.output_type == "error"]
        told = sum(len("".join([one.ename, one.evalue, *one.traceback])) for one in errors)
        assert (text, pictures, told) == SHOWN[source], source
        assert len(str(outputs)) < 1500 + 3000 + 1500
        assert ("raise" in source or "assert" in source) == bool(errors)


LOUD = {  # begun in a cell before the function, so that no redirection during its call reaches it
    "a log": ("import logging\nlogging.basicConfig(level=logging.INFO)", "logging.info('shape %s', x.shape)"),
    "stderr kept": ("import sys\nout = sys.stderr", "print('shape', x.shape, file=out)"),
    "a program's stderr": ("import os", "os.write(2, b'shape (2,)\\n')"),
}


def test_what_a_function_writes_to_stderr_costs_no_points():
    """It is shown below the test; for nbgrader a test that writes to stderr has failed."""
    for before, line in LOUD.values():
        test = new_code_cell(
            "from tinyalex.course import *\nimport numpy as np\nthat(call(f, np.ones(2)) == 2, 'no')",
            metadata={"nbgrader": {"grade": True, "solution": False, "locked": True, "points": 3, "grade_id": "f-it"}},
        )
        function = f"def f(x):\n    {line}\n    return len(x)"
        notebook = new_notebook(cells=[new_code_cell(before), new_code_cell(function), test])
        MarkingExecute().preprocess(notebook, {})
        assert determine_grade(test) == (3, 3), test.outputs
        assert "shape (2,)" in "".join(output.text for output in test.outputs)
