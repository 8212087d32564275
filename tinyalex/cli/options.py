"""What a command is, and how its options are declared: as the fields of a frozen dataclass.

A field `classes: Annotated[int, Option("number of classes")] = 1000` is the option `--classes N`. The annotation says
how the word after it is read, the default holds where the option is not given.
"""

import argparse
from abc import ABC, abstractmethod
from collections.abc import Callable, Collection
from dataclasses import MISSING, dataclass, field, fields
from functools import partial
from pathlib import Path
from types import UnionType
from typing import Annotated, Any, ClassVar, Literal, NamedTuple, TypeVar, Union, get_args, get_origin, get_type_hints

from tinyalex import spec

T = TypeVar("T")


@dataclass(frozen=True)
class Option:
    """A field called name is the option `--name VALUE`.

    A bool field has no VALUE: it is `--name` if its default is False, else `--no-name`.

    metavar: what the help shows for VALUE.   choices: the words that VALUE may be (a Literal type has its own).
    most: the largest whole number that VALUE may be.
    alone: what the option means without a VALUE after it; None if there must be one.
    """

    help: str
    metavar: str | None = None
    choices: Collection[str] | None = None
    most: int | None = None
    alone: object = None


class Argument(Option):
    """A value that is given by its place, without a name. A list takes one value or more."""


@dataclass(frozen=True)
class Command(ABC):
    """A command of the command line: its docstring is its help, its fields are its options.

    example: the words after `tinyalex` of a call that `--help` shows.
    when_stopped: added to the message when a user stops the command.
    """

    example: ClassVar[str]
    when_stopped: ClassVar[str] = ""
    debug: Annotated[bool, Option("show the traceback of an error")] = field(default=False, kw_only=True)

    @abstractmethod
    def run(self) -> int | None:
        """Carry out the command -> the exit code; None: 0. Raises TinyAlexError for a mistake of the user's."""


VARIANT = Option(f"the net: {', '.join(spec.VARIANTS)}", metavar="NAME", choices=spec.VARIANTS)
Variant = Annotated[str, VARIANT]
Devices = Annotated[
    tuple[str, ...] | None,
    Option(
        "a device for the whole net, such as cuda:0, or one for each of its two columns, such as cuda:0,cuda:1 or "
        "cpu:0,cpu:1; without it the net is on the CPU",
        metavar="A[,B]",
    ),
]
Views = Annotated[Literal["centre", "ten"], Option("centre crop, or ten crops averaged")]
DATA = "shapes|cifar10[:DIR]|cifar100[:DIR]|DIR"  # the metavar of --data


class Reader(NamedTuple):
    """How a word becomes a value: `read` it; `expected` says in an error what it must be."""

    read: Callable[[str], object]
    expected: str
    metavar: str | None = None


def _integers(text: str) -> tuple[int, ...]:
    """The text "3,5" as (3, 5), "" as ()."""
    return tuple(int(part) for part in text.split(",") if part)


def _three_numbers(text: str) -> tuple[float, ...]:
    """The text "104,117,123" as (104.0, 117.0, 123.0)."""
    red, green, blue = map(float, text.split(","))
    return red, green, blue


def _names(text: str) -> tuple[str, ...]:
    """The text "cuda:0,cuda:1" as ("cuda:0", "cuda:1")."""
    return tuple(text.split(","))


def _path(text: str) -> Path:
    """A path. An empty text, such as of a shell's variable that is not set, would be the working folder."""
    if not text:
        raise ValueError
    return Path(text)


READERS: dict[object, Reader] = {
    int: Reader(int, "a whole number", "N"),
    float: Reader(float, "a number", "X"),
    str: Reader(str, "text"),
    Path: Reader(_path, "a path"),
    tuple[int, ...]: Reader(_integers, "whole numbers with commas between them, such as 3,5", "N,N,..."),
    tuple[float, float, float]: Reader(_three_numbers, "three numbers with commas between them", "R,G,B"),
    tuple[str, ...]: Reader(_names, "names with commas between them"),
}


def chosen(value: T | None, default: T) -> T:
    """`value`, or `default` where it is None: an option that was not given."""
    return default if value is None else value


def add_options(parser: argparse.ArgumentParser, command: type[Command]) -> None:
    """Add the fields of `command` to `parser` as options and arguments."""
    types = get_type_hints(command, include_extras=True)
    for of_class in fields(command):
        name, default = of_class.name, of_class.default
        declared, option = get_args(types[name])  # of Annotated[declared, option]
        kind = _first_type(declared)
        if kind is bool:
            _add_flag(parser, name, option, default)
        elif isinstance(option, Argument):
            _add_argument(parser, name, kind, option, default)
        else:
            _add_option(parser, name, kind, option, default)


def _first_type(declared: Any) -> Any:
    """The type that a word is read as: int for `int | None`, Path for `Path | Literal[True] | None`."""
    return get_args(declared)[0] if get_origin(declared) in (Union, UnionType) else declared


def _add_flag(parser: argparse.ArgumentParser, name: str, option: Option, default: object) -> None:
    """A bool: `--name` makes a False one True, `--no-name` makes any other one False."""
    flag = name.replace("_", "-")
    if default is False:
        parser.add_argument(f"--{flag}", dest=name, action="store_true", help=option.help)
    else:
        parser.add_argument(f"--no-{flag}", dest=name, action="store_false", default=default, help=option.help)


def _add_argument(parser: argparse.ArgumentParser, name: str, declared: Any, option: Option, default: object) -> None:
    """A value by its place: a list takes one or more, one with a default may be left out."""
    several = get_origin(declared) is list
    reader = _reader(get_args(declared)[0] if several else declared, option)
    nargs = "+" if several else None if default is MISSING else "?"
    metavar = option.metavar or reader.metavar
    parser.add_argument(name, type=_reading(reader), nargs=nargs, metavar=metavar, help=option.help)


def _add_option(parser: argparse.ArgumentParser, name: str, declared: Any, option: Option, default: object) -> None:
    """`--name VALUE`; the help tells the default. Without one the option is required."""
    reader, required = _reader(declared, option), default is MISSING
    parser.add_argument(
        f"--{name.replace('_', '-')}",
        type=_reading(reader),
        default=None if required else default,
        required=required,
        nargs=None if option.alone is None else "?",
        const=option.alone,
        metavar=option.metavar or reader.metavar,
        help=option.help if required or default is None else f"{option.help} ({_written(default)})",
    )


def _reader(declared: Any, option: Option) -> Reader:
    """How a word is read as a value of type `declared`."""
    choices = get_args(declared) if get_origin(declared) is Literal else option.choices
    if choices is not None:
        return Reader(partial(_one_of, choices), f"one of {', '.join(choices)}", "|".join(choices))
    if option.most is not None:
        return Reader(partial(_up_to, option.most), f"a whole number up to {option.most:,}", "N")
    return READERS[declared]


def _one_of(choices: Collection[str], text: str) -> str:
    if text not in choices:
        raise ValueError
    return text


def _up_to(most: int, text: str) -> int:
    if int(text) > most:
        raise ValueError
    return int(text)


def _reading(reader: Reader) -> Callable[[str], object]:
    """`reader.read`, with an error that argparse shows as it stands."""

    def read(text: str) -> object:
        try:
            return reader.read(text)
        except ValueError:
            raise argparse.ArgumentTypeError(f"got {text!r}: expected {reader.expected}") from None

    return read


def _written(default: object) -> str:
    """A default as one would type it."""
    if isinstance(default, tuple):
        return ",".join(map(str, default))
    return f"{default:g}" if isinstance(default, float) else str(default)
