"""The command line: `tinyalex COMMAND ...`, or `python -m tinyalex COMMAND ...`."""

from tinyalex.cli.parser import build_parser, main

__all__ = ["build_parser", "main"]
