"""Photographs in files and folders, any number of them: found one after the other and decoded ahead by threads.

At any time only a few are in memory, each as the small square that a net reads.
"""

import os
from collections.abc import Callable, Generator, Iterable, Iterator
from contextlib import closing
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from tinyalex.backend import thread_count
from tinyalex.data.ahead import prepared_ahead
from tinyalex.data.layout import SUFFIXES, is_image_name
from tinyalex.data.prepare import Preparation, prepare_image, read_image
from tinyalex.errors import DataError

MOST_THREADS = 4  # each may hold a photograph at its full size
AHEAD = 64  # photographs that are decoded ahead
PICTURE = 512  # pixels: the longer side of a reduced copy

T = TypeVar("T")


@dataclass(frozen=True)
class Photo:
    """A photograph, or the reason why it could not be read.

    stored: (S, S, 3) uint8, what crops are taken from; None if it could not be read.   error: the reason, or "".
    picture: all of it, reduced to PICTURE pixels: (h, w, 3) uint8; None if nobody asked for it.
    """

    path: Path
    stored: NDArray[np.uint8] | None = None
    picture: NDArray[np.uint8] | None = None
    error: str = ""


Seen = tuple[Photo, NDArray[Any] | None]  # a photograph and its row of a net's outputs; None if it could not be read


def image_files(places: Iterable[Path]) -> Iterator[Path]:
    """The files among `places`, and in place of each folder the images in it and in the folders below.

    Those of a folder come in the order of their names, before those of its subfolders. Hidden files and folders, files
    without an image's suffix and links to folders are skipped.
    Raises DataError for a folder that cannot be read or has no images.
    """
    for place in places:
        if os.path.isdir(place):  # noqa: PTH112 (unlike place.is_dir() it never raises)
            yield from _images_below(place)
        else:
            yield place


def _images_below(root: Path) -> Iterator[Path]:
    found = False
    for folder, subfolders, names in os.walk(root, onerror=_refuse):
        subfolders[:] = sorted(name for name in subfolders if not name.startswith("."))
        for name in sorted(filter(is_image_name, names)):
            found = True
            yield Path(folder, name)
    if not found:
        raise DataError(
            f"got {root}, a folder without images: expected files that end in {', '.join(sorted(SUFFIXES))}"
        )


def _refuse(error: OSError) -> None:
    raise DataError(f"got {error.filename}, a folder that cannot be read ({error.strerror}): expected one that can")


def photos(
    paths: Iterable[Path], preparation: Preparation, *, smallest: int = 1, pictures: int = 0
) -> Generator[Photo, None, None]:
    """The photographs in the files `paths`, in order; one that cannot be read says why, and the others go on.

    preparation: how they become squares.   smallest: as for `read_image`.   pictures: how many get a reduced copy, the
    first ones. Closing the generator ends its threads.
    """

    def read(numbered: tuple[int, Path]) -> Photo:
        number, path = numbered
        try:
            image = read_image(path, smallest=smallest)
        except DataError as error:
            return Photo(path, error=str(error))
        return Photo(path, prepare_image(image, preparation), _reduced(image) if number < pictures else None)

    return prepared_ahead(read, enumerate(paths), min(thread_count(), MOST_THREADS), AHEAD)


def small_picture(path: Path) -> NDArray[np.uint8]:
    """The photograph in a file, reduced to PICTURE pixels -> (h, w, 3) uint8. Raises ImageError like `read_image`."""
    return _reduced(read_image(path))


def _reduced(image: Image.Image) -> NDArray[np.uint8]:
    """A copy of at most PICTURE x PICTURE pixels -> (h, w, 3) uint8."""
    image.thumbnail((PICTURE, PICTURE))
    return np.array(image)


def with_outputs(
    stream: Generator[Photo, None, None], outputs: Callable[[NDArray[np.uint8]], NDArray[Any]], batch: int
) -> Iterator[Seen]:
    """Each photograph with its row of the outputs of a net. At the end, or after an error, the stream is closed.

    outputs: stored images (n, S, S, 3) -> (n, ...).   batch: the largest n.
    """
    with closing(stream):
        for several in in_batches(stream, batch):
            stored = [photo.stored for photo in several if photo.stored is not None]
            rows = iter(outputs(np.stack(stored)) if stored else ())
            for photo in several:
                yield photo, None if photo.stored is None else next(rows)


def in_batches(items: Iterable[T], size: int) -> Iterator[list[T]]:
    """The items in lists of `size`, the last of which may be shorter."""
    iterator = iter(items)
    while batch := list(islice(iterator, size)):
        yield batch
