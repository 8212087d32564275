"""What a user can get wrong, as exceptions whose message is one line: what was wrong, what was expected, what to do.

The command line prints that line and exits with code 2; a Python user can catch them all as `TinyAlexError`.
"""


class TinyAlexError(Exception):
    """The base of all errors that a user, not a bug, causes."""


class ShapeError(TinyAlexError, ValueError):
    """An array, an image or a net whose size does not fit what it meets."""


class DTypeError(TinyAlexError, TypeError):
    """An array of another dtype than the parameters it meets: a dtype never changes in silence."""


class LabelError(TinyAlexError, ValueError):
    """Labels that are not integers, or lie outside 0 ... classes - 1."""


class DataError(TinyAlexError, ValueError):
    """A data set that is missing, empty, damaged or not in the layout it should have."""


class CheckpointError(TinyAlexError, ValueError):
    """A checkpoint that is missing, damaged, or of another net."""


class DivergenceError(TinyAlexError, ArithmeticError):
    """The loss became NaN or infinite."""


class UsageError(TinyAlexError, ValueError):
    """Settings that contradict each other, or that name something unknown."""
