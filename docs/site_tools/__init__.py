"""What the site needs beside Sphinx: links to lines of the source, pages that show it, docstrings that read well."""

from sphinx.application import Sphinx

from site_tools import docstrings, recorded, sources
from site_tools.commands import Commands


def setup(app: Sphinx) -> dict[str, bool]:
    """Sphinx calls this once."""
    app.add_directive("commands", Commands)
    app.connect("source-read", sources.rewrite_links)
    app.connect("doctree-read", sources.link_signatures)
    app.connect("doctree-resolved", sources.resolve_links)
    app.connect("html-collect-pages", sources.pages)
    app.connect("autodoc-process-docstring", docstrings.process)
    app.connect("autodoc-process-signature", docstrings.process_signature)
    app.connect("build-finished", recorded.write)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
