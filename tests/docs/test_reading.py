"""The reading path of docs/reading.md is as short as it says."""

import ast
import io
import re
import tokenize

from pages import ROOT
from tinyalex import AlexNet
from tinyalex.layers import Layer

PAGE = (ROOT / "docs" / "reading.md").read_text()
ROWS = re.findall(r"^\| \[.+?\]\(\.\./(tinyalex/\S+\.py)\) \|.*\| (\d+) \|$", PAGE, re.MULTILINE)
LAYOUT = {tokenize.COMMENT, tokenize.NL, tokenize.NEWLINE, tokenize.INDENT, tokenize.DEDENT, tokenize.ENDMARKER}


def code_lines(text):
    """How many lines of a module hold code: no docstrings, no comments, no blank lines."""
    docstrings = set()
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef) and ast.get_docstring(node) is not None:
            docstrings |= set(range(node.body[0].lineno, node.body[0].end_lineno + 1))
    lines = set()
    for token in tokenize.generate_tokens(io.StringIO(text).readline):
        if token.type not in LAYOUT:
            lines |= set(range(token.start[0], token.end[0] + 1))
    return len(lines - docstrings)


def test_code_lines():
    assert (
        code_lines('"""Doc\nstring."""\n\nx = """a\nb"""  # why\n# why\n\n\ndef f():\n    """Doc."""\n    return x\n')
        == 4
    )


def test_the_path_is_short():
    assert len(ROWS) > 10
    counted = {file: code_lines((ROOT / file).read_text()) for file, _ in ROWS}
    assert sum(counted.values()) <= 1200, counted


def test_the_path_takes_as_long_as_it_says():
    assert f"about {sum(int(minutes) for _, minutes in ROWS)} minutes" in PAGE


def test_the_home_page_counts_its_files():
    assert f"{len(ROWS)} files in order" in (ROOT / "docs" / "index.md").read_text()


def test_every_layer_of_the_paper_is_on_the_path():
    """And what a layer is; a kind that the paper does without needs no line."""
    net = AlexNet("paper")
    kinds = {Layer, *map(type, [*net.layers.values(), net.criterion])}
    files = {kind.__module__.replace(".", "/") + ".py" for kind in kinds}
    assert files <= {file for file, _ in ROWS}
