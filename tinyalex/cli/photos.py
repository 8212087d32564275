"""What the commands on photographs share: predict, features and neighbours."""

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Annotated, Any

from numpy.typing import NDArray

from tinyalex.cli.options import Argument
from tinyalex.cli.terminal import complain
from tinyalex.data.photos import Photo, Seen

Images = Annotated[list[Path], Argument("image files, and folders of them", metavar="IMAGE")]


def readable(seen: Iterable[Seen], bad: list[Path]) -> Iterator[tuple[Photo, NDArray[Any]]]:
    """The photographs that could be read; of the others it tells the reason, and adds their paths to `bad`."""
    for photo, row in seen:
        if row is None:
            complain(photo.error)
            bad.append(photo.path)
        else:
            yield photo, row


def exit_code(bad: int, total: int) -> int:
    """The exit code of a command on `total` images; of several it tells how many were bad."""
    if bad and total > 1:
        complain(f"{bad:,} of {total:,} images could not be read")
    return 2 if bad else 0


def first_of(shown: int, total: int) -> str:
    """What follows the name of a picture that shows the first of `total` images; nothing if it shows all."""
    return f": the first {shown} of {total:,} images" if total > shown else ""
