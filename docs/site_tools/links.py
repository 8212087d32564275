"""Where the links of a page lead, on a code host and on the site.

The pages and the tutorials name files by relative paths, so that their links work wherever the files are browsed:
`[im2col](../tinyalex/layers/conv.py#im2col)` leads to the file. On the site it leads to the line where im2col begins.
"""

import ast
import re
from functools import cache
from pathlib import Path

DOCS = Path(__file__).resolve().parents[1]
ROOT = DOCS.parent
SCHEME = "source:/"  # what begins the address of a file of the project, until the page's own place is known
ELSEWHERE = re.compile(r"[a-z]+:|#|$")
LINK = re.compile(r"\]\(([^()\s]+)\)")
NOT_PAGES = {".py", ""}


def on_site(text: str, page: Path) -> str:
    """The text of `page` with links that hold on the site."""
    return LINK.sub(lambda match: f"]({site_link(match[1], page)})", text)


def site_link(target: str, page: Path) -> str:
    """A link of `page`: to a page or a picture in docs/ as a path from there, to any other file as SCHEME + path."""
    if ELSEWHERE.match(target):
        return target
    path, hash_, fragment = target.partition("#")
    file = (page.resolve().parent / path).resolve()
    if file.is_relative_to(DOCS) and file.suffix not in NOT_PAGES:
        return f"/{file.relative_to(DOCS)}{hash_}{fragment}"
    if file.is_relative_to(ROOT):
        return f"{SCHEME}{file.relative_to(ROOT)}{hash_}{fragment}"
    return target


def line_of(file: Path, name: str) -> int:
    """The line where `name` begins in a Python file: a function, a class, a constant, or a method as "Class.method".

    Raises LookupError where there is none.
    """
    lines = _lines(file)
    if name not in lines:
        raise LookupError(f"{file} has no {name}")
    return lines[name]


@cache
def _lines(file: Path) -> dict[str, int]:
    found: dict[str, int] = {}
    _collect(ast.parse(file.read_text(encoding="utf-8")).body, "", found)
    return found


def _collect(body: list[ast.stmt], prefix: str, found: dict[str, int]) -> None:
    for node in body:
        match node:
            case ast.FunctionDef(name=name):
                found[prefix + name] = node.lineno
            case ast.ClassDef(name=name):
                found[prefix + name] = node.lineno
                _collect(node.body, f"{prefix}{name}.", found)
            case ast.Assign(targets=[ast.Name(id=name)]) | ast.AnnAssign(target=ast.Name(id=name)):
                found[prefix + name] = node.lineno
            case _:
                pass
