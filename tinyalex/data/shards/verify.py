"""Whether all files of a prepared set are as they were written."""

import hashlib
from collections.abc import Callable
from pathlib import Path

from tinyalex.data.shards.index import AGAIN, read_index
from tinyalex.data.shards.measured import read_statistics
from tinyalex.data.shards.reading import check_length
from tinyalex.data.shards.shard import ShardEntry
from tinyalex.errors import DataError


def verify(folder: Path, progress: Callable[[int], object] | None = None) -> list[str]:
    """Read every file of the prepared set in `folder`, compare its SHA-256 with the index -> a line for each bad file.

    progress: called after each shard with its number of images.
    Raises:   DataError if the index itself is missing or damaged.
    """
    index = read_index(folder)
    bad = []
    try:
        read_statistics(folder, index.statistics, index.size)
    except DataError as error:
        bad.append(str(error))
    for shard in (shard for shards in index.splits.values() for shard in shards):
        try:
            _check(folder, shard)
        except DataError as error:
            bad.append(str(error))
        if progress is not None:
            progress(shard.images)
    return bad


def _check(folder: Path, shard: ShardEntry) -> None:
    """Raise DataError unless the shard's file has the length and the checksum that the index says."""
    path = folder / shard.file
    try:
        check_length(path, shard.bytes)
        with path.open("rb") as file:
            found = hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        raise DataError(f"cannot read {path} ({error.strerror or error}); {AGAIN}") from error
    if found != shard.sha256:
        raise DataError(f"got {path}, changed since it was written: expected sha256 {shard.sha256[:16]}...; {AGAIN}")
