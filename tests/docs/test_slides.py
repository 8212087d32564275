"""The slides show cells that their tutorial has, and need no network. (tests/notebooks runs the tutorials.)"""

import re

import nbformat
import pytest

from pages import ROOT
from site_tools import slides

LECTURES = sorted(slides.TEXTS.glob("*.md"))


def notebook(source="1 < 2", **output):
    cell = nbformat.v4.new_code_cell(source, id="cell-01")
    cell.outputs = [nbformat.v4.new_output(**output)] if output else []
    return nbformat.v4.new_notebook(cells=[cell])


@pytest.mark.parametrize("file", LECTURES, ids=lambda file: file.stem)
def test_every_cell_on_a_slide_is_in_the_tutorial(file):
    text = file.read_text()
    [tutorial] = set(slides.TUTORIAL.findall(text))
    page = slides.slides(text, nbformat.read(ROOT / tutorial, as_version=4))
    assert page.count("<section>") == len(re.findall(r"^##? ", text, re.MULTILINE)) > 9
    assert page.count('<div class="highlight"') == len(re.findall(r"^\[.*code.*\]$", text, re.MULTILINE)) > 3
    assert not re.search(r"(src|href)=\"(https?:)?//|url\(|@import|\[cell-|\$\$", page)


def test_what_a_cell_prints_and_draws_is_shown():
    text = "# Title\n\n## One\n\n[cell-01: code, output]\n\nafter\n\n## Two\n\n[cell-01: output]\n"
    page = slides.slides(text, notebook("x = 1\n\ny = 2", output_type="stream", text="a < b\n\nc\n"))
    assert "<title>Title</title>" in page
    assert page.count("<pre>a &lt; b&#10;&#10;c</pre>") == 2
    assert page.count('<div class="highlight"') == 1
    assert "<p>after</p>" in page
    drawn = notebook(output_type="display_data", data={"image/png": "iVBO\n", "text/plain": "<Figure>"})
    page = slides.slides(text, drawn)
    assert page.count('src="data:image/png;base64,iVBO"') == 2
    assert "Figure" not in page


def test_a_cell_that_is_not_there_is_named():
    with pytest.raises(LookupError, match="the tutorial has no cell cell-02: it has cell-01"):
        slides.slides("# Title\n\n[cell-02: code]\n", notebook())
