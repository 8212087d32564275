"""Excerpts on the search page of a site that is read without a server.

The search page shows a few words of each page that it finds, and fetches that page for them. A page opened as a file
may not fetch another one. So the texts of all pages are written into one script, and the search page takes them there.
"""

import json
from html import escape
from pathlib import Path

from docutils import nodes
from sphinx.application import Sphinx

TEXTS = "_static/texts.js"
SEARCH_PAGE = "search"
# Sphinx's search asks fetch for a page's address, then looks in its main part for the section that it has found.
SCRIPT = """\
// Written when the site is built. Opened as files, pages may not fetch each other: what the search asks for is here.
const TEXTS = %s;
if (location.protocol === "file:") {
  const root = new URL(document.documentElement.dataset.content_root, location.href).href;
  window.fetch = async (address) => {
    const name = new URL(address, location.href).href.replace(root, "").replace(/\\.html$/, "");
    return new Response(`<div role="main">${TEXTS[name] ?? ""}</div>`);
  };
}
"""


def load(app: Sphinx, pagename: str, *_: object) -> None:
    """When a page is written: the search page loads the texts."""
    if pagename == SEARCH_PAGE:
        app.add_js_file("texts.js")


def write(app: Sphinx, error: Exception | None) -> None:
    """Write the texts of all pages, once the site is built."""
    if error is None and app.builder.format == "html":
        texts = {name: "".join(map(_sections, app.env.get_doctree(name).children)) for name in app.env.found_docs}
        (Path(app.outdir) / TEXTS).write_text(SCRIPT % json.dumps(texts), encoding="utf-8")


def _sections(node: nodes.Node) -> str:
    """The text of a part of a page as HTML that has its sections and their addresses, and no more."""
    if not isinstance(node, nodes.section):
        return f"{escape(node.astext())}\n"
    text = "".join(map(_sections, node.children))
    for address in node["ids"]:
        text = f'<section id="{escape(address)}">{text}</section>'
    return text
