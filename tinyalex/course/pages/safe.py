"""Text of students as HTML that cannot do anything: no scripts, no styles, nothing from the network.

A notebook may print or display any HTML. On a page of feedback it is text and pictures only: what is not on the lists
below is shown as it was typed. Formulas become MathML, which browsers draw without a script.
"""

import base64
import binascii
import re
from html import escape
from typing import Any
from urllib.parse import urlsplit

import bleach
from latex2mathml.converter import convert
from nbconvert.filters.markdown_mistune import IPythonRenderer, MarkdownWithMath
from nbconvert.preprocessors import Preprocessor

TEXT = (
    "a abbr b blockquote br caption code dd del div dl dt em h1 h2 h3 h4 h5 h6 hr i img li ol p pre s small span strong"
)
TABLES = "sub sup table tbody td tfoot th thead tr u ul"
FORMULAS = (
    "math menclose mfrac mi mn mo mover mpadded mphantom mroot mrow mspace msqrt mstyle msub msubsup msup mtable mtd "
    "mtext mtr munder munderover"
)
TAGS = frozenset(f"{TEXT} {TABLES} {FORMULAS}".split())
OF_TEXT = "alt title width height colspan rowspan start scope"
OF_FORMULAS = (
    "accent columnalign display displaystyle fence form height largeop linebreak linethickness lspace mathvariant "
    "maxsize minsize movablelimits notation rspace scriptlevel separator stretchy symmetric width"
)
COLOURS = re.compile(r"[a-z]{1,3}\d?|highlight|hl-\w+")  # the classes of coloured code
PICTURES = ("image/png", "image/jpeg", "image/gif")
LONGEST = 100_000  # characters of a displayed HTML text


def clean(html: str) -> str:
    """The HTML with allowed elements and attributes only; all others are shown as text, unclosed ones are closed."""
    return str(
        bleach.clean(
            html, tags=TAGS, attributes=_is_allowed, protocols={"http", "https", "mailto", "data"}, strip=False
        )
    )


def _is_allowed(tag: str, name: str, value: str) -> bool:
    """Whether an element may have an attribute. Pictures lie in the page: others would be read from the network."""
    if tag == "img" and name == "src":
        return value.startswith(tuple(f"data:{kind};base64," for kind in (*PICTURES, "image/svg+xml")))
    if tag == "a" and name == "href":
        return urlsplit(value.strip()).scheme in ("http", "https", "mailto")
    if name == "class":
        return all(COLOURS.fullmatch(one) for one in value.split())
    return name in (OF_FORMULAS if tag in FORMULAS.split() else OF_TEXT).split()


def formula(latex: str, display: str = "inline") -> str:
    """A formula as MathML, or as it was typed if it is not one. display: "inline" or "block". Clean it afterwards."""
    try:
        return convert(latex, display=display)
    except Exception:  # the library raises its own errors and Python's for what is not LaTeX
        return f"<code>{escape(latex)}</code>"


def rendered(markdown: str) -> str:
    """A text in Markdown, with formulas, as clean HTML."""
    return clean(MarkdownWithMath(renderer=_Renderer(escape=False, exclude_anchor_links=True)).render(markdown))


class Inert(Preprocessor):
    """Leaves of the outputs of a notebook only text, pictures and clean HTML."""

    def preprocess_cell(self, cell: Any, resources: Any, index: int) -> Any:  # noqa: ARG002
        """The cell with such outputs only; a raw cell, which pages show as it is, without HTML."""
        if cell.cell_type == "raw":
            cell.source = clean(cell.source)
        for output in cell.get("outputs", []):
            if "data" in output:
                output["data"], output["metadata"] = _inert(output["data"]), {}
        return cell, resources


def _inert(data: dict[str, Any]) -> dict[str, Any]:
    """The forms of an output that a page may show."""
    kept = {"text/plain": str(data["text/plain"])} if "text/plain" in data else {}
    for kind in PICTURES:
        if kind in data and _is_base64(data[kind]):
            kept[kind] = data[kind].strip()
    if "image/svg+xml" in data:  # as a file of its own, whose scripts do not run
        picture = base64.b64encode(str(data["image/svg+xml"]).encode()).decode()
        kept["text/html"] = clean(f'<img alt="a drawing" src="data:image/svg+xml;base64,{picture}">')
    if "text/latex" in data:
        kept["text/html"] = rendered(str(data["text/latex"])[:LONGEST])
    if "text/markdown" in data:
        kept["text/html"] = rendered(str(data["text/markdown"])[:LONGEST])
    if "text/html" in data:
        kept["text/html"] = clean(str(data["text/html"])[:LONGEST])
    return kept


def _is_base64(text: Any) -> bool:
    try:
        return bool(base64.b64decode(str(text).replace("\n", ""), validate=True))
    except (binascii.Error, ValueError):
        return False


class _Renderer(IPythonRenderer):
    """Markdown to HTML, with formulas as MathML."""

    def block_math(self, body: str) -> str:
        return formula(body, "block")

    def inline_math(self, body: str) -> str:
        return formula(body)

    def latex_environment(self, name: str, body: str) -> str:
        return formula(rf"\begin{{{name}}}{body}\end{{{name}}}", "block")

    def _embed_image_or_attachment(self, src: str) -> str:
        return str(src)  # no files of the machine that marks
