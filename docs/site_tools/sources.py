"""The project's source on the site: a page for each file, its lines numbered, and links to these lines.

Line numbers are looked up when the site is built, so they cannot go stale.
"""

import ast
import importlib
import re
from collections.abc import Iterator
from html import escape
from pathlib import Path
from typing import Any

from docutils import nodes
from pygments import highlight
from pygments.formatters import HtmlFormatter
from pygments.lexers import PythonLexer, TextLexer
from pygments.lexers.configs import TOMLLexer
from pygments.lexers.make import MakefileLexer
from sphinx import addnodes
from sphinx.application import Sphinx
from sphinx.util import logging

from site_tools.links import DOCS, LINK, ROOT, SCHEME, line_of, on_site, site_link
from site_tools.tutorials import original

LEXERS = {".py": PythonLexer, ".toml": TOMLLexer, "": MakefileLexer}
log = logging.getLogger(__name__)


def rewrite_links(app: Sphinx, docname: str, content: list[str]) -> None:
    """When a page has been read: its links, for the site."""
    content[0] = on_site(content[0], original(Path(app.env.doc2path(docname))))


def page_of(path: str) -> str:
    """The name of the page that shows a file or folder, or that a tutorial has become."""
    tutorial = re.fullmatch(r"notebooks/(\w+)\.ipynb", path)
    return f"tutorials/{tutorial[1]}" if tutorial else f"source/{path}"


# ---------------------------------------------------------------- links to lines


def link_signatures(app: Sphinx, doctree: nodes.document) -> None:
    """Every signature of the reference gets a link to its source."""
    del app
    for signature in doctree.findall(addnodes.desc_signature):
        name = signature.get("fullname") or ""
        file = _place(signature["module"], name) if signature.get("module") else None
        if file is not None:
            address = f"{SCHEME}{file.relative_to(ROOT)}#{name}"
            signature += nodes.reference("", "source", refuri=address, internal=False, classes=["to-source"])


def _place(module: str, name: str) -> Path | None:
    """The file in which `name` of `module` is written; None for what has no line of its own there."""
    exported = getattr(importlib.import_module(module), name.partition(".")[0], None)
    home = importlib.import_module(getattr(exported, "__module__", module))
    file = Path(str(home.__file__)).resolve()
    try:
        line_of(file, name)
    except LookupError:
        return None
    return file


def resolve_links(app: Sphinx, doctree: nodes.document, docname: str) -> None:
    """Links to files become links to their pages; one to a name in a file goes to its line, and tells it."""
    for link in list(doctree.findall(nodes.reference)):
        if not link.get("refuri", "").startswith(SCHEME):
            continue
        path, _, name = link["refuri"].removeprefix(SCHEME).partition("#")
        link["refuri"] = app.builder.get_relative_uri(docname, page_of(path))
        link["internal"] = True
        if not path.endswith(".py") or not name:
            link["refuri"] += f"#{name}" if name else ""
            continue
        try:
            line = line_of(ROOT / path, name)
        except LookupError as error:
            log.warning("%s", error, location=link)
            continue
        link["refuri"] += f"#L-{line}"
        if "to-source" not in link["classes"]:
            place = nodes.inline("", f" {path.removeprefix('tinyalex/')}:{line}", classes=["place"])
            link.parent.insert(link.parent.index(link) + 1, place)


# ---------------------------------------------------------------- pages that show files


def pages(app: Sphinx) -> Iterator[tuple[str, dict[str, Any], str]]:
    """A page for each module of the package, for each other file that a page links to, and for their folders."""
    shown = _shown()
    for path in sorted(shown):
        body = _listing(app, path, shown) if (ROOT / path).is_dir() else _text(ROOT / path)
        title = f"{path}/" if (ROOT / path).is_dir() else str(path)
        yield page_of(str(path)), {"title": title, "body": f"<h1>{escape(title)}</h1>\n{body}"}, "page.html"


def _shown() -> set[Path]:
    """The paths, from the top of the project, of the files and folders that have a page."""
    shown = {file.relative_to(ROOT) for file in (ROOT / "tinyalex").rglob("*.py")}
    for page in [*DOCS.rglob("*.md"), *(ROOT / "notebooks").glob("*.ipynb")]:
        for target in LINK.findall(page.read_text(encoding="utf-8")):
            address = site_link(target, page)
            if address.startswith(SCHEME) and not page_of(address.removeprefix(SCHEME)).startswith("tutorials/"):
                shown.add(Path(address.removeprefix(SCHEME).partition("#")[0]))
    for folder in [path for path in shown if (ROOT / path).is_dir()]:
        shown |= {file.relative_to(ROOT) for file in (ROOT / folder).glob("*.py")}
    return shown


def _text(file: Path) -> str:
    """The text of a file, coloured, with an anchor L-34 at line 34."""
    formatter = HtmlFormatter(linenos="inline", linespans="L", anchorlinenos=True, wrapcode=True)
    lexer = LEXERS.get(file.suffix, TextLexer)()
    return f'<div class="highlight source-file">{highlight(file.read_text(encoding="utf-8"), lexer, formatter)}</div>'


def _listing(app: Sphinx, folder: Path, shown: set[Path]) -> str:
    """What is in a folder; a Python file with the first line of its docstring."""
    rows = []
    for file in sorted(path for path in (ROOT / folder).iterdir() if path.name[0] not in "._" or path.suffix == ".py"):
        path = file.relative_to(ROOT)
        name, text = f"{file.name}/" if file.is_dir() else file.name, _first_line(file) if file.suffix == ".py" else ""
        if path in shown:
            address = app.builder.get_relative_uri(page_of(str(folder)), page_of(str(path)))
            name = f'<a href="{address}">{name}</a>'
        rows.append(f"<tr><td>{name}</td><td>{escape(text)}</td></tr>")
    return f'<table class="table"><tbody>{"".join(rows)}</tbody></table>'


def _first_line(file: Path) -> str:
    return (ast.get_docstring(ast.parse(file.read_text(encoding="utf-8"))) or "").partition("\n")[0]
