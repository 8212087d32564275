"""The work of preparing a set, cut into jobs: a shard each.

The images of each split are shuffled once, and shard k has the places k*n ... (k+1)*n - 1 of that order. So a shard
depends on nothing but the source and the settings: whichever process writes it, and how often, its bytes are the same.
"""

import warnings
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from tinyalex.backend.threads import one_blas_thread
from tinyalex.data.shards import images
from tinyalex.data.shards.index import LARGEST_SIZE, SPLITS
from tinyalex.data.shards.listing import Item
from tinyalex.data.shards.shard import Form, new_shard, shard_name
from tinyalex.data.shards.sources import Source
from tinyalex.data.shards.unfinished import Rejected, Written
from tinyalex.data.statistics import PixelSums
from tinyalex.errors import ImageError, UsageError


@dataclass(frozen=True)
class ShardSettings:
    """How a set is prepared.

    size:  S, the height and width of its images.   form: of its shards.
    seed:  of the order of the images.              shard: images a shard.
    Raises UsageError for a number that is out of range.
    """

    size: int = 256
    form: Form = "raw"
    seed: int = 0
    shard: int = 1024

    def __post_init__(self) -> None:
        if not (1 <= self.size <= LARGEST_SIZE and self.seed >= 0 and self.shard >= 1):
            raise UsageError(
                f"got size={self.size}, seed={self.seed}, shard={self.shard}: expected size 1 ... {LARGEST_SIZE}, "
                "seed >= 0, shard >= 1"
            )


@dataclass(frozen=True)
class Job:
    """A shard to write: its folder, split and number, its images, and the place of the first in the order of all."""

    folder: Path
    settings: ShardSettings
    split: str
    number: int
    first: int
    items: list[Item]


@dataclass(frozen=True)
class Done:
    """What a job gives back: the shard, the sums over its training images, and each image's digest (0: left out)."""

    first: int
    written: Written
    sums: PixelSums
    digests: NDArray[np.uint64]


def write_shard(job: Job) -> Done:
    """Write the shard of a job, one image after the other."""
    form, size = job.settings.form, job.settings.size
    sums, rejected = PixelSums(size), list[Rejected]()
    digests = np.zeros(len(job.items), np.uint64)
    with (
        one_blas_thread(),
        warnings.catch_warnings(action="ignore"),  # Pillow's, of odd but harmless things in a file
        new_shard(job.folder, job.split, job.number, form, size) as shard,
    ):
        for number, item in enumerate(job.items):
            try:
                data = images.content(item)
                image, pixels = images.stored(images.pixels(item, data, size), form)
            except ImageError as error:
                rejected.append(Rejected(error.name, error.reason))
                continue
            shard.add(image, item.label)
            digests[number] = images.digest(data)
            if job.split == "train":
                sums.add(pixels[None])
    return Done(job.first, Written(shard.entry, tuple(rejected)), sums, digests)


class Order:
    """The shuffled order of a source's images, those of "train" before those of "val"."""

    def __init__(self, source: Source, seed: int) -> None:
        self.source = source
        self._places = {
            split: np.random.default_rng([seed, number]).permutation(len(source.splits[split]))
            for number, split in enumerate(SPLITS)
        }

    def jobs(self, folder: Path, settings: ShardSettings, done: Collection[str]) -> Iterator[Job]:
        """The shards that are not among `done`, each as a job."""
        begin = 0
        for split in SPLITS:
            listing, places = self.source.splits[split], self._places[split]
            for number, first in enumerate(range(0, len(places), settings.shard)):
                if shard_name(split, number, settings.form) not in done:
                    items = [listing[index] for index in places[first : first + settings.shard].tolist()]
                    yield Job(folder, settings, split, number, begin + first, items)
            begin += len(places)

    def labels(self) -> NDArray[np.int64]:
        """The label of each image in the order (N,); those of "val" are numbered after those of "train"."""
        classes = len(self.source.classes)
        of_splits = [self.source.splits[split].labels[self._places[split]] for split in SPLITS]
        return np.concatenate([labels + classes * number for number, labels in enumerate(of_splits)], dtype=np.int64)

    def item(self, place: int) -> Item:
        """The image at a place in the order."""
        train = len(self._places["train"])
        split, place = ("train", place) if place < train else ("val", place - train)
        return self.source.splits[split][int(self._places[split][place])]
