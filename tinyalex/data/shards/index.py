"""The index of a prepared set: index.json, which says what the set's folder holds.

    index.json      written last: a folder that has one is complete
    statistics.npz  the statistics of the training images' pixels
    rejected.csv    the images that were left out, and why
    unfinished.npz  how far the set is, while it is being prepared
    train/00000.raw, train/00001.raw, ...   val/00000.raw, ...      (.jpegs for the form "jpeg")

Whoever passes on a prepared set wrote its index: nothing in it is believed before it is checked.
"""

import json
import re
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from tinyalex.data.shards.shard import ROW, Form, ShardEntry, longest_image, shard_name
from tinyalex.errors import DataError, UsageError
from tinyalex.files import one_line, write_text
from tinyalex.typed import brief, typed

FORMAT = 1  # of the whole folder; a change that older versions cannot read counts it up
INDEX, UNFINISHED = "index.json", "unfinished.npz"
SPLITS = ("train", "val")
AGAIN = "copy or prepare the set again"  # ends the message about a file that is damaged
LARGEST_INDEX = 2**24  # bytes; ILSVRC-2012 has 1,300 shards, and their index 0.3 MB
LARGEST_SIZE = 4096  # S; the paper's is 256
LARGEST_COUNT = 2**31 - 1  # images in a split


@dataclass(frozen=True)
class Index:
    """What a prepared set holds; the file has the same fields, and `format`.

    name:       the set's name in reports.
    form:       of its shards: "raw" or "jpeg".
    size:       S, the height and width of every image.
    classes:    the class names; label i stands for classes[i].
    wnids:      the WordNet number of each class, such as "n01440764"; None if they are not known.
    settings:   all that decided what the set holds, the seed included; what JSON can hold.
    statistics: the sha256 of statistics.npz.
    splits:     the shards of "train" and of "val".
    Raises UsageError if these contradict each other.
    """

    name: str
    form: Form
    size: int
    classes: tuple[str, ...]
    wnids: tuple[str, ...] | None
    settings: dict[str, Any]
    statistics: str
    splits: dict[str, tuple[ShardEntry, ...]]

    def __post_init__(self) -> None:
        if not 1 <= self.size <= LARGEST_SIZE:
            raise UsageError(f"got size={self.size}: expected 1 ... {LARGEST_SIZE}")
        if not self.classes or len(set(self.classes)) < len(self.classes):
            raise UsageError("got classes with no name, or a name twice: expected distinct names")
        if self.wnids is not None and len(self.wnids) != len(self.classes):
            raise UsageError(f"got {len(self.wnids)} wnids: expected one for each of {len(self.classes)} classes")
        for text in (self.name, *self.classes, *(self.wnids or ())):
            if not text or any("\ud800" <= letter <= "\udfff" for letter in text):  # has no UTF-8 form
                raise UsageError("got a name that is empty or cannot be printed: expected text")
        _check_sha256("statistics", self.statistics)
        if set(self.splits) != set(SPLITS):
            raise UsageError(f"got other splits: expected {' and '.join(SPLITS)}")
        for split, shards in self.splits.items():
            for number, shard in enumerate(shards):
                self._check_shard(shard, shard_name(split, number, self.form))
            if not 1 <= self.images(split) <= LARGEST_COUNT:
                raise UsageError(f"got {self.images(split)} images in {split}: expected 1 ... {LARGEST_COUNT}")

    def images(self, split: str) -> int:
        """The number of images in a split."""
        return sum(shard.images for shard in self.splits[split])

    def _check_shard(self, shard: ShardEntry, name: str) -> None:
        """Raise UsageError unless the shard has this name, and a size in bytes that fits its number of images."""
        if shard.file != name:  # so that no name leads out of the folder
            raise UsageError(f"got a shard with another name: expected {name}")
        _check_sha256(name, shard.sha256)
        n, content = shard.images, shard.bytes - shard.images * ROW.itemsize
        raw = n * self.size * self.size * 3
        if n < 0 or (content != raw if self.form == "raw" else not n <= content <= n * longest_image(self.size)):
            raise UsageError(f"got {name} with {n} images in {shard.bytes} bytes: expected numbers that fit")


def is_prepared(folder: Path) -> bool:
    """Whether `folder` is a prepared set, complete or not."""
    return (folder / INDEX).exists() or (folder / UNFINISHED).exists()


def write_index(folder: Path, index: Index) -> None:
    """Write `index` as folder/index.json, in one piece. Raises DataError for settings that JSON cannot hold."""
    text = json.dumps({"format": FORMAT, **asdict(index)}, indent=1) + "\n"
    parse_index(text.encode(), folder / INDEX)  # what cannot be read again is not written
    write_text(folder / INDEX, text)


def read_index(folder: Path) -> Index:
    """The index of the prepared set in `folder`. Raises DataError, with the reason, if it is missing or damaged."""
    return parse_index(index_bytes(folder), folder / INDEX)


def index_bytes(folder: Path) -> bytes:
    """The content of folder/index.json. Raises DataError if it cannot be read, or is too large to be an index."""
    path = folder / INDEX
    if not path.is_file():
        raise DataError(f"got {folder} without {INDEX}: expected a complete set; finish it with tinyalex prepare")
    try:
        with path.open("rb") as file:
            content = file.read(LARGEST_INDEX + 1)
    except OSError as error:
        raise DataError(f"cannot read {path} ({error.strerror}): expected the index of a prepared set") from error
    if len(content) > LARGEST_INDEX:
        raise DataError(f"got {path} of more than {LARGEST_INDEX:,} bytes: expected the index of a prepared set")
    return content


def parse_index(content: bytes, path: Path) -> Index:
    """The index in the bytes of an index file.   path: for the message of the DataError, if it is damaged."""
    try:
        document = typed(dict[str, Any], json.loads(content, parse_constant=_refuse_constant), "index")
        number = typed(int, document.pop("format", None), "format")
        if number == FORMAT:
            index: Index = typed(Index, document, "index")
            return index
    except (ValueError, RecursionError) as error:  # UsageError is a ValueError too
        raise DataError(f"cannot read {path} ({one_line(error)}); {AGAIN}") from error
    what_to_do = "update tinyalex, as a newer one made it" if number > FORMAT else AGAIN
    raise DataError(f"got {path} of format {brief(number)}: expected {FORMAT}; {what_to_do}")


def _refuse_constant(name: str) -> None:
    """NaN and Infinity are no JSON, though Python reads them."""
    raise ValueError(f"{name} is no number")


def _check_sha256(name: str, digits: str) -> None:
    if not re.fullmatch("[0-9a-f]{64}", digits):
        raise UsageError(f"got a sha256 of {name} that is none: expected 64 hexadecimal digits")
