"""What the student's process may ask of the judge: to use what a test has given to it, and nothing else.

The judge has the rights of the person who marks. So it carries out a request only if these rules name it:

- The request is about an object that the judge itself has handed out, never about a value: text, a number, an array, a
  list, a dict or a random generator is sent by its content, and no method of it can be reached.
- A function is called if its Python code is a test's, a given cell's, or that of `reference`.
- An object is open if a test or a given cell has defined its class. Its public attributes are read, its methods called,
  its items read and written. No attribute is set.
- Of this package's nets, assignment 5 opens the parts in `PARTS`.

All else is closed, also if an open object leads there: modules, classes, files, what libraries have defined, attributes
of functions and methods, and built-in methods, except those that read or update a dict of a class of the test's own.
"""

from types import BuiltinMethodType, FunctionType, MethodType
from typing import Any

from tinyalex.course import reference
from tinyalex.course.judging.wire import End
from tinyalex.layers import SoftmaxCrossEntropy
from tinyalex.net import AlexNet
from tinyalex.parameters import NamedArrays

OWN = ("__main__", reference.__name__)  # where tests, given cells and right answers are defined
MAPPING = frozenset(("keys", "values", "items", "get", "update"))
PARTS: dict[type, frozenset[str]] = {
    AlexNet: frozenset(("forward", "backward", "loss", "criterion", "params", "grads")),
    SoftmaxCrossEntropy: frozenset(("forward", "backward")),
    NamedArrays: MAPPING,
}


class JudgeEnd(End):
    """The judge's end of the wire."""

    def check(self, operation: str, one: Any, *operands: Any) -> None:
        """Raise AttributeError for a request that the rules do not allow."""
        handed_out = any(one is known for known in self.values.objects.values())
        if not (handed_out and _is_granted(operation, one, *operands)):
            name = operands[0] if operation in ("get", "set") and operands else f"{operation!r} of {type(one).__name__}"
            raise AttributeError(f"{name} is not open to another process")


def _is_granted(operation: str, one: Any, *operands: Any) -> bool:
    if operation == "invoke":
        return _may_be_called(one)
    if operation == "get":
        return _may_be_read(one, *operands)
    return operation != "set" and _is_open(one)


def _is_open(one: Any) -> bool:
    return type(one) in PARTS or type(one).__module__ in OWN


def _may_be_read(one: Any, name: Any) -> bool:
    if type(name) is not str or name.startswith("_"):
        return False
    return name in PARTS[type(one)] if type(one) in PARTS else _is_open(one)


def _may_be_called(one: Any) -> bool:
    if isinstance(one, FunctionType):
        return one.__module__ in OWN
    if isinstance(one, MethodType):
        return _is_open(one.__self__) and isinstance(one.__func__, FunctionType)
    if isinstance(one, BuiltinMethodType):
        return _is_open(one.__self__) and isinstance(one.__self__, dict) and one.__name__ in MAPPING
    return False
