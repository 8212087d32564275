"""The rubric names every test with its points; the answers have every solution and no signs of the source."""

import nbformat
import pytest
from bs4 import BeautifulSoup

from course.sources import ASSIGNMENTS, solution_cells, source
from tinyalex.course.pages.keys import rubric, write_keys


@pytest.fixture(scope="module")
def keys(tmp_path_factory):
    folder = tmp_path_factory.mktemp("keys")
    files = write_keys(source("assignment3"), "assignment3", folder / "keys")
    assert [file.name for file in files] == [
        f"assignment3-{what}" for what in ("rubric.html", "answers.html", "answers.ipynb")
    ]
    return files


@pytest.mark.parametrize("assignment", ASSIGNMENTS)
def test_the_rubric_has_all_points_and_says_what_gives_them(assignment):
    page = BeautifulSoup(rubric(source(assignment)), "html.parser")
    rows = [[cell.text.strip() for cell in row(["th", "td"])] for row in page("tr")]
    assert sum(float(points) for _, points, _ in rows) == 100
    assert all(text for _, _, text in rows)
    assert sum(float(heading.text.split(": ")[-1].removesuffix(" points")) for heading in page("h2")) == 100
    assert "None" not in page.text
    assert "###" not in page.text


def test_the_rubric_has_the_guides_of_written_answers(keys):
    assert "2 points: twice as large." in keys[0].read_text()
    assert "In testing no unit is dropped" not in keys[0].read_text()


def test_the_page_of_answers_shows_solutions_and_hidden_tests(keys):
    page = BeautifulSoup(keys[1].read_text(), "html.parser")
    assert page.title.text == "Answers: Assignment 3: the last layers, and how to check a gradient"
    for words in ("exps = np.exp(logits - logits.max(axis=1, keepdims=True))", "logits that differ by thousands"):
        assert words in page.text
    assert "In testing no unit is dropped" in page.text
    assert "### " not in page.text
    assert not page(["script", "link"])
    assert len(page("details")) == 14


def test_the_notebook_of_answers_is_ready_to_run(keys):
    notebook = nbformat.read(keys[2], as_version=4)
    for name, cell in solution_cells(notebook).items():
        assert "###" not in cell.source
        compile(cell.source, name, "exec")
    assert len(notebook.cells) == len(source("assignment3").cells)
