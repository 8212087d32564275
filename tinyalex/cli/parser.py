"""All commands in their groups, and what happens when one is called."""

import argparse
import errno
import os
import re
import sys
import traceback
import warnings
from collections.abc import Sequence
from contextlib import suppress
from inspect import getdoc
from pathlib import Path
from pkgutil import resolve_name
from typing import NoReturn

import numpy as np

import tinyalex
from tinyalex.backend import kernels_in_use, thread_count
from tinyalex.cli.options import Command, add_options
from tinyalex.cli.terminal import complain, lost_streams, prepare_streams
from tinyalex.errors import Stopped, TinyAlexError

PACKAGE = Path(tinyalex.__file__).parent

# Each command is "module:Class", as only the module of the one that is called is loaded.
GROUPS: dict[str, tuple[str, ...]] = {
    "learn": ("learn:Demo", "learn:Summary", "learn:Step", "learn:Check"),
    "train": ("prepare:Prepare", "train:Warmup", "train:Train", "finetune:Finetune", "experiment:Experiment"),
    "use": (
        "use:Predict",
        "use:Features",
        "neighbours:Neighbours",
        "evaluation:Eval",
        "weights:Weights",
        "weights:Verify",
    ),
    "measure": (
        "measure:Bench",
        "measure:Loader",
        "measure:Memory",
        "measure:Crossing",
        "measure:Plan",
        "measure:Info",
    ),
    "teach": ("teach:Assignments", "teach:Grade", "teach:Bundles"),
}


class Parser(argparse.ArgumentParser):
    """A parser whose complaint is one line."""

    def error(self, message: str) -> NoReturn:
        """Print what was wrong and leave with exit code 2."""
        complain(f"{message}; see {self.prog} --help", self.prog)
        self.exit(2)

    def exit(self, status: int = 0, message: str | None = None) -> NoReturn:
        """Leave with an exit code. Raises OSError if the help that was printed cannot be written."""
        sys.stdout.flush()
        super().exit(status, message)


def build_parser(called: str | None = None) -> argparse.ArgumentParser:
    """The parser of all commands. It sets `command` to the class of the one that was called.

    called: the word of the only command that matters; the others are then left out.
    """
    groups = GROUPS if called is None else {}
    parser = Parser(
        prog="tinyalex",
        usage="tinyalex [--help] [--version] COMMAND ...",
        description="\n\n".join(["AlexNet (2012), whole and by hand, in NumPy.", *map(_listed, groups)]),
        epilog="tinyalex COMMAND --help explains a command, with an example.",
        formatter_class=argparse.RawDescriptionHelpFormatter,  # keeps the lines of the groups
    )
    parser.add_argument("--version", action="version", version=f"tinyalex {tinyalex.__version__}")
    subparsers = parser.add_subparsers(
        prog="tinyalex", metavar="COMMAND", required=True, parser_class=Parser, help=argparse.SUPPRESS
    )
    for word, place in _places().items():
        if called in (None, word):
            command = _command(place)
            added = subparsers.add_parser(
                word, description=getdoc(command), epilog=f"example: tinyalex {command.example}"
            )
            add_options(added, command)
            added.set_defaults(command=command)
    return parser


def _listed(group: str) -> str:
    """The lines of a group in `tinyalex --help`: each command, and its docstring up to the first colon or sentence."""
    texts = {place: re.split(r"[:.]\s", f"{getdoc(_command(place))}\n")[0] for place in GROUPS[group]}
    return "\n".join([f"{group}:", *(f"  {_word(place):<13}{text}" for place, text in texts.items())])


def _word(place: str) -> str:
    """The word that calls a command: the name of its class in lower case."""
    return place.partition(":")[2].lower()


def _places() -> dict[str, str]:
    """The word of each command -> its place in GROUPS."""
    return {_word(place): place for group in GROUPS.values() for place in group}


def _command(place: str) -> type[Command]:
    """The class of a command, its module loaded."""
    command: type[Command] = resolve_name(f"tinyalex.cli.{place}")
    return command


def parse(arguments: Sequence[str] | None = None) -> Command:
    """The command that the words call, with its options; None: the words in sys.argv. No words at all ask for help."""
    words = (sys.argv[1:] if arguments is None else arguments) or ["--help"]
    called = words[0] if words and words[0] in _places() else None
    options = vars(build_parser(called).parse_args(words))
    command: type[Command] = options.pop("command")
    return command(**options)


def main(arguments: Sequence[str] | None = None) -> int:
    """Carry out one command -> the exit code.

    0: done.   2: a mistake of the user's, or an image that cannot be read, told in one line on stderr.
    1: a bug in tinyalex, told likewise.   130, 141: the user interrupted it, or nobody reads the output any more; these
    are the exit codes of programs that end by SIGINT and SIGPIPE; 143, 129: SIGTERM or SIGHUP stopped a training run.
    With --debug the traceback of an error comes before its line.
    """
    prepare_streams()
    command: Command | None = None
    try:
        command = parse(arguments)
        check_environment()
        with warnings.catch_warnings(), np.errstate(over="ignore", invalid="ignore"):  # what is not finite is an error
            for harmless in ("Image size", "Glyph"):  # a large picture; a name in letters that a figure's font lacks
                warnings.filterwarnings("ignore", harmless)
            code = command.run() or 0
        sys.stdout.flush()
    except KeyboardInterrupt as stopped:
        with suppress(OSError):  # nobody may read stderr any more
            print(file=sys.stderr)  # ends the line on which a terminal shows ^C
        complain(str(stopped) or f"stopped{command.when_stopped if command else ''}")
        return stopped.exit_code if isinstance(stopped, Stopped) else 130
    except Exception as error:
        if command and command.debug:
            traceback.print_exc()
        return _told(error)
    return code


def check_environment() -> None:
    """Raise UsageError for a variable of the environment, TINYALEX_THREADS or TINYALEX_KERNELS, that makes no sense."""
    thread_count()
    kernels_in_use()


def _told(error: Exception) -> int:
    """Tell an error in one line on stderr -> the exit code."""
    match error:
        case TinyAlexError():
            complain(str(error))
        case MemoryError():
            reason = f" ({error})" if str(error) else ""
            complain(f"there is not enough memory{reason}: ask for less, such as a smaller --batch")
        case OSError():  # a disk that is full, a folder that may not be written, ...
            lost = lost_streams()
            if isinstance(error, BrokenPipeError) and error.filename is None:  # `tinyalex ... | head -1`
                return 141
            if not lost and error.errno == errno.ENOSPC:  # a long text leaves nothing behind to be flushed
                lost = ["standard output"]
            places = lost if error.filename is None else [os.fsdecode(error.filename)]
            complain(": ".join([*places, error.strerror or str(error)]))
        case _:
            complain(
                f"this is a bug in tinyalex: {type(error).__name__}: {error} ({_place(error)}); run again with --debug "
                "and report it"
            )
            return 1
    return 2


def _place(error: Exception) -> str:
    """The file and line of ours that an error comes from."""
    frames = traceback.extract_tb(error.__traceback__)
    ours = [frame for frame in frames if Path(frame.filename).is_relative_to(PACKAGE)] or frames
    return f"{Path(ours[-1].filename).name}, line {ours[-1].lineno}"
