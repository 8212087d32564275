"""unfinished.npz: how far a set has been prepared. It is replaced in one piece after every shard.

A second file, unfinished.digests, has 8 bytes for each image at its place in the shuffled order, by which an image that
is there twice is found at the end. After a kill it may be ahead of the state, whose next shard writes the same again.
"""

import json
import os
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tinyalex.data.shards.index import UNFINISHED
from tinyalex.data.shards.shard import ShardEntry
from tinyalex.data.statistics import PixelSums
from tinyalex.errors import DataError, UsageError
from tinyalex.files import one_line, replacing
from tinyalex.typed import typed

DIGESTS = "unfinished.digests"


@dataclass(frozen=True)
class Rejected:
    """An image that was left out, and why."""

    name: str
    reason: str


@dataclass(frozen=True)
class Written:
    """A shard that is on the disk, and the images that it lacks."""

    entry: ShardEntry
    rejected: tuple[Rejected, ...]


@dataclass
class Unfinished:
    """What has been prepared so far.

    settings: all that decides what the set will hold.
    shards:   those on the disk, by their names.
    sums:     over the training images in them.
    """

    settings: dict[str, Any]
    sums: PixelSums
    shards: dict[str, Written] = field(default_factory=dict)

    @property
    def rejected(self) -> list[tuple[str, str]]:
        """(name, reason) of the images that were left out so far, in the order of the shards."""
        return [(image.name, image.reason) for name in sorted(self.shards) for image in self.shards[name].rejected]

    @property
    def images(self) -> int:
        """The number of images that are done: those in the shards, and those that were left out."""
        return sum(shard.entry.images + len(shard.rejected) for shard in self.shards.values())

    @property
    def bytes(self) -> int:
        """The size of all shards so far."""
        return sum(shard.entry.bytes for shard in self.shards.values())

    def save(self, folder: Path) -> None:
        """Write the state into `folder`."""
        shards = [asdict(self.shards[name]) for name in sorted(self.shards)]
        state = json.dumps({"settings": self.settings, "shards": shards}).encode()
        with replacing(folder / UNFINISHED) as file:
            np.savez(file, allow_pickle=False, state=np.frombuffer(state, np.uint8), **self.sums.arrays())


def state_in(folder: Path, settings: dict[str, Any], size: int) -> Unfinished:
    """How far the set in `folder` is: nothing yet, if the folder is empty.   size: S of its images.

    Raises UsageError if it is prepared with other settings or from other images, or if the folder holds something else;
    DataError if its state is damaged.
    """
    path = folder / UNFINISHED
    if not path.exists():
        if any(not name.endswith(".tmp") for name in os.listdir(folder)):  # noqa: PTH208 (names are enough)
            raise UsageError(f"got {folder}, which holds something else: expected a new or an empty folder")
        return Unfinished(settings, PixelSums(size))
    try:
        with path.open("rb") as file, np.load(file, allow_pickle=False) as stored:
            arrays = dict(stored)
        state = json.loads(arrays["state"].tobytes())
        written = typed(tuple[Written, ...], state["shards"], "shards")
        found = typed(dict[str, Any], state["settings"], "settings")
        if found == settings:
            sums = PixelSums.from_arrays(arrays, size)
            return Unfinished(settings, sums, {shard.entry.file: shard for shard in written})
    except Exception as error:  # NumPy and zipfile raise almost anything for a damaged file
        raise DataError(
            f"got {path} ({one_line(error)}): expected how far it was; remove {folder} to begin anew"
        ) from error
    raise other_settings(folder, found, settings)


def other_settings(folder: Path, found: dict[str, Any], wanted: dict[str, Any]) -> UsageError:
    """The error for a set that was begun, or made, with other settings: it names the first that differs."""
    name = next(name for name in {**wanted, **found} if found.get(name) != wanted.get(name))
    if name == "source":
        what, expected = "made from other images, or from these before they changed", "the same images"
    else:
        what, expected = f"made with {name} {found.get(name)}", f"{name} {wanted.get(name)}"
    return UsageError(f"got {folder}, {what}: expected {expected}; choose another folder, or remove this one")


def finished(folder: Path) -> None:
    """Remove the state: the set is complete."""
    for name in (UNFINISHED, DIGESTS):
        (folder / name).unlink(missing_ok=True)


def keep_digests(folder: Path, first: int, digests: NDArray[np.uint64], total: int) -> None:
    """Write the digests (n,) of the images at the places first, first + 1, ... of `total`."""
    with (folder / DIGESTS).open("r+b" if (folder / DIGESTS).exists() else "w+b") as file:
        file.truncate(8 * total)
        file.seek(8 * first)
        file.write(digests.astype("<u8").tobytes())
        file.flush()
        os.fsync(file.fileno())


def kept_digests(folder: Path) -> NDArray[np.uint64]:
    """The digests (N,) of all images; 0 for an image that was left out."""
    return np.fromfile(folder / DIGESTS, "<u8")
