"""The command line: `tinyalex COMMAND ...`, or `python -m tinyalex COMMAND ...`.

A command is a frozen dataclass: its fields are its options, its docstring is its help, and `run` carries it out. The
modules are the groups that `tinyalex --help` shows: learn, train, use, measure, teach. To add a command:

1. Write its class in the module of its group:

       @dataclass(frozen=True)
       class Flops(Command):
           '''Print how many multiply-adds a net computes for one image.'''

           example = "flops --variant paper"
           variant: Variant = "paper"
           classes: Annotated[int, Option("number of classes")] = 1000

           def run(self) -> None:
               rows = count(nets.variant(self.variant), self.classes)
               print(sum(row.multiply_adds for row in rows))

2. Add its place, "learn:Flops", to `GROUPS` in parser.py.

This gives `tinyalex flops --variant NAME --classes N`. A field's annotation says how its word is read, and mypy checks
it up to the call in `run`; options.py has the types that can be read, and the options that several commands share.
"""

from tinyalex.cli.parser import build_parser, main

__all__ = ["build_parser", "main"]
