"""The page that a student gets back: the sums at the top, the words beside the colours, nothing from the network."""

import pytest
from bs4 import BeautifulSoup
from nbformat.v4 import new_code_cell, new_output, new_raw_cell

from course.sources import source
from tinyalex.course import cells
from tinyalex.course.pages import safe
from tinyalex.course.pages.feedback import FeedbackPage, exercises, summary, verdict

MESSAGE = "CheckError: y[0] is 1, expected 2\nWhat it is: <b> is not added"


def marked():
    """Assignment 1 after marking: the first test has failed, all others are passed, answers wait for a reader."""
    notebook = source("assignment1")
    notebook.cells.insert(2, new_code_cell("print('own')", id="other-1"))
    notebook.cells.insert(3, new_raw_cell("a < b <script>x</script>", id="other-2"))
    notebook.cells[2].outputs = [new_output("display_data", data={"text/html": "<script>alert(1)</script>"})]
    for cell in notebook.cells:
        data = cell.metadata.get("nbgrader", {})
        if data.get("grade"):
            data["waits"] = bool(data["solution"])
            data["score"] = 0.0 if data["waits"] else float(data["points"])
    failed = next(cell for cell in notebook.cells if cells.grade_id(cell) == "conv_loops-numbers")
    failed.metadata.nbgrader["score"] = 0.0
    failed.outputs = [new_output("error", ename="CheckError", evalue="", traceback=MESSAGE.splitlines())]
    return notebook


@pytest.fixture(scope="module")
def page():
    notebook = marked()
    about = {"nbgrader": {"student": "Ada <b>", "score": 85.0, "max_score": 100.0, "late_penalty": 2.0}}
    exporter = FeedbackPage(filters={"markdown2html": safe.rendered})
    exporter.register_preprocessor(safe.Inert, enabled=True)
    return BeautifulSoup(exporter.from_notebook_node(notebook, {**about, **summary(notebook)})[0], "html.parser")


def lines(page):
    return [[" ".join(cell.text.split()) for cell in row(["th", "td"])] for row in page.table("tr")]


def test_the_summary_has_a_line_for_each_exercise_with_its_subtotal(page):
    first, second, *_, question, late, total = lines(page)[1:]
    assert first[:3] == ["Exercise 1: forward, in loops", "◐ partly right", "10 of 15"]
    assert first[3] == "numbers ✗ 0 of 5 windows ✓ 7 of 7 dtype ✓ 3 of 3"
    assert second[:3] == ["Exercise 2: backward, in loops", "✓ right", "20 of 20"]
    assert question[:3] == ["Question 2", "✎ to be read", "– of 5"]
    assert late[2] == "−2"
    assert total[2] == "85 of 100"


def test_every_link_has_a_name_and_a_target(page):
    links = page("a")
    assert len(links) > 40
    for link in links:
        assert link.text.strip()
        if link["href"].startswith("#"):
            assert len(page.find_all(id=link["href"][1:])) == 1, link
    assert len({link.text for link in page.tbody("th")}) == len(page.tbody("tr"))


def test_a_verdict_is_a_sign_and_a_word_in_the_summary_and_at_its_cell(page):
    failed = page.find(id="conv_loops-numbers")
    assert failed["class"] == ["cell", "graded", "wrong"]
    assert " ".join(failed.header.text.split()).startswith("conv_loops: numbers ✗ wrong 0 of 5 points")
    assert failed.pre.text == MESSAGE
    assert failed.details.summary.text == "the test"
    assert "✓ right" in page.find(id="conv_loops-dtype").header.text


def test_the_page_is_whole_without_a_network_and_without_scripts(page):
    assert page.html["lang"] == "en"
    assert page.title.text == "Ada <b>: Assignment 1: convolution"
    assert not page(["script", "link", "iframe"])
    assert all(image["src"].startswith("data:") for image in page("img"))
    policy = page.find("meta", {"http-equiv": "Content-Security-Policy"})["content"]
    assert policy.startswith("default-src 'none'; style-src 'unsafe-inline'; img-src data:;")
    assert "url(" not in page.style.text
    assert "prefers-color-scheme: dark" in page.style.text
    assert page("math")


def test_verdicts():
    assert [verdict(0, 5), verdict(1, 5), verdict(5, 5), verdict(0, 5, True), verdict(0, 0)] == [
        *("wrong", "partly right", "right", "to be read", "right")
    ]


def test_an_answer_of_the_student_is_no_heading_of_an_exercise():
    notebook = marked()
    answer = next(cell for cell in notebook.cells if cells.grade_id(cell) == "what_groups_save")
    answer.source = "# Mine"
    assert [one.title for one in exercises(notebook)] == [one.title for one in exercises(marked())]


def test_a_raw_cell_is_shown_as_it_was_typed(page):
    assert page.find(string="a < b <script>x</script>").parent.name == "pre"
