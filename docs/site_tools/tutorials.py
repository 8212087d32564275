"""The tutorials among the pages, where Sphinx looks for them.

They are copied, as a symbolic link would be a plain text file in a clone on Windows.
"""

import shutil
from pathlib import Path

from sphinx.application import Sphinx
from sphinx.config import Config

from site_tools.links import DOCS, ROOT

NOTEBOOKS, COPIES = ROOT / "notebooks", DOCS / "tutorials"


def copy(app: Sphinx, config: Config) -> None:
    """Before the site is built: make docs/tutorials what notebooks/ is now, with the files' times of change."""
    del app, config
    COPIES.mkdir(exist_ok=True)
    notebooks = {path.name: path for path in NOTEBOOKS.glob("*.ipynb")}
    for old in COPIES.glob("*.ipynb"):
        if old.name not in notebooks:
            old.unlink()
    for name, notebook in notebooks.items():
        shutil.copy2(notebook, COPIES / name)


def original(page: Path) -> Path:
    """The notebook that a page is a copy of, or the page itself: what the links in it are relative to."""
    return NOTEBOOKS / page.name if page.parent == COPIES else page
