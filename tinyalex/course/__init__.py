"""Coursework: the functions that test cells call, the building of assignments and the marking of hand-ins.

A student's notebook uses `checks`, `guard`, `scope` and `reference`, which need NumPy only, and when it is marked
`serve`. The other modules are for the lecturer and need the `course` extra.
"""

from tinyalex.course import reference
from tinyalex.course.checks import CheckError, same, that
from tinyalex.course.guard import LibraryError, TimeLimitError, call
from tinyalex.course.scope import tests

__all__ = ["CheckError", "LibraryError", "TimeLimitError", "call", "reference", "same", "tests", "that"]
