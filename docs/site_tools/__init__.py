"""What the site needs beside Sphinx: links to lines of the source, pages that show it, docstrings that read well."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from sphinx.application import Sphinx


def setup(app: Sphinx) -> dict[str, bool]:
    """Sphinx calls this once."""
    # Imported here, so that site_tools.rooms can draw a package that does not import.
    from site_tools import answers, docstrings, excerpts, recorded, sources, tutorials
    from site_tools.commands import Commands

    app.add_directive("commands", Commands)
    app.connect("config-inited", tutorials.copy)
    app.connect("source-read", sources.rewrite_links)
    app.connect("source-read", answers.put_in)
    app.connect("doctree-read", sources.link_signatures)
    app.connect("doctree-resolved", sources.resolve_links)
    app.connect("doctree-resolved", recorded.put_in)
    app.connect("html-collect-pages", sources.pages)
    app.connect("autodoc-process-docstring", docstrings.process)
    app.connect("autodoc-process-signature", docstrings.process_signature)
    app.connect("html-page-context", excerpts.load)
    app.connect("build-finished", excerpts.write)
    app.connect("build-finished", recorded.write)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
