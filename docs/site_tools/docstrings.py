"""The project's docstrings, which are plain text, as the reStructuredText that autodoc expects.

A docstring has paragraphs, lists ("- ..."), formulas on lines of their own, and labelled parts: "Shapes: ...",
"dtype: ...", or the name of an argument. Several labelled parts may stand in one line, three spaces apart. Names of
code stand between single backticks.
"""

import re
from typing import Any

LABEL = re.compile(r"(?P<label>\w[\w, ]{0,40}):\s+(?P<text>\S.*)")
BESIDE = re.compile(r"(?<=[^\s:]) {3,}(?=\w[\w, ]{0,40}: )")  # where another labelled part stands in the same line
FORMULA = re.compile(r"[A-Za-z_]\w*(\[[^\]]*\])?(, \w+)? = \S")
ANY = re.compile(r"(: |^)(~?typing\.)?Any(?=[,)=]|$| =)")
NUMPY = r"~?(?:numpy\.)?"
ARRAY = re.compile(rf"{NUMPY}ndarray\[tuple\[[^\]]*\], {NUMPY}dtype\[{NUMPY}(\w+)(?:\[[^\]]*\])?\]\]")
SPECIAL = re.compile(r"([*_|\\<>])")


def process(app: Any, what: str, name: str, obj: Any, options: Any, lines: list[str]) -> None:
    """Sphinx calls this with the `lines` of each docstring, to be changed in place."""
    del app, what, name, obj, options
    lines[:] = as_rst(lines)


def process_signature(
    app: Any, what: str, name: str, obj: Any, options: Any, signature: str | None, returns: str | None
) -> tuple[str | None, str | None]:
    """Signatures with the annotations that a reader wants."""
    del app, what, name, obj, options
    return signature and _shorter(signature), (returns and _shorter(returns)) or None


def _shorter(annotated: str) -> str:
    """`ndarray[uint8]` for ndarray[tuple[Any, ...], dtype[uint8]], nothing for Any."""
    annotated = ARRAY.sub(r"ndarray[\1]", annotated)
    return ANY.sub("", annotated)


def as_rst(lines: list[str]) -> list[str]:
    """The lines of a docstring as lines of reStructuredText. The first line is never a labelled part."""
    first, *rest = "\n".join(lines).strip().split("\n\n")
    summary, *more = first.splitlines()
    rst = [*_paragraph(more, [summary]), ""]
    for paragraph in rest:
        lines = paragraph.splitlines()
        rst += [*(map(_escaped, lines) if paragraph.startswith("- ") else _paragraph(lines, [])), ""]
    return rst


def _paragraph(lines: list[str], text: list[str]) -> list[str]:
    """One paragraph: its text, which may have begun, a definition list of its labelled parts, and text after them."""
    parts: list[tuple[str, list[str]]] = []
    after: list[str] = []
    for line in lines:
        pieces = BESIDE.split(line.strip())
        if parts and line.startswith(" "):
            parts[-1][1].append(pieces.pop(0))
        for piece in pieces:
            if labelled := LABEL.fullmatch(piece):
                parts.append((labelled["label"], [labelled["text"]]))
            else:
                (after if parts else text).append(piece)
    rst = _flow(text)
    for label, said in parts:
        rst += ["", _escaped(label), *(f"   {line}" for line in _flow(said))]
    return [*rst, "", *_flow(after)]


def _flow(pieces: list[str]) -> list[str]:
    """Lines that run on, but for formulas, each of which keeps its line."""
    rst: list[str] = []
    for number, piece in enumerate(pieces):
        if FORMULA.match(piece) and len(pieces) > 1:
            rst += [*([""] if number else []), f"| {_escaped(piece)}", ""]
        else:
            rst.append(_escaped(piece))
    return rst


def _escaped(text: str) -> str:
    """Text in which nothing but backticks means anything: those become the double ones of code."""
    parts = text.split("`")
    if len(parts) % 2 == 0:  # a lone backtick is a character like others
        return SPECIAL.sub(r"\\\1", text).replace("`", "\\`")
    return "``".join(SPECIAL.sub(r"\\\1", part) if i % 2 == 0 else part for i, part in enumerate(parts))
