"""JSON values as typed Python values: what a file says, checked against the types that a dataclass declares."""

import sys
from dataclasses import MISSING, fields, is_dataclass
from types import NoneType, UnionType
from typing import Any, Literal, Union, get_args, get_origin, get_type_hints

from tinyalex.errors import UsageError


def typed(kind: Any, value: Any, name: str) -> Any:
    """The JSON `value` as a value of the type `kind`; `name` says in an error where it was found.

    kind: bool, int, float, str, None, Any, Literal[...], tuple[X, ...], list[X], dict[str, X], a union of these, or a
        dataclass, whose fields are read from a JSON object. A dataclass checks the ranges of its fields itself.
    An int is taken for a float. Nothing else is converted: True is no int, "1" is no number, and no number is infinite.
    Raises UsageError for a value of another type, for a field that is missing or unknown, and what a dataclass raises.
    """
    origin, inner = get_origin(kind), get_args(kind)
    if is_dataclass(kind):
        return _record(kind, value, name)
    if origin in (Union, UnionType):
        return _one_of(inner, value, name)
    if origin in (tuple, list) and isinstance(value, list | tuple):
        return origin(typed(inner[0], one, f"{name}[{number}]") for number, one in enumerate(value))
    if origin is dict and isinstance(value, dict):
        return {key: typed(inner[1], one, f"{name}.{bare(key)}") for key, one in value.items()}
    if origin is Literal and type(value) is str and value in inner:
        return value
    if kind is float and type(value) in (int, float) and abs(value) <= sys.float_info.max:
        return float(value)
    if kind is Any or (kind in (bool, int, str, NoneType) and type(value) is kind):
        return value
    raise UsageError(f"got {name}={brief(value)}: expected {_named(kind)}")


def _record(kind: Any, value: Any, name: str) -> Any:
    """The dataclass `kind`, its fields read from the JSON object `value`."""
    if isinstance(value, kind):
        return value
    if not isinstance(value, dict):
        raise UsageError(f"got {name}={brief(value)}: expected an object with the fields of {kind.__name__}")
    declared = {field.name: field for field in fields(kind)}
    for key in value.keys() - declared.keys():
        raise UsageError(f"got {name}.{brief(key)}: expected one of {', '.join(declared)}")
    for key, field in declared.items():
        if key not in value and field.default is MISSING and field.default_factory is MISSING:
            raise UsageError(f"got no {name}.{key}: expected one")
    kinds = get_type_hints(kind)
    return kind(**{key: typed(kinds[key], one, f"{name}.{key}") for key, one in value.items()})


def _one_of(kinds: tuple[Any, ...], value: Any, name: str) -> Any:
    """The value as the first of these types that it fits."""
    if value is not None and len(kinds) == 2 and kinds[1] is NoneType:  # an optional value: its own error says more
        return typed(kinds[0], value, name)
    for kind in kinds:
        try:
            return typed(kind, value, name)
        except UsageError:
            continue
    raise UsageError(f"got {name}={brief(value)}: expected {' or '.join(map(_named, kinds))}")


def brief(value: Any, longest: int = 40) -> str:
    """The value as Python writes it, cut off where it is long: a file may hold anything."""
    text = repr(value[:longest] if isinstance(value, str) else value)
    return text if len(text) <= longest else f"{text[:longest]}..."


def bare(name: str) -> str:
    """The name as `brief` has it, without quotes."""
    return brief(name).strip("'\"")


def _named(kind: Any) -> str:
    """What an error calls the type."""
    if get_origin(kind) is Literal:
        return " or ".join(map(repr, get_args(kind)))
    return "null" if kind is NoneType else getattr(kind, "__name__", str(kind))
