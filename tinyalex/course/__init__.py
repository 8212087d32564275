"""Coursework: the functions that test cells call, the building of assignments and the marking of hand-ins.

A student's notebook uses `checks`, `guard` and `reference`, which need NumPy only. The other modules are for the
lecturer and need the `course` extra.
"""

from tinyalex.course import reference
from tinyalex.course.checks import CheckError, same, that
from tinyalex.course.guard import LibraryError, TimeLimitError, call

__all__ = ["CheckError", "LibraryError", "TimeLimitError", "call", "reference", "same", "that"]
