"""What moves on the site: the outputs of tutorials, as the site puts them in, in a browser."""

import json

import pytest
from docutils import nodes
from docutils.utils import new_document

from browser import opened  # noqa: F401, the fixture
from site_tools import recorded
from tinyalex import inside
from tinyalex.inside import stepper


def put_in(html, docname="tutorials/02_convolution"):
    document = new_document("page")
    document += nodes.raw("", html, format="html")
    recorded.put_in(None, document, docname)
    [node] = document.findall(nodes.raw)
    return node.astext()


@pytest.mark.parametrize(("docname", "page"), [("step", "pass.html"), ("tutorials/01", "../pass.html")])
def test_a_widget_that_needs_a_kernel_becomes_the_recorded_pass(docname, page):
    output = f'<script type="{recorded.WIDGET}">{json.dumps({"model_id": "1"})}</script>'
    assert f'<iframe class="pass" src="{page}" title=' in put_in(output, docname)
    assert "<script" not in put_in(output, docname)


def test_other_outputs_stay():
    assert put_in("<p>0.5</p>") == "<p>0.5</p>"


def test_a_stepper_of_a_tutorial_moves_with_the_script_of_the_site(opened, tmp_path):  # noqa: F811
    steps = inside.LRNWindow([1, 2, 3])
    html = put_in(steps.widget()._repr_html_())
    assert "function" not in html
    for folder in ("tutorials", "_static"):
        (tmp_path / folder).mkdir()
    (tmp_path / recorded.STEPPER).write_text(stepper.script(), "utf-8")
    (tmp_path / "tutorials" / "04.html").write_text("<!DOCTYPE html>" + html, "utf-8")
    frame = opened(tmp_path / "tutorials" / "04.html", wait="iframe").frame_locator("iframe")
    frame.locator("#next").click()
    assert frame.locator("#count").inner_text() == "2 of 3 · show(1)"
    assert frame.locator("#caption").inner_text() == steps.caption(1)
