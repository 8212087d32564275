"""What moves: the words for going through steps, and a page in a frame, for notebooks and for the site.

The page brings its own script, so it moves without a kernel and without a network.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from html import escape
from importlib import resources
from typing import Any

WORDS = {"back": "◀ back", "next": "next ▶", "count": "{} of {}", "step": "step"}  # of every figure, widget and page


def count(index: int, total: int) -> str:
    """The place of a step, counted from 1 for people; its index counts from 0: "1 of 47"."""
    return WORDS["count"].format(f"{index + 1:,}", f"{total:,}")


@dataclass(frozen=True)
class Frame:
    """A page of HTML that a notebook shows in a frame.

    page: the whole page.   title: what it is, for a screen reader.   height: of the frame in pixels, until the page
    has told how high it is.
    """

    page: str
    title: str
    height: int

    def _repr_html_(self) -> str:
        return (
            f'<iframe class="moving" srcdoc="{escape(self.page)}" title="{escape(self.title)}" '
            f'style="width:100%;height:{self.height}px;border:0"></iframe>'
        )


def theme() -> str:
    """The script with which a page in a frame follows the colours of the page around it, and tells its height."""
    return (resources.files("tinyalex.viz") / "frame.js").read_text("utf-8")


def as_json(value: Any) -> str:
    """JSON that may stand within a <script> element; numbers of NumPy become plain ones."""
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"), default=float).replace("<", "\\u003c")
