"""Which lines of a student's code a person should look at."""

import pytest
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook

from course.sources import ASSIGNMENTS, source
from tinyalex.course.handed_in.look_at import lines_to_look_at


def found(source, **metadata):
    cell = new_code_cell(source, id="other-1", metadata={"nbgrader": metadata} if metadata else {})
    return [(one.cell, one.number, one.reason) for one in lines_to_look_at(new_notebook(cells=[cell]))]


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        ("x = sys._getframe(1).f_locals['expected']", "reads another function's variables"),
        ("sys.modules['tinyalex.course.checks'].TOLERANCES.clear()", "changes modules or how they are found"),
        ("same.__code__ = (lambda *a: None).__code__", "changes a function from outside"),
        ("exec(inspect.getsource(conv))", "runs text as code"),
        ("m = __import__('scipy')", "runs text as code"),
        ("""x = "#"; exec(text)""", "runs text as code"),
        ("text = open('../source/assignment1.ipynb').read()", "reads or writes files"),
        ("Path('x').read_text()", "reads or writes files"),
        ("import ctypes", "reaches below Python"),
        ("threading.Thread(target=f).start()", "starts something beside the notebook"),
        ("os.system('ls')", "starts something beside the notebook"),
        ("sys.settrace(None)", "changes what the marking watches"),
        ("!cat /etc/passwd", "is a command of the shell or of IPython"),
        ("%%bash", "is a command of the shell or of IPython"),
    ],
)
def test_lines_that_reach_far(line, reason):
    assert found(f"import numpy\n{line}") == [("other-1", 2, reason)]
    assert found(line, grade_id="softmax", solution=True)[0][1:] == (1, reason)


@pytest.mark.parametrize(
    "line",
    ["!pip install x", "%matplotlib inline", "# open the window", "opened = 1", "np.stack([a, b])", "x = w.reopen", ""],
)
def test_harmless_lines(line):
    assert found(line) == []


def test_tests_and_texts_are_not_searched():
    assert found("exec('x')", grade_id="softmax-values", grade=True, solution=False) == []
    assert list(lines_to_look_at(new_notebook(cells=[new_markdown_cell("exec('x')")]))) == []


@pytest.mark.parametrize("assignment", ASSIGNMENTS)
def test_the_solutions_have_none(assignment):
    assert list(lines_to_look_at(source(assignment))) == []
