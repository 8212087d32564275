"""What all steppers share: steps and their pictures, the widget, what is imported when."""

import subprocess
import sys
from io import BytesIO

import pytest
from PIL import Image

from tinyalex import inside
from tinyalex.errors import TinyAlexError, UsageError

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
        assert texts[0] == f"step {i} of 0 ... {len(stepper) - 1}"
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


def test_widget_goes_back_and_forward_and_shows_the_picture_of_its_step(stepper):
    buttons, picture = stepper.widget().children
    back, slider, forward = buttons.children

    def shown():
        size = Image.open(BytesIO(picture.value)).size
        assert size[0] > 300
        return picture.value

    assert (slider.min, slider.max, slider.value) == (0, len(stepper) - 1, 0)
    assert (back.disabled, forward.disabled) == (True, False)
    first = shown()
    forward.click()
    assert slider.value == 1
    second = shown()
    assert second != first
    assert not back.disabled
    back.click()
    assert slider.value == 0
    assert shown() == first
    slider.value = slider.max
    assert shown() not in (first, second)
    assert (back.disabled, forward.disabled) == (False, True)


def test_the_widget_draws_the_picture_that_show_draws(monkeypatch):
    stepper = STEPPERS["col2im"]()
    asked = []
    show = stepper.show
    monkeypatch.setattr(stepper, "show", lambda i: asked.append(i) or show(i))
    buttons, _ = stepper.widget().children
    buttons.children[1].value = 7
    assert asked == [0, 0, 7]


def test_without_ipywidgets_the_message_says_what_to_do(monkeypatch):
    monkeypatch.setitem(sys.modules, "ipywidgets", None)
    with pytest.raises(UsageError, match=r"pip install ipywidgets"):
        STEPPERS["momentum"]().widget()


def test_looking_inside_imports_neither_matplotlib_nor_numba_nor_ipywidgets():
    code = (
        "import sys; from tinyalex import inside; inside.Im2col([[1, 2], [3, 4]], 2).caption(0);"
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
        lambda: inside.Col2im((5, 5), patches=[[1, 2], [3, 4]]),
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
