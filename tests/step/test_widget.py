"""The widget, driven by its traits: what is pressed, dragged or clicked is what is drawn; and its map in a browser."""

import base64
import importlib
import io
import json
import sys

import numpy as np
import pytest
from PIL import Image

from tinyalex import AlexNet, record
from tinyalex.step import receptive_field
from tinyalex.step.look import look

pytest.importorskip("anywidget", reason="anywidget is not installed")
from tinyalex.step.widget import ClickableMap, PassWidget


@pytest.fixture
def widget(small_pass):
    return PassWidget(small_pass)


def test_it_opens_with_the_first_step(widget, small_pass):
    at = look(small_pass, "conv1")
    assert (widget.at.right, widget.at.cell) == (at.right, at.cell)
    assert widget.map.size == [16, 16]
    assert widget.map.cell == list(at.cell)
    assert "conv1 forward" in widget.name.value
    assert Image.open(io.BytesIO(widget.figure.value)).width == 935


def test_buttons_and_slider(widget, small_pass):
    assert (widget.back.description, widget.next.description) == ("◀ back", "next ▶")
    widget.next.click()
    assert widget.step.value == 1
    assert widget.count.value == f"2 of {len(small_pass)}"
    assert "relu1 forward" in widget.name.value
    widget.back.click()
    widget.back.click()
    assert widget.step.value == 0
    widget.step.value = len(small_pass) - 1
    assert "conv1 backward" in widget.name.value
    assert widget.map.size == [16, 16]
    assert (widget.channel.min, widget.channel.max, widget.of.value) == (1, 3, "of 3")
    widget.next.click()
    assert widget.step.value == len(small_pass) - 1
    assert (widget.back.disabled, widget.next.disabled) == (False, True)


def test_a_click_on_the_map(widget, small_pass):
    channel = widget.channel.value
    before = widget.figure.value
    widget.map.cell = [3, 11]
    assert widget.at.cell == (3, 11)
    assert widget.channel.value == widget.at.right + 1 == channel
    assert widget.at.receptive_field() == receptive_field(small_pass.rows, "conv1", (3, 11))
    assert widget.figure.value != before


def test_another_map_keeps_the_cell(widget):
    widget.map.cell = [5, 6]
    widget.channel.value = 10  # counted from 1
    assert (widget.at.right, widget.at.cell) == (9, (5, 6))
    assert widget.map.cell == [5, 6]


def test_units_on_a_grid(widget, small_pass):
    widget.step.value = small_pass.names.index("fc6")
    assert widget.map.size == [23, 23]
    assert widget.channel.description == "unit"
    widget.map.cell = [2, 5]
    assert widget.at.right == widget.channel.value - 1 == 2 * 23 + 5
    widget.map.cell = [22, 22]  # the grid is not full: the last unit
    assert widget.channel.value == 512
    assert widget.map.cell == [22, 5]
    widget.channel.value = 25
    assert widget.map.cell == [1, 1]


def test_steps_of_every_shape(widget, small_pass):
    for name in ("flatten", "fc8", "loss"):
        widget.step.value = small_pass.names.index(name)
        assert f"{name} forward" in widget.name.value
        assert widget.at.step is small_pass[name].forward


def test_the_map_is_a_picture_of_the_numbers(widget, small_pass):
    picture = np.asarray(Image.open(io.BytesIO(base64.b64decode(widget.map.picture.partition(",")[2])))).astype(int)
    y = small_pass["conv1"].forward.y[0, widget.channel.value - 1]
    assert picture.shape == (16, 16, 3)
    strong = np.abs(y) > 0.2 * np.abs(y).max()
    bluer = picture[..., 2] > picture[..., 0]
    np.testing.assert_array_equal(bluer[strong], (y > 0)[strong])


def test_a_page_without_a_kernel_shows_the_figure(widget):
    bundle = widget._repr_mimebundle_()
    assert base64.b64decode(bundle["image/png"]) == widget.figure.value
    assert "application/vnd.jupyter.widget-view+json" in bundle


def test_a_pass_with_hardly_any_gradient_says_so_on_the_way_back():
    net = AlexNet("mini", num_classes=3, input_size=16)
    net.params["fc8.b"] = np.array([0, 3, 25], "float32")
    widget = PassWidget(record(net, np.zeros((1, 3, 16, 16), "float32"), [2], classes=("ring", "star", "<heart>")))
    assert "sure of the label" not in widget.name.value
    widget.step.value = len(widget.recording) - 1
    assert "sure of the label “&lt;heart&gt;”" in widget.name.value
    assert "“star”" in widget.name.value


def test_without_the_libraries_it_says_what_to_do(monkeypatch):
    monkeypatch.setitem(sys.modules, "anywidget", None)
    monkeypatch.delitem(sys.modules, "tinyalex.step.widget")
    expected = r"the widget needs anywidget: pip install ipywidgets anywidget; or use tinyalex.step.show"
    with pytest.raises(ImportError, match=expected):
        importlib.import_module("tinyalex.step.widget")


HOST = """<!DOCTYPE html><meta charset="utf-8"><link rel="icon" href="data:,"><body><script type="module">
const source = SOURCE;
const state = {size: [4, 8], cell: [1, 2], picture: "data:image/gif;base64,R0lGODlhAQABAAAAACwAAAAAAQABAAA=",
  label: "conv1"};
const listeners = {};
window.state = state; window.saved = 0;
window.put = (name, value) => { state[name] = value; (listeners[`change:${name}`] ?? []).forEach((call) => call()); };
const model = {get: (name) => state[name], set: window.put, save_changes: () => { window.saved += 1; },
  on: (event, call) => { (listeners[event] ??= []).push(call); }};
const {default: widget} = await import(URL.createObjectURL(new Blob([source], {type: "text/javascript"})));
widget.render({model, el: document.body});
</script>"""


def test_the_map_in_a_browser(opened, tmp_path):
    """anywidget's side of it, with a model that does what a notebook's does."""
    (tmp_path / "host.html").write_text(HOST.replace("SOURCE", json.dumps(ClickableMap._esm)), "utf-8")
    page = opened(tmp_path / "host.html", wait="rect")
    frame = page.locator("[role=application]")
    box = frame.bounding_box()
    assert box["width"] == pytest.approx(2 * box["height"])
    frame.click(position={"x": 6.5 * box["width"] / 8, "y": 3.5 * box["height"] / 4})
    assert page.evaluate("state.cell") == [3, 6]
    for key, cell in (("ArrowUp", [2, 6]), ("ArrowRight", [2, 7]), ("ArrowRight", [2, 7]), ("ArrowDown", [3, 7])):
        frame.press(key)
        assert page.evaluate("state.cell") == cell
    assert page.evaluate("saved") == 5
    page.evaluate("put('cell', [0, 5])")
    assert (page.locator("rect").get_attribute("y"), page.locator("rect").get_attribute("x")) == ("0", "5")
    page.evaluate("put('size', [2, 2])")
    assert page.locator("svg").get_attribute("viewBox") == "0 0 2 2"
