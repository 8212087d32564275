"""A scope for each test: its names do not change the notebook, and names of the notebook do not change it."""

import builtins
import dis
import types
from collections.abc import Callable, Iterator


def tests(test: Callable[[], None]) -> None:
    """Run a test at once, as a decorator, and leave none of its names in the notebook.

    It reads the functions of the notebook that it names. Built-in functions are Python's own, though a notebook may
    have given their names to something else, as in `sum = 0`.
    """
    __tracebackhide__ = True  # in a notebook the traceback is the test's and the student's own
    notebook = test.__globals__
    names = {name for name in global_names(test.__code__) if not hasattr(builtins, name)}
    scope = {name: notebook[name] for name in names if name in notebook}
    types.FunctionType(test.__code__, {"__builtins__": builtins, "__name__": "__main__", **scope}, test.__name__)()


def global_names(code: types.CodeType) -> Iterator[str]:
    """The names that the code reads from outside its own functions, or from built-ins."""
    yield from (one.argval for one in dis.get_instructions(code) if one.opname in ("LOAD_GLOBAL", "LOAD_NAME"))
    for constant in code.co_consts:
        if isinstance(constant, types.CodeType):
            yield from global_names(constant)
