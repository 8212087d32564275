"""The lecturer's page: distributions, the commonest mistakes, what to look at, links that lead somewhere."""

import nbformat
import pytest
from bs4 import BeautifulSoup
from nbformat.v4 import new_code_cell, new_output

from course.sources import source
from tinyalex.course import cells
from tinyalex.course.marking.by_nbgrader import Marks
from tinyalex.course.pages.overview import bars, write_overview

NAME = "assignment3"
NAMED = "dlogits[0, 1] is 3, expected 1\n4 of 6 entries differ\nWhat it is: not divided by N"


def handed_in(root, student, errors, own="", remarks=(), read=False):
    """A marked notebook. errors: by test cell, (type, message); own: a cell of the student's."""
    notebook = source(NAME)
    marks = Marks(student, NAME, remarks=list(remarks))
    if own:
        notebook.cells.insert(3, new_code_cell(own, id="other-3"))
    for cell in notebook.cells:
        data = cell.metadata.get("nbgrader", {})
        name = cells.grade_id(cell)
        if data.get("grade"):
            points = 0.0 if data["solution"] or name in errors else float(data["points"])
            before, of = marks.exercises.get(cells.exercise_of(name), (0.0, 0.0))
            marks.exercises[cells.exercise_of(name)] = (before + points, of + data["points"])
            if data["solution"] and not read:
                marks.by_hand.append(name)
        if name in errors:
            kind, message = errors[name]
            cell.outputs = [new_output("error", ename=kind, evalue=message, traceback=[message])]
    path = root / "autograded" / student / NAME / f"{NAME}.ipynb"
    path.parent.mkdir(parents=True)
    nbformat.write(notebook, path)
    return marks


@pytest.fixture(scope="module")
def page(tmp_path_factory):
    root = tmp_path_factory.mktemp("marks")
    gradient = [name for name in map(cells.grade_id, source(NAME).cells) if name.startswith("cross_entropy_backward-")]
    marks = [
        handed_in(root, "ada", {}, read=True),
        handed_in(root, "bo<b>", {gradient[0]: ("CheckError", NAMED), gradient[1]: ("ValueError", "a (3,)\n(4,)")}),
        handed_in(root, "cy", {gradient[0]: ("CheckError", NAMED.replace("3", "5"))}, own="import ctypes"),
        handed_in(root, "di", {gradient[0]: ("NotImplementedError", "")}, remarks=["`softmax`: missing."]),
        Marks("ed", NAME, remarks=["It cannot be marked: mark it by hand."]),
    ]
    handed_in(root, "ed", {gradient[0]: ("CheckError", "what an earlier call found")}, own="import gc")
    (root / "feedback" / "ada" / NAME).mkdir(parents=True)
    (root / "alike.csv").write_text(
        "assignment,student,like,in common,the same exercises\n"
        f"{NAME},ada,the solution,97%,softmax linear\nother,a,b,1%,\n"
    )
    write_overview(marks, root)
    return BeautifulSoup((root / "overview.html").read_text(), "html.parser")


def table_below(page, heading):
    return [
        [" ".join(cell.text.split()) for cell in row(["th", "td"])]
        for row in page.find(["h1", "h2"], string=heading).find_next("table")("tr")
    ]


def test_each_exercise_has_its_distribution(page):
    rows = {row("th")[0].text: row for row in page.table("tr")}
    row = rows["Exercise 3: the gradient of the loss"]
    assert [cell.text for cell in row("td")[1:]] == ["7.5 of 14", "1", "1"]
    heights = [float(bar["height"]) for bar in row("rect", class_="bar")]
    assert len(heights) == 10
    assert max(heights) == 28
    assert "points: " in row.svg("title")[-1].text
    assert row.svg["aria-label"].startswith("points of Exercise 3: the gradient of the loss: ")
    assert "4 hand-ins. Of 100 points" in page.main.p.text


def test_the_commonest_mistake_comes_first_and_numbers_make_no_difference(page):
    rows = table_below(page, "The commonest mistakes")[1:]
    assert rows == [
        ["2", "Exercise 3: the gradient of the loss", "not divided by N", "bo<b>, cy"],
        ["1", "Exercise 3: the gradient of the loss", "nothing is filled in", "di"],
    ]


def test_links_lead_to_the_place_on_the_page_of_feedback(page):
    links = {
        link.text: link["href"] for link in page.find("h2", string="The commonest mistakes").find_next("table")("a")
    }
    assert links["cy"] == f"feedback/cy/{NAME}/{NAME}.html#cross_entropy_backward"
    assert links["bo<b>"] == f"feedback/bo%3Cb%3E/{NAME}/{NAME}.html#cross_entropy_backward"


def test_what_a_person_has_to_do(page):
    assert table_below(page, "To be read")[1][::2] == ["3", "bo<b>, cy, di"]
    repairs = table_below(page, "Repairs and remarks")
    assert repairs == [["di", "softmax: missing."], ["ed", "It cannot be marked: mark it by hand."]]
    assert page.find("h2", string="Repairs and remarks").find_next("table")("a") == [], "neither has a page of feedback"
    assert table_below(page, "Code to look at") == [["cy", "reaches below Python", "other-3, line 1", "import ctypes"]]
    assert table_below(page, "Hand-ins that are alike")[1:] == [["ada", "the solution", "97%", "softmax linear"]]
    (link,) = page.find("h2", string="Hand-ins that are alike").find_next("table")("a")
    assert link["href"] == f"feedback/ada/{NAME}/{NAME}.html"


def test_the_page_has_no_scripts_and_reads_nothing(page):
    assert page.html["lang"] == "en"
    assert page.find("code", string="softmax")
    assert not page(["script", "link", "img"])
    assert not page("b")
    assert "default-src 'none'" in page.find("meta", {"http-equiv": "Content-Security-Policy"})["content"]


def test_bars():
    assert [bar.count for bar in bars([0, 0, 5, 10], 10)] == [2, 0, 0, 0, 0, 1, 0, 0, 0, 1]
    assert [bar.height for bar in bars([0, 0, 5, 10], 10)][:6] == [1, 0, 0, 0, 0, 0.5]
    assert bars([], 6)[9].high == 6
    assert bars([0.0], 0)[0].count == 1


def test_a_course_without_failures(tmp_path):
    write_overview([handed_in(tmp_path, "ada", {}, read=True)], tmp_path)
    text = (tmp_path / "overview.html").read_text()
    for words in ("No test has failed.", "Every answer has its marks.", "No notebook was changed", "No line reaches"):
        assert words in text
    assert "alike" not in text
