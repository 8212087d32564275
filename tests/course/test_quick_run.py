"""The quick run of a notebook, marked as nbgrader marks one."""

import sys

import pytest
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook

from course.quick_run import Outcome, run_cells


def two_points(name, source):
    return new_code_cell(
        source, id=name, metadata={"nbgrader": {"grade_id": name, "grade": True, "solution": False, "points": 2}}
    )


@pytest.mark.parametrize(
    ("source", "points", "error"),
    [
        ("assert x == 1", 2, ""),
        ("print('all right')", 2, ""),
        ("assert x == 2, 'x is 1'", 0, "AssertionError: x is 1"),
        ("x = (", 0, "SyntaxError"),
        ("raise NotImplementedError", 0, "NotImplementedError"),
        ("import sys\nprint('hm', file=sys.stderr)", 0, "hm"),
        ("error = ValueError('no')\nerror.add_note('a hint')\nraise error", 0, "a hint"),
    ],
)
def test_a_test_cell_gives_all_points_or_none(source, points, error, tmp_path):
    notebook = new_notebook(cells=[new_markdown_cell("x"), new_code_cell("x = 1"), two_points("x-one", source)])
    outcome = run_cells(notebook, tmp_path)["x-one"]
    assert (outcome.points, outcome.of) == (points, 2)
    assert error in outcome.error
    assert bool(outcome.error) == (not points)


def test_a_cell_that_fails_stops_no_other(tmp_path, capsys):
    (tmp_path / "net.txt").write_text("7")
    notebook = new_notebook(
        cells=[
            new_code_cell("raise ValueError"),
            new_code_cell("from pathlib import Path\ny = Path('net.txt').read_text()"),
            two_points("y-seven", "print(y)\nassert y == '7'\nassert __name__ == '__main__'"),
        ]
    )
    assert run_cells(notebook, tmp_path) == {"y-seven": Outcome(2, 2)}
    assert capsys.readouterr() == ("", "")
    assert "y" not in sys.modules["__main__"].__dict__
