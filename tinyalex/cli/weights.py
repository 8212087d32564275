"""The commands about trained nets in files: which known ones are here, and whether a file fits."""

from dataclasses import dataclass
from typing import Annotated

from tinyalex.cli.options import Command, Option
from tinyalex.weights.known import KNOWN, Known, folders

COLUMNS = "{:<24}{:>4}  {:<13}{:<14}{:>6} {:>6}  {}"


@dataclass(frozen=True)
class Weights(Command):
    """List the trained AlexNets that are known by name: which are here, their licence, their published accuracy."""

    example = "weights --fetch torchvision"
    when_stopped = "; the same command goes on"
    fetch: Annotated[
        str | None,
        Option("download this one into the cache folder, unless it is here", metavar="NAME", choices=KNOWN),
    ] = None

    def run(self) -> None:
        """Print the table, or where the file is that was fetched and by what it was known."""
        if self.fetch is not None:
            known = KNOWN[self.fetch]
            path = known.fetch()
            print(f"{path}: {known.check(path)}")
            return
        print(COLUMNS.format("name", "MB", "net", "licence", "top-1", "top-5", "here"))
        for known in KNOWN.values():
            print(_line(known))
        print(f"\ntop-1 and top-5: published accuracy in %, central crop. Searched: {', '.join(map(str, folders()))}")


def _line(known: Known) -> str:
    """A line of the table."""
    size, net = known.megabytes or "-", known.variant or "mean image"
    return COLUMNS.format(
        known.name, size, net, known.licence, known.top1 or "-", known.top5 or "-", known.find() or "-"
    )
