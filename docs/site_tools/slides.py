"""The slides of a lecture, made from a tutorial: `make slides` writes them to build/slides.

docs/slides/NAME.md has the text. Each heading begins a slide. A line `[cell-09: code, output]` stands for the code and
the output of that cell, in the tutorial that the first slide links to: no number and no picture is copied by hand. A
page of slides is one file that needs no network, to be shown in a browser or printed, a slide on each page.
"""

import re
import sys
from html import escape
from pathlib import Path

import nbformat
from latex2mathml.converter import convert
from markdown_it import MarkdownIt
from mdit_py_plugins.dollarmath import dollarmath_plugin
from nbclient import NotebookClient
from nbformat import NotebookNode
from pygments import highlight
from pygments.formatters import HtmlFormatter
from pygments.lexers.python import PythonLexer

from site_tools.answers import FOLDER as ANSWERS
from site_tools.answers import answers, with_answers
from site_tools.links import DOCS, ROOT

TEXTS = DOCS / "slides"
PAGE = Path(__file__).with_suffix(".html")
CELL = re.compile(r"^\[([\w-]+): (code|output|code, output)\]$", re.MULTILINE)
TUTORIAL = re.compile(r"\]\(\.\./\.\./(notebooks/\w+\.ipynb)\)")


def slides(text: str, tutorial: NotebookNode) -> str:
    """The page of slides with this text. tutorial: the notebook that it shows cells of, after it was run.

    Raises LookupError for a cell that the tutorial does not have.
    """
    cells = {cell.id: cell for cell in tutorial.cells}
    markdown = MarkdownIt("commonmark").use(dollarmath_plugin, renderer=_formula)
    title, *_ = re.findall(r"^# (.+)$", text, re.MULTILINE)
    made = []
    for slide in re.split(r"^(?=##? )", text, flags=re.MULTILINE)[1:]:
        shown = CELL.sub(lambda named: _shown(cells, named[1], named[2]), TUTORIAL.sub("](../../\\1)", slide))
        made.append(f"<section>\n{markdown.render(shown)}</section>")
    return PAGE.read_text(encoding="utf-8").replace("{title}", escape(title)).replace("{slides}", "\n".join(made))


def _formula(latex: str, options: dict[str, bool]) -> str:
    return str(convert(latex, display="block" if options["display_mode"] else "inline"))


def _shown(cells: dict[str, NotebookNode], name: str, parts: str) -> str:
    """The code of a cell, its output, or both, as one line of HTML: an empty line would end it."""
    if name not in cells:
        raise LookupError(f"the tutorial has no cell {name}: it has {', '.join(cells)}")
    html = ""
    if "code" in parts:
        html += highlight(cells[name].source, PythonLexer(), HtmlFormatter(noclasses=True, style="default"))
    if "output" in parts:
        html += "".join(map(_output, cells[name].outputs))
    return html.strip().replace("\n", "&#10;")


def _output(output: NotebookNode) -> str:
    """What a cell has printed or drawn."""
    data = output.get("data", {})
    if "image/png" in data:
        return f'<img src="data:image/png;base64,{data["image/png"].strip()}" alt="">'
    return f"<pre>{escape(output.get('text') or data.get('text/plain', '')).rstrip()}</pre>"


def run(tutorial: Path) -> NotebookNode:
    """The tutorial with the answers of its tasks, after it was run."""
    notebook = nbformat.read(tutorial, as_version=4)
    if (ANSWERS / f"{tutorial.stem}.md").exists():
        notebook = with_answers(notebook, answers(tutorial.stem))
    NotebookClient(notebook, timeout=300, resources={"metadata": {"path": str(tutorial.parent)}}).execute()
    return notebook


def write(folder: Path) -> None:
    """Write the slides of every lecture."""
    folder.mkdir(parents=True, exist_ok=True)
    for file in sorted(TEXTS.glob("*.md")):
        text = file.read_text(encoding="utf-8")
        made = folder / f"{file.stem}.html"
        made.write_text(slides(text, run(ROOT / TUTORIAL.findall(text)[0])), encoding="utf-8")
        print(made)


if __name__ == "__main__":
    write(Path(sys.argv[1]))
