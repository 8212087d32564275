"""A layer in a user's own file, and the errors of the code there."""

import importlib.util
import sys
import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import ModuleType
from typing import Any

from tinyalex.errors import TinyAlexError, UsageError

MODULE = "tinyalex_own_layers"  # the name under which a user's file is imported: no other module is called so


def own_layer(place: str) -> Any:
    """The layer at "FILE.py:NAME". NAME is a layer, or a class or function that makes one without arguments.

    Raises UsageError where there is no such file or name.
    """
    file, _, name = place.rpartition(":")
    if not Path(file).is_file():
        raise UsageError(f"got {place}: expected FILE.py:NAME, a Python file and a layer in it; check the name")
    module = _imported(Path(file))
    if not hasattr(module, name):
        raise UsageError(f"got {place}: expected a layer, or a function that makes one; {file} has no {name}")
    found = getattr(module, name)
    return found() if isinstance(found, type) or not hasattr(found, "forward") else found


@contextmanager
def errors_in(place: str) -> Iterator[None]:
    """Turn an exception of the code in "FILE.py:NAME" into a UsageError with the line of the file."""
    file = Path(place.rpartition(":")[0])
    try:
        yield
    except TinyAlexError:
        raise
    except (Exception, SystemExit) as error:  # a script may leave Python
        frames = traceback.extract_tb(error.__traceback__)
        lines = [frame.lineno for frame in frames if Path(frame.filename) == file.absolute()]
        where = f"{file}, line {lines[-1]}" if lines else file
        raise UsageError(f"{where}: {type(error).__name__}: {error}") from error


def _imported(file: Path) -> ModuleType:
    found = importlib.util.spec_from_file_location(MODULE, file)
    if found is None or found.loader is None:
        raise UsageError(f"got {file}: expected a Python file; its name must end in .py")
    module = sys.modules[MODULE] = importlib.util.module_from_spec(found)  # a dataclass looks for its module there
    found.loader.exec_module(module)
    return module
