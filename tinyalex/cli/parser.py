"""All commands in their groups, and what happens when one is called."""

import argparse
import os
import re
import sys
import warnings
from collections.abc import Sequence
from inspect import getdoc
from io import TextIOWrapper
from typing import NoReturn

from tinyalex import __version__
from tinyalex.cli.learn import Check, Demo, Step, Summary
from tinyalex.cli.measure import Bench, Crossing, Info, Memory, Plan
from tinyalex.cli.options import Command, add_options
from tinyalex.cli.teach import Assignments, Grade
from tinyalex.cli.train import Prepare, Train, Warmup
from tinyalex.cli.use import Eval, Predict
from tinyalex.errors import TinyAlexError

GROUPS: dict[str, tuple[type[Command], ...]] = {
    "learn": (Demo, Summary, Step, Check),
    "train": (Prepare, Warmup, Train),
    "use": (Predict, Eval),
    "measure": (Bench, Memory, Crossing, Plan, Info),
    "teach": (Assignments, Grade),
}


class Parser(argparse.ArgumentParser):
    """A parser whose complaint is one line."""

    def error(self, message: str) -> NoReturn:
        """Print what was wrong and leave with exit code 2."""
        self.exit(2, f"{self.prog}: {message}; see {self.prog} --help\n")


def build_parser() -> argparse.ArgumentParser:
    """The parser of all commands. It sets `command` to the class of the one that was called."""
    parser = Parser(
        prog="tinyalex",
        usage="tinyalex [--help] [--version] COMMAND ...",
        description="\n\n".join(["AlexNet (2012), whole and by hand, in NumPy.", *map(_listed, GROUPS)]),
        epilog="tinyalex COMMAND --help explains a command, with an example.",
        formatter_class=argparse.RawDescriptionHelpFormatter,  # keeps the lines of the groups
    )
    parser.add_argument("--version", action="version", version=f"tinyalex {__version__}")
    subparsers = parser.add_subparsers(
        prog="tinyalex", metavar="COMMAND", required=True, parser_class=Parser, help=argparse.SUPPRESS
    )
    for commands in GROUPS.values():
        for command in commands:
            added = subparsers.add_parser(
                _name(command), description=getdoc(command), epilog=f"example: tinyalex {command.example}"
            )
            add_options(added, command)
            added.set_defaults(command=command)
    return parser


def _listed(group: str) -> str:
    """The lines of a group in `tinyalex --help`: each command, and its docstring up to the first colon or sentence."""
    texts = {command: re.split(r"[:.]\s", f"{getdoc(command)}\n")[0] for command in GROUPS[group]}
    return "\n".join([f"{group}:", *(f"  {_name(command):<13}{text}" for command, text in texts.items())])


def _name(command: type[Command]) -> str:
    """The word that calls a command: the name of its class in lower case."""
    return command.__name__.lower()


def parse(arguments: Sequence[str] | None = None) -> Command:
    """The command that the words call, with its options; None: the words in sys.argv."""
    options = vars(build_parser().parse_args(arguments))
    command: type[Command] = options.pop("command")
    return command(**options)


def main(arguments: Sequence[str] | None = None) -> int:
    """Carry out one command. Returns 0, or 2 after a mistake of the user's, which it prints as one line on stderr.

    Returns 130 when the user interrupts it and 141 when nobody reads the output any more: the exit codes of programs
    that end by the signals SIGINT and SIGPIPE.
    """
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, TextIOWrapper):
            stream.reconfigure(errors="replace")  # a terminal without a character that we print shows "?"
    command = parse(arguments)
    try:
        with warnings.catch_warnings():
            for harmless in ("Image size", "Glyph"):  # a large picture; a name in letters that a figure's font lacks
                warnings.filterwarnings("ignore", harmless)
            command.run()
        if sys.stdout:
            sys.stdout.flush()
    except TinyAlexError as error:
        return _complain(str(error))
    except MemoryError as error:
        reason = f" ({error})" if str(error) else ""
        return _complain(f"there is not enough memory{reason}: ask for less, such as a smaller --batch")
    except BrokenPipeError:  # `tinyalex ... | head -1`
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # else Python complains when it ends
        return 141
    except OSError as error:  # a disk that is full, a folder that may not be written, ...
        return _complain(f"{error.filename or 'file'}: {error.strerror or error}")
    except KeyboardInterrupt:
        print(f"\ntinyalex: stopped{command.when_stopped}", file=sys.stderr)
        return 130
    return 0


def _complain(message: str) -> int:
    print(f"tinyalex: {' '.join(message.split())}", file=sys.stderr)
    return 2
