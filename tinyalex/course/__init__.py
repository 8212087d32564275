"""Coursework: the functions that test cells call, the building of assignments and the marking of hand-ins.

A student's notebook uses the modules of this folder, and the wire in `judging`; they need NumPy only. The other folders
are for the lecturer, and need the `course` extra:

handed_in: finds the hand-ins in folders and zips, and compares them
marking: repairs them, runs them side by side, and marks them with nbgrader
judging: the judge, in a process that never runs a student's code, and the wire to the one that does
pages: what marking writes for students and for the lecturer
grades: roster, due dates, the tables of all weeks, and those of Moodle and Canvas
autograders: assignments for Gradescope and Otter
"""

from tinyalex.course import reference
from tinyalex.course.checks import CheckError, evenly, independent, same, that
from tinyalex.course.guard import TimeLimitError, call
from tinyalex.course.scope import tests
from tinyalex.course.watch import LibraryError

__all__ = [
    "CheckError",
    "LibraryError",
    "TimeLimitError",
    "call",
    "evenly",
    "independent",
    "reference",
    "same",
    "tests",
    "that",
]
