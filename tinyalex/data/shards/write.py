"""Prepares a set: every image of a source scaled, cut and written into a shard, in parallel, and again after a kill."""

import math
import shutil
from collections.abc import Callable
from contextlib import AbstractContextManager, closing, suppress
from dataclasses import asdict, dataclass
from hashlib import sha256
from pathlib import Path
from typing import Any

import numpy as np

from tinyalex.data.examine import same_but_for, write_rejected
from tinyalex.data.shards import images
from tinyalex.data.shards.index import INDEX, SPLITS, Index, read_index, write_index
from tinyalex.data.shards.measured import write_statistics
from tinyalex.data.shards.processes import in_processes
from tinyalex.data.shards.shard import ROW, Form
from tinyalex.data.shards.sources import Source
from tinyalex.data.shards.unfinished import (
    Unfinished,
    finished,
    keep_digests,
    kept_digests,
    other_settings,
    state_in,
)
from tinyalex.data.shards.work import Order, ShardSettings, write_shard
from tinyalex.errors import DataError, ImageError, UsageError
from tinyalex.files import alone_in, remove_leftovers, write_table

REJECTED, TWICE = "rejected.csv", "twice.csv"
SAMPLE = 64  # images from which the size of all JPEG files is estimated
SPARE = 2**26  # bytes that must stay free on the disk, beside a fiftieth of the set's size
MOST_SHARDS = 2**14  # the index names each
Counting = Callable[[int], AbstractContextManager[Callable[[int], object]]]


@dataclass(frozen=True)
class Prepared:
    """A complete set: its index, the number of images left out, and of those that are there twice."""

    index: Index
    rejected: int
    twice: int


def needed_bytes(source: Source, settings: ShardSettings) -> dict[Form, int]:
    """What the shards of each form will take on the disk; for JPEG estimated from a sample of the images."""
    count, size = len(source), settings.size
    lengths = []
    listing = source.splits["train"]
    for index in np.unique(np.linspace(0, len(listing) - 1, SAMPLE, dtype=np.int64)).tolist():
        with suppress(ImageError):
            item = listing[index]
            image, _ = images.stored(images.pixels(item, images.content(item), size), "jpeg")
            lengths.append(len(image))
    pixels = size * size * 3
    jpeg = sum(lengths) / len(lengths) if lengths else pixels / 10
    return {"raw": count * (pixels + ROW.itemsize), "jpeg": round(count * (jpeg + ROW.itemsize))}


def most_rejected(total: int, wanted: float | None) -> int:
    """How many of `total` images may be left out.

    wanted: a number of images, or below 1 a share of them; None: one in a hundred, or 10 if that is more.
    Raises UsageError for a negative number.
    """
    if wanted is None:
        return max(10, total // 100)
    if not 0 <= wanted < math.inf:
        raise UsageError(f"got max_rejected={wanted}: expected a number of images, or a share of them below 1")
    return int(wanted * total if wanted < 1 else wanted)


def check_room(folder: Path, needed: int) -> None:
    """Raise UsageError if the disk of `folder` has not `needed` bytes free, and some to spare."""
    free = shutil.disk_usage(folder).free
    if needed * 1.02 + SPARE > free:
        raise UsageError(
            f"got a disk with {readable(free)} free for {folder}: expected {readable(needed * 1.02 + SPARE)}; free "
            "some, choose another disk, or --form jpeg, a tenth of raw"
        )


def readable(count: float) -> str:
    """A number of bytes as text, such as 2.3 GB."""
    for unit in ("bytes", "kB", "MB"):
        if count < 1000:
            return f"{count:.3g} {unit}"
        count /= 1000
    return f"{count:,.3g} GB" if count < 1000 else f"{count:,.0f} GB"


def settings_of(source: Source, settings: ShardSettings) -> dict[str, Any]:
    """All that decides what a set holds: the settings, and a sha256 of the source's list of images."""
    listings = "".join(source.splits[split].fingerprint() for split in SPLITS)
    fingerprint = sha256("\n".join([*source.classes, listings]).encode())
    return {**asdict(settings), "source": fingerprint.hexdigest()}


def prepare(
    source: Source,
    folder: Path,
    settings: ShardSettings,
    *,
    needed: int,
    workers: int,
    max_rejected: int,
    counting: Counting,
) -> Prepared | None:
    """Write the set in `folder`, or what it lacks. None: it was complete, and stays as it is.

    needed:        bytes that all shards will take.   workers: processes at a time.
    max_rejected:  images that may be left out.
    counting:      called with the number of images to do; what its block yields, with those of each shard that is done.
    Raises UsageError if the disk is too small, if another process prepares the folder, or if it holds something else;
    DataError for too many bad images.
    """
    _check_request(source, folder, settings)
    wanted = settings_of(source, settings)
    with alone_in(folder):
        if (folder / INDEX).exists():
            if (found := read_index(folder).settings) != wanted:
                raise other_settings(folder, found, wanted)
            finished(folder)
            return None
        state = state_in(folder, wanted, settings.size)
        state.save(folder)
        _clean(folder)
        check_room(folder, needed - state.bytes)
        preparation = _Preparation(Order(source, settings.seed), folder, settings, state, max_rejected)
        preparation.write_shards(workers, counting)
        return preparation.finish()


def _check_request(source: Source, folder: Path, settings: ShardSettings) -> None:
    """Raise UsageError for a folder within the source, or for more shards than an index holds."""
    if folder.resolve().is_relative_to(source.root.resolve()):
        raise UsageError(f"got {folder} within {source.root}: expected another folder, as its images are read")
    least = -(-len(source) // MOST_SHARDS)
    if settings.shard < least:
        raise UsageError(
            f"got shard={settings.shard} for {len(source):,} images: expected at least {least}, as a set has at most "
            f"{MOST_SHARDS:,} shards"
        )


def _clean(folder: Path) -> None:
    """Remove the halves of files that killed processes have left."""
    for part in (folder, *(folder / split for split in SPLITS)):
        remove_leftovers(part)


@dataclass
class _Preparation:
    """A set that is being prepared in `folder`, as far as `state` says."""

    order: Order
    folder: Path
    settings: ShardSettings
    state: Unfinished
    max_rejected: int

    def write_shards(self, workers: int, counting: Counting) -> None:
        """Write the shards that the state lacks, and add them to it."""
        self._check_rejected()
        state, total = self.state, len(self.order.source)
        jobs = self.order.jobs(self.folder, self.settings, list(state.shards))
        with counting(total - state.images) as progress, closing(in_processes(write_shard, jobs, workers)) as results:
            for done in results:
                keep_digests(self.folder, done.first, done.digests, total)
                state.shards[done.written.entry.file] = done.written
                state.sums.merge(done.sums)
                state.save(self.folder)
                self._check_rejected()
                progress(len(done.digests))

    def finish(self) -> Prepared:
        """Write the tables, the statistics and, last, the index; remove the state."""
        source, state, twice = self.order.source, self.state, self._twice()
        write_rejected(self.folder / REJECTED, self._rejected())
        if twice:
            write_table(self.folder / TWICE, ("path", "class", "same as", "its class"), twice)
        entries = [state.shards[name].entry for name in sorted(state.shards)]
        index = Index(
            name=source.name,
            form=self.settings.form,
            size=self.settings.size,
            classes=source.classes,
            wnids=source.wnids,
            settings=state.settings,
            statistics=write_statistics(self.folder, state.sums.statistics()),
            splits={split: tuple(e for e in entries if e.file.startswith(f"{split}/")) for split in SPLITS},
        )
        _clean(self.folder)  # once more: a process that was killed with its parent may have lived a moment longer
        write_index(self.folder, index)
        finished(self.folder)
        return Prepared(index, len(self._rejected()), len(twice))

    def _rejected(self) -> list[tuple[str, str]]:
        """(name, reason) of all images that are left out so far."""
        return [*self.order.source.refused, *self.state.rejected]

    def _check_rejected(self) -> None:
        """Raise DataError if too many images are left out, and list them."""
        rejected = self._rejected()
        if len(rejected) > self.max_rejected:
            write_rejected(self.folder / REJECTED, rejected)
            raise DataError(
                f"got {len(rejected):,} images that cannot be used, listed in {self.folder / REJECTED}: expected at "
                f"most {self.max_rejected:,}; go on with a higher --max-rejected, or repair them and begin anew"
            )

    def _twice(self) -> list[tuple[str, ...]]:
        """(path, class, path, class) of every two images that are the same, but in two classes or in both splits."""
        order, classes = self.order, self.order.source.classes
        pairs = same_but_for(kept_digests(self.folder), order.labels())
        both = [(order.item(one), order.item(other)) for one, other in pairs]
        return [(one.name, classes[one.label], other.name, classes[other.label]) for one, other in both]
