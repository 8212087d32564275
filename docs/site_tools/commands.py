"""The directive `{commands}`: what every command of `tinyalex` takes, from the parser itself."""

import argparse
from collections.abc import Iterator

from docutils import nodes
from docutils.parsers.rst import Directive

from tinyalex.cli import build_parser


class Commands(Directive):
    """A section for each command: what it does, how it is called, its options, an example."""

    def run(self) -> list[nodes.Node]:
        """The sections."""
        actions = build_parser()._subparsers
        assert actions is not None
        (parsers,) = (action for action in actions._actions if isinstance(action, argparse._SubParsersAction))
        return [_section(name, parser) for name, parser in parsers.choices.items()]


def _section(name: str, parser: argparse.ArgumentParser) -> nodes.section:
    section = nodes.section("", nodes.title("", name), ids=[f"command-{name}"])
    section += nodes.paragraph("", parser.description or "")
    options = nodes.option_list()
    for action in parser._actions:
        if not isinstance(action, argparse._HelpAction):
            options += _option(action, parser)
    if len(options):
        section += options
    example = (parser.epilog or "").removeprefix("example: ")
    section += nodes.literal_block("", example, language="none", classes=["example"])
    return section


def _option(action: argparse.Action, parser: argparse.ArgumentParser) -> nodes.option_list_item:
    group = nodes.option_group()
    for word in _words(action):
        group += nodes.option("", nodes.option_string("", word))
    text = parser._get_formatter()._expand_help(action) if action.help else ""
    return nodes.option_list_item("", group, nodes.description("", nodes.paragraph("", text)))


def _words(action: argparse.Action) -> Iterator[str]:
    """How an option, or what a command works on, is written."""
    value = action.metavar or (
        "{" + ",".join(map(str, action.choices)) + "}" if action.choices else action.dest.upper()
    )
    value = str(value)
    if not action.option_strings:
        yield value
    for word in action.option_strings:
        yield word if action.nargs == 0 else f"{word} [{value}]" if action.nargs == "?" else f"{word} {value}"
