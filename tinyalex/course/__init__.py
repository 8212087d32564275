"""Coursework: what the test cells of the assignments call, and how assignments are built and hand-ins marked.

A student's notebook needs `checks`, `guard` and `reference`, which need nothing but NumPy; the rest is the lecturer's,
and needs the `course` extra.
"""

from tinyalex.course import reference
from tinyalex.course.checks import CheckError, same, that
from tinyalex.course.guard import LibraryError, TimeLimitError, call

__all__ = ["CheckError", "LibraryError", "TimeLimitError", "call", "reference", "same", "that"]
