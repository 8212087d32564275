"""Exceptions for mistakes of the user. Their message is one line: "got X: expected Y; do Z".

The command line prints that line and exits with code 2. In Python, `TinyAlexError` catches all of them.
"""

from math import inf


class TinyAlexError(Exception):
    """The base of all errors that a user causes, and not a bug."""


class ShapeError(TinyAlexError, ValueError):
    """The shape of an array, an image or a net is not the expected one."""


class DTypeError(TinyAlexError, TypeError):
    """The dtype of an array is not the expected one; no dtype is converted silently."""


class LabelError(TinyAlexError, ValueError):
    """Labels are not integers in 0 ... classes - 1, one for each image."""


class DataError(TinyAlexError, ValueError):
    """A data set is missing, empty, damaged, or not in the expected layout."""


class ImageError(DataError):
    """The image in a file cannot be used.

    name: of the file.   reason: why, without the name.
    """

    def __init__(self, name: str, reason: str) -> None:
        super().__init__(f"got {name} ({reason}): expected an image file")
        self.name, self.reason = name, reason


class CheckpointError(TinyAlexError, ValueError):
    """A checkpoint is missing or damaged, or does not belong to this net, run or data."""


class DivergenceError(TinyAlexError, ArithmeticError):
    """The loss became NaN or infinite."""


class UsageError(TinyAlexError, ValueError):
    """A setting is out of range or unknown, or contradicts another."""


class Stopped(KeyboardInterrupt):
    """A signal stopped a command, which has left everything in order; no mistake, so no TinyAlexError.

    signal: its number.   together: whether all ranks of a run stop with it.
    The message says how to go on.
    """

    def __init__(self, message: str, signal: int, *, together: bool = False) -> None:
        super().__init__(message)
        self.signal, self.together = signal, together

    @property
    def exit_code(self) -> int:
        """The exit code of a program that the signal ended: 130 for SIGINT, 143 for SIGTERM, 129 for SIGHUP."""
        return 128 + self.signal


def below(limit: float, **values: float) -> None:
    """Raise UsageError for one of the `values` that is not below `limit`."""
    expected = "a finite number" if limit == inf else f"less than {limit}"
    for name, value in values.items():
        if not value < limit:
            raise UsageError(f"got {name}={value}: expected {expected}")


def at_least(smallest: float, **values: float | None) -> None:
    """Raise UsageError for one of the `values` that is below `smallest` or NaN; None stands for a default."""
    for name, value in values.items():
        if value is not None and not value >= smallest:
            raise UsageError(f"got {name}={value}: expected {smallest} or more")
