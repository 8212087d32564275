"""Looks at all images of a source, and writes nothing."""

import warnings
from collections.abc import Iterator
from contextlib import closing

from tinyalex.data.shards import images
from tinyalex.data.shards.listing import Item
from tinyalex.data.shards.processes import in_processes
from tinyalex.data.shards.sources import Source
from tinyalex.data.shards.write import Counting
from tinyalex.errors import ImageError

CHUNK = 256  # images that a process looks at before it reports


def look(source: Source, *, workers: int, counting: Counting) -> list[tuple[str, str]]:
    """Decode every image -> (name, reason) of those that cannot be used, sorted by name.

    workers: processes at a time.
    counting: called with the number of images; what its block yields, with the number of those just looked at.
    """
    bad = list(source.refused)
    with counting(len(source)) as progress, closing(in_processes(_bad_among, _chunks(source), workers)) as results:
        for looked_at, found in results:
            bad += found
            progress(looked_at)
    return sorted(bad)


def _chunks(source: Source) -> Iterator[list[Item]]:
    for listing in source.splits.values():
        for first in range(0, len(listing), CHUNK):
            yield [listing[index] for index in range(first, min(first + CHUNK, len(listing)))]


def _bad_among(items: list[Item]) -> tuple[int, list[tuple[str, str]]]:
    """The number of images, and (name, reason) of the bad ones."""
    bad = []
    with warnings.catch_warnings(action="ignore"):  # Pillow's, of odd but harmless things in a file
        for item in items:
            try:
                images.decoded(item, images.content(item))
            except ImageError as error:
                bad.append((error.name, error.reason))
    return len(items), bad
