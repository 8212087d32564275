"""What all steppers share: steps and their pictures, the page that moves, what is imported when."""

import json
import subprocess
import sys

import pytest

from tinyalex import inside
from tinyalex.errors import TinyAlexError, UsageError
from tinyalex.inside.sheet import Arrow, Box, Dot, Line, Text

STEPPERS = {
    "im2col": lambda: inside.Im2col([[1, 2, 3], [4, 5, 6], [7, 8, 9]], 2),
    "im2col of two channels": lambda: inside.Im2col([[[1, 2], [3, 4]], [[5, 6], [7, 8]]], (1, 2), pad=(0, 1)),
    "col2im": lambda: inside.Col2im((3, 4), 2),
    "max-pool": lambda: inside.MaxPoolGradient([[1, 2, 3], [4, 9, 6], [7, 8, 5]], kernel_size=2, stride=1),
    "LRN": lambda: inside.LRNWindow([1, 2, 3, 4], dy=[1, 0, -1, 2], groups=2),
    "momentum": lambda: inside.MomentumSteps(lambda w: w, steps=3),
    "columns": lambda: inside.ColumnExchange([[1, 2], [3, 4], [5, 6]]),
}


@pytest.fixture(params=list(STEPPERS))
def stepper(request):
    return STEPPERS[request.param]()


def test_every_step_has_a_picture_with_its_number_and_caption(stepper, written):
    for i in range(0, len(stepper), max(1, len(stepper) // 5)):
        texts = written(stepper.show(i))
        assert texts[0] == f"{i + 1} of {len(stepper)}  ·  show({i})"
        assert texts[1] == stepper.caption(i)


def test_no_two_steps_have_the_same_caption(stepper):
    captions = [stepper.caption(i) for i in range(len(stepper))]
    assert len(set(captions)) == len(captions)


def test_a_picture_keeps_to_its_page(stepper):
    for i in (0, len(stepper) - 1):
        figure = stepper.show(i)
        figure.draw_without_rendering()
        drawn = [*figure.texts, *(artist for axes in figure.axes for artist in (*axes.texts, *axes.patches))]
        for artist in drawn:
            box = artist.get_window_extent()
            assert min(box.x0, box.y0) >= -2, artist
            assert box.x1 <= figure.bbox.width + 2, artist
            assert box.y1 <= figure.bbox.height + 2, artist
        caption = figure.texts[1].get_window_extent()
        assert all(text.get_window_extent().y1 <= caption.y0 for axes in figure.axes for text in axes.texts)


def test_negative_steps_count_from_the_end(stepper, written):
    assert written(stepper.show(-1)) == written(stepper.show(len(stepper) - 1))


@pytest.mark.parametrize("step", ["after the last", "before the first"])
def test_a_step_that_is_not_there_is_refused(stepper, step):
    i = len(stepper) if step == "after the last" else -len(stepper) - 1
    with pytest.raises(UsageError, match=rf"got step {i}: expected 0 \.\.\. {len(stepper) - 1}"):
        stepper.show(i)


def test_every_mark_of_a_picture_is_on_the_page_of_the_steps(stepper):
    page = json.loads(json.dumps(stepper._steps(), default=float))
    sheets = [stepper._picture(i) for i in range(len(stepper))]
    assert page["size"] == [max(sheet.rows for sheet in sheets), max(sheet.columns for sheet in sheets)]
    for i, step in enumerate(page["steps"]):
        marks = [page["marks"][number] for number in step["marks"]]
        assert [kind for kind, *_ in marks] == [type(mark).__name__ for mark in sheets[i].marks]
        written = [mark[2] for mark in marks if mark[0] == "Text"]
        assert written == [mark.text for mark in sheets[i].marks if isinstance(mark, Text)]
        assert (step["where"], step["caption"]) == (f"{i + 1} of {len(stepper)}  ·  show({i})", stepper.caption(i))


def test_the_figure_has_the_marks_of_the_page(stepper):
    [axes] = stepper.show(1).axes
    marks = stepper._picture(1).marks
    arrows = sum(isinstance(mark, Arrow) for mark in marks)
    assert [text.get_text() for text in axes.texts if text.get_text()] == [m.text for m in marks if isinstance(m, Text)]
    assert len(axes.texts) == sum(isinstance(mark, Text) for mark in marks) + arrows  # an arrow is an empty text
    assert len(axes.patches) == sum(isinstance(mark, Box | Dot) for mark in marks)
    assert len(axes.lines) == sum(isinstance(mark, Line) for mark in marks)


def test_a_mark_that_does_not_change_is_stored_once():
    page = STEPPERS["im2col"]()._steps()
    assert len(page["marks"]) == len({tuple(mark) for mark in page["marks"]})
    assert 5 * len(page["marks"]) < sum(len(step["marks"]) for step in page["steps"])


def drawn(frame):
    """The texts of the picture in a frame, its caption and its place among the steps."""
    return (
        frame.locator("svg text").all_text_contents(),
        frame.locator("#caption").inner_text(),
        frame.locator("#count").inner_text(),
    )


def test_the_page_moves_by_buttons_slider_and_keys(opened, tmp_path):
    stepper = STEPPERS["max-pool"]()
    (tmp_path / "notebook.html").write_text("<!DOCTYPE html>" + stepper.widget()._repr_html_(), "utf-8")
    page = opened(tmp_path / "notebook.html", wait="iframe")
    frame = page.frame_locator("iframe")

    def shows(i):
        marks = [mark for mark in stepper._picture(i).marks if isinstance(mark, Text)]
        place = f"{i + 1} of 4 · show({i})"
        assert drawn(frame) == ([mark.text for mark in marks], stepper.caption(i), place)
        assert frame.locator("#back").is_disabled() == (i == 0)
        assert frame.locator("#next").is_disabled() == (i == 3)
        assert frame.locator("svg").get_attribute("aria-label") == stepper.caption(i)

    shows(0)
    frame.locator("#next").click()
    shows(1)
    frame.locator("#back").click()
    shows(0)
    frame.locator("#caption").press("End")
    shows(3)
    for key, i in (("ArrowLeft", 2), ("Home", 0), ("ArrowRight", 1)):
        page.keyboard.press(key)
        shows(i)
    frame.locator("#slider").fill("2")
    shows(2)


def test_the_page_fits_its_frame_and_is_as_dark_as_what_is_around_it(opened, tmp_path):
    html = f"<!DOCTYPE html><html data-theme='light'><body>{STEPPERS['LRN']().widget()._repr_html_()}"
    (tmp_path / "site.html").write_text(html, "utf-8")
    page = opened(tmp_path / "site.html", dark=True, wait="iframe")
    inside_page = page.frames[1]
    inside_page.wait_for_selector("svg")
    assert inside_page.evaluate("document.documentElement.scrollHeight <= innerHeight")
    paper = "getComputedStyle(document.body).backgroundColor"
    assert inside_page.evaluate(paper) == "rgb(255, 255, 255)"
    page.evaluate("document.documentElement.dataset.theme = 'dark'")
    inside_page.wait_for_function(f"{paper} === 'rgb(21, 24, 29)'")


def test_looking_inside_imports_neither_matplotlib_nor_numba_nor_ipywidgets():
    code = (
        "import sys; from tinyalex import inside; inside.Im2col([[1, 2], [3, 4]], 2).widget()._repr_html_();"
        "print([m for m in ('matplotlib', 'numba', 'ipywidgets') if m in sys.modules])"
    )
    run = subprocess.run([sys.executable, "-W", "error", "-c", code], capture_output=True, text=True, timeout=60)
    assert (run.stdout.strip(), run.stderr) == ("[]", "")


@pytest.mark.parametrize(
    "mistake",
    [
        lambda: inside.Im2col([1, 2, 3]),
        lambda: inside.Im2col([[1, 2], [3, 4]], 3),
        lambda: inside.Im2col([[1] * 12] * 12, 3),
        lambda: inside.Im2col([[1] * 6] * 6, 6, stride=0),
        lambda: inside.Col2im((5,)),
        lambda: inside.Col2im((5, 5), dpatches=[[1, 2], [3, 4]]),
        lambda: inside.MaxPoolGradient([1, 2, 3]),
        lambda: inside.MaxPoolGradient([[1] * 13] * 13),
        lambda: inside.MaxPoolGradient([[1] * 5] * 5, dy=[1, 2]),
        lambda: inside.LRNWindow([[1, 2]]),
        lambda: inside.LRNWindow([]),
        lambda: inside.LRNWindow([1] * 33),
        lambda: inside.LRNWindow([1, 2], dy=[1]),
        lambda: inside.LRNWindow([1, 2, 3], groups=2),
        lambda: inside.MomentumSteps([1, 2, 3]),
        lambda: inside.MomentumSteps(lambda w: w, steps=0),
        lambda: inside.MomentumSteps(lambda w: w, momentum=1),
        lambda: inside.ColumnExchange([1]),
        lambda: inside.ColumnExchange([[1] * 13] * 2),
        lambda: inside.ColumnExchange([[[1]], [[2]]]),
        lambda: inside.ColumnExchange([1, 2], dx=([1, 2], [1, 2, 3])),
    ],
)
def test_a_mistake_is_told_in_one_line(mistake):
    with pytest.raises(TinyAlexError) as caught:
        mistake()
    assert "\n" not in str(caught.value)
