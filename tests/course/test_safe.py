"""Nothing that a student writes or displays can run, reach the network, or break out of its place on a page."""

import base64
import xml.etree.ElementTree as ElementTree

import pytest
from bs4 import BeautifulSoup
from nbconvert.exporters import HTMLExporter
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook, new_output, new_raw_cell
from traitlets.config.loader import PyFileConfigLoader

from course.sources import ASSIGNMENTS, SOURCE, source
from tinyalex.course.pages import safe

DANGEROUS = [
    "<script>alert(1)</script>",
    "<img src=x onerror=alert(1)>",
    "<img src='https://example.org/seen.png'>",
    "![seen](https://example.org/seen.png)",
    "<iframe src='javascript:alert(1)'></iframe>",
    "<iframe srcdoc='<script>alert(1)</script>'></iframe>",
    "<object data='https://example.org'></object><embed src='https://example.org'>",
    "<style>main { display: none }</style>",
    "<p style='position: fixed; inset: 0'>100 of 100</p>",
    "<link rel=stylesheet href='https://example.org/a.css'>",
    "<meta http-equiv=refresh content='0; url=https://example.org'>",
    "<base href='https://example.org'>",
    "<form action='https://example.org'><input name=q></form>",
    "<a href='javascript:alert(1)'>here</a>",
    "<a href=' &#106;avascript:alert(1)'>here</a>",
    "[here](javascript:alert(1))",
    "[here](data:text/html;base64,PHNjcmlwdD4=)",
    "<svg onload=alert(1)><script>alert(1)</script></svg>",
    "<svg><a xlink:href='javascript:alert(1)'><text>here</text></a></svg>",
    "<details open ontoggle=alert(1)>x</details>",
    "<div onclick=alert(1) id=top class=graded>x</div>",
    "</section></main></body></html><h1>100 of 100</h1>",
    "<!-- <script>alert(1)</script> --><![CDATA[<script>alert(1)</script>]]>",
    "<noscript><p title='</noscript><img src=x onerror=alert(1)>'></noscript>",
    "<math><mtext><table><mglyph><style><!--</style><img title='--&gt;&lt;img src=1 onerror=alert(1)&gt;'></math>",
    r"$\text{<script>alert(1)</script>}$",
    r"$\href{javascript:alert(1)}{x}$",
    r"$$\style{position:fixed}{\class{graded}{x}}$$",
    r"\begin{x}<script>alert(1)</script>\end{x}",
    "```html\n<script>alert(1)</script>\n```",
    "```mermaid\n<script>alert(1)</script>\n```",
    "```<script>alert(1)</script>\nx\n```",
]
ACTIVE = "script iframe object embed style link meta base form input svg details template noscript body html main"


def assert_inert(html):
    page = BeautifulSoup(f"<section>{html}</section><p id=after></p>", "html.parser")
    assert not page.find_all(ACTIVE.split())
    for element in page.section.find_all(True):
        for name, value in element.attrs.items():
            assert not name.startswith("on")
            assert name not in ("style", "id", "name", "srcdoc", "action")
            assert name != "href" or value.startswith(("https://", "http://", "mailto:"))
            assert name != "src" or value.startswith("data:image/")
            assert name != "class" or "graded" not in value
    assert page.find(id="after").parent is page, "it has broken out of its place"


@pytest.mark.parametrize("text", DANGEROUS)
def test_text_is_inert(text):
    assert_inert(safe.rendered(text))
    assert_inert(safe.clean(text))


@pytest.mark.parametrize("kind", ["text/html", "text/markdown", "text/latex"])
@pytest.mark.parametrize("text", DANGEROUS)
def test_what_a_cell_displays_is_inert(kind, text):
    assert_inert(shown({kind: text})["text/html"])


def shown(data):
    cell = new_code_cell(outputs=[new_output("display_data", data=data, metadata={"text/html": {"isolated": True}})])
    notebook, _ = safe.Inert().preprocess(new_notebook(cells=[cell]), {})
    output = notebook.cells[0].outputs[0]
    assert output.metadata == {}
    return output["data"]


def test_formgrader_shows_cleaned_cells_too():
    """Its pages have scripts of their own, and are made with the settings of the course."""
    settings = PyFileConfigLoader("nbgrader_config.py", path=str(SOURCE.parent)).load_config()
    text, output = "<script>alert(1)</script>", new_output("display_data", data={"text/html": DANGEROUS[0]})
    notebook = new_notebook(cells=[new_markdown_cell(text), new_code_cell(outputs=[output])])
    page = BeautifulSoup(
        HTMLExporter(config=settings, template_name="classic").from_notebook_node(notebook)[0], "html.parser"
    )
    assert page.text.count(text) == 2
    assert not any("alert(1)" in script.text for script in page("script"))


def test_other_forms_of_an_output():
    png = base64.b64encode(b"a picture").decode()
    assert shown({"image/png": png + "\n", "text/plain": "<Figure>"}) == {"image/png": png, "text/plain": "<Figure>"}
    assert shown({"image/png": '"><script>alert(1)</script>', "application/javascript": "alert(1)"}) == {}
    assert shown({"application/vnd.jupyter.widget-view+json": {"model_id": "1"}}) == {}
    drawing = shown({"image/svg+xml": "<svg onload='alert(1)'></svg>"})["text/html"]
    assert drawing.startswith('<img alt="a drawing" src="data:image/svg+xml;base64,')
    assert len(shown({"text/html": "a" * 10**6})["text/html"]) == safe.LONGEST


def test_ordinary_text_stays():
    html = safe.rendered("a < b, **bold**, [a link](https://example.org), `x < y`\n\n| a |\n|---|\n| 1 |\n")
    for part in (
        "a &lt; b",
        "<strong>bold</strong>",
        '<a href="https://example.org">',
        "<code>x &lt; y</code>",
        "<td>",
    ):
        assert part in html
    assert '<span class="k">def</span>' in safe.rendered("```python\ndef f(): pass\n```")


def formulas():
    texts = [cell.source for name in ASSIGNMENTS for cell in source(name).cells if cell.cell_type == "markdown"]
    return [html for html in map(safe.rendered, texts) if "<math" in html]


def test_every_formula_of_the_assignments_becomes_mathml():
    found = [math for html in formulas() for math in BeautifulSoup(html, "html.parser").find_all("math")]
    assert len(found) > 40
    for math in found:
        ElementTree.fromstring(str(math))
        assert "\\" not in math.text
        assert "&" not in math.text


def test_what_is_no_formula_stays_as_typed():
    assert safe.rendered(r"$\left( a$") == "<p><code>\\left( a</code></p>\n"


def test_a_raw_cell_is_shown_without_html():
    notebook = new_notebook(cells=[new_raw_cell("<script>alert(1)</script>")])
    assert "<script" not in safe.Inert().preprocess(notebook, {})[0].cells[0].source
