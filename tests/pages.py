"""The pages of the documentation, as the tests read them: blocks of code and commands, links."""

import re
import shlex
from dataclasses import dataclass
from pathlib import Path

import nbformat
from markdown_it import MarkdownIt

import tinyalex

ROOT = Path(tinyalex.__file__).parents[1]
PAGES = [*sorted((ROOT / "docs").rglob("*.md")), ROOT / "README.md", ROOT / "CONTRIBUTING.md"]
NOTE = re.compile(r"<!-- (parsed only|fails): (.+) -->\n?")


@dataclass(frozen=True)
class Block:
    """A block of a page.

    kind: "python", "commands" (an indented block), or "text".   note: what a comment above it says: ("fails", why).
    """

    kind: str
    text: str
    line: int
    note: tuple[str, str] = ("", "")

    def commands(self):
        """Its commands, as lists of words: comments are left out, lines that end in a backslash go on."""
        lines = self.text.replace("\\\n", " ").splitlines()
        return [words for line in lines if (words := shlex.split(line, comments=True))]


def tokens(text):
    return MarkdownIt("commonmark").enable("table").parse(text)


def blocks(page):
    """The blocks of a page, but for the directives of the site."""
    note, found = ("", ""), []
    for token in tokens(page.read_text()):
        if token.type == "html_block" and (comment := NOTE.fullmatch(token.content)):
            note = (comment[1], comment[2])
        if token.type not in ("fence", "code_block"):
            continue
        kind = token.info or "commands"
        if not kind.startswith("{"):
            found.append(Block(kind, token.content, token.map[0] + 1, note))
        note = ("", "")
    return found


def links(text):
    """The targets of all links and pictures in a text."""
    inline = [child for token in tokens(text) for child in token.children or []]
    targets = [child.attrGet("href") or child.attrGet("src") for child in inline]
    targets = [target for target in targets if target]
    return [*targets, *re.findall(r"^:(?:link|img-top): (\S+)$", text, re.MULTILINE)]


def texts():
    """(file, Markdown) of every page and of every tutorial's text cells."""
    for page in PAGES:
        yield page, page.read_text()
    for notebook in sorted((ROOT / "notebooks").rglob("*.ipynb")):
        cells = nbformat.read(notebook, as_version=4).cells
        yield notebook, "\n\n".join(cell.source for cell in cells if cell.cell_type == "markdown")
