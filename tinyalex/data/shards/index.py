"""The index of a prepared set: index.json, which says what the set's folder holds.

    index.json      written last: a folder that has one is complete
    statistics.npz  the statistics of the training images' pixels
    rejected.csv    the images that were left out, and why
    train/00000.raw, train/00001.raw, ...   val/00000.raw, ...      (.jpegs for the form "jpeg")

Whoever passes on a prepared set wrote its index: nothing in it is believed before it is checked.
"""

import json
import re
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from tinyalex.data.shards.shard import ROW, SUFFIXES, Form, ShardEntry, longest_image, shard_name
from tinyalex.errors import DataError
from tinyalex.files import write_text

FORMAT = 1  # of the whole folder; a change that older versions cannot read counts it up
INDEX = "index.json"
SPLITS = ("train", "val")
LARGEST_INDEX = 2**24  # bytes; ILSVRC-2012 has 1,300 shards, and their index 0.3 MB
LARGEST_SIZE = 4096  # S; the paper's is 256
LARGEST_COUNT = 2**31 - 1  # images


@dataclass(frozen=True)
class Index:
    """What a prepared set holds.

    name:       the set's name in reports.
    form:       of its shards: "raw" or "jpeg".
    size:       S, the height and width of every image.
    classes:    the class names; label i stands for classes[i].
    wnids:      the WordNet number of each class, such as "n01440764"; None if they are not known.
    settings:   all that decided what the set holds, the seed included; what JSON can hold.
    statistics: the sha256 of statistics.npz.
    splits:     the shards of "train" and of "val".
    """

    name: str
    form: Form
    size: int
    classes: tuple[str, ...]
    wnids: tuple[str, ...] | None
    settings: dict[str, Any]
    statistics: str
    splits: dict[str, tuple[ShardEntry, ...]]

    def images(self, split: str) -> int:
        """The number of images in a split."""
        return sum(shard.images for shard in self.splits[split])


def write_index(folder: Path, index: Index) -> None:
    """Write `index` as folder/index.json, in one piece. Raises DataError for an index that could not be read again."""
    document = {
        "format": FORMAT,
        "name": index.name,
        "form": index.form,
        "size": index.size,
        "classes": index.classes,
        "wnids": index.wnids,
        "settings": index.settings,
        "statistics": {"sha256": index.statistics},
        "splits": {
            split: {"images": index.images(split), "shards": [asdict(shard) for shard in shards]}
            for split, shards in index.splits.items()
        },
    }
    text = json.dumps(document, indent=1) + "\n"
    parse_index(text.encode(), folder / INDEX)
    write_text(folder / INDEX, text)


def read_index(folder: Path) -> Index:
    """The index of the prepared set in `folder`. Raises DataError, with the reason, if it is missing or damaged."""
    path = folder / INDEX
    return parse_index(index_bytes(path), path)


def index_bytes(path: Path) -> bytes:
    """The bytes of an index file. Raises DataError if it cannot be read or is too large to be one."""
    try:
        if not path.is_file():
            raise DataError(f"got {path.parent} without {INDEX}: expected a prepared set; finish it with prepare")
        with path.open("rb") as file:
            data = file.read(LARGEST_INDEX + 1)
    except OSError as error:
        raise DataError(f"cannot read {path} ({error.strerror}): expected the index of a prepared set") from error
    if len(data) > LARGEST_INDEX:
        raise DataError(f"got {path} of more than {LARGEST_INDEX:,} bytes: expected the index of a prepared set")
    return data


def parse_index(data: bytes, path: Path) -> Index:
    """The index in the bytes of an index file.   path: named in the message of the DataError for a damaged one."""
    try:
        return _index(json.loads(data, parse_constant=_no_number))
    except _NewerFormatError as error:
        raise DataError(
            f"got {path} of {error}, made by a newer tinyalex: expected format {FORMAT}; update it"
        ) from None
    except (ValueError, RecursionError) as error:
        reason = " ".join(str(error).split())[:200]
        raise DataError(f"got {path} ({reason}): expected the index of a prepared set; prepare it again") from None


class _NewerFormatError(Exception):
    """The index has a format that only a newer version can read."""


def _no_number(text: str) -> None:
    raise ValueError(f"{text} is no number of JSON")


def _index(document: Any) -> Index:
    """The parsed JSON as an Index. Raises ValueError, with the reason, for anything that an index cannot hold."""
    document = _object(document, "the file")
    form_number = _integer(document, "format", 1, 2**31)
    if form_number > FORMAT:
        raise _NewerFormatError(f"format {form_number}")
    form, size = _form(document), _integer(document, "size", 1, LARGEST_SIZE)
    classes = _names(document, "classes")
    wnids = None if document.get("wnids") is None else _names(document, "wnids")
    if wnids is not None and len(wnids) != len(classes):
        raise ValueError(f"{len(wnids)} wnids for {len(classes)} classes")
    splits = _object(document.get("splits"), "splits")
    if set(splits) != set(SPLITS):
        raise ValueError(f"splits are not {' and '.join(SPLITS)}")
    return Index(
        name=_text(document, "name"),
        form=form,
        size=size,
        classes=classes,
        wnids=wnids,
        settings=_object(document.get("settings"), "settings"),
        statistics=_sha256(_object(document.get("statistics"), "statistics")),
        splits={split: _shards(_object(splits[split], split), split, form, size) for split in SPLITS},
    )


def _shards(document: dict[str, Any], split: str, form: Form, size: int) -> tuple[ShardEntry, ...]:
    """The entries of a split, each checked, and their sum against the split's number of images."""
    images = _integer(document, "images", 1, LARGEST_COUNT)
    shards = []
    for number, value in enumerate(_list(document, "shards")):
        entry, name = _object(value, "a shard"), shard_name(split, number, form)
        if entry.get("file") != name:  # so no name can lead out of the folder
            raise ValueError(f"{split} shard {number} is not named {name}")
        n = _integer(entry, "images", 0, LARGEST_COUNT)
        length = _integer(entry, "bytes", 0, 2**63 - 1)
        pixels = length - n * ROW.itemsize
        if pixels != n * size * size * 3 if form == "raw" else not n <= pixels <= n * longest_image(size):
            raise ValueError(f"{name} has {length} bytes for {n} images of {size} x {size}")
        shards.append(ShardEntry(name, n, length, _sha256(entry)))
    if (total := sum(shard.images for shard in shards)) != images:
        raise ValueError(f"the shards of {split} hold {total} images, not {images}")
    return tuple(shards)


def _object(value: Any, name: str) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise ValueError(f"{name} is no object")
    return value


def _list(document: dict[str, Any], key: str) -> list[Any]:
    value = document.get(key)
    if not isinstance(value, list):
        raise ValueError(f"{key} is no list")
    return value


def _integer(document: dict[str, Any], key: str, least: int, most: int) -> int:
    value = document.get(key)
    if type(value) is not int or not least <= value <= most:  # True is an int too
        raise ValueError(f"{key} is no integer in {least} ... {most}")
    return value


def _form(document: dict[str, Any]) -> Form:
    for form in SUFFIXES:
        if document.get("form") == form:
            return form
    raise ValueError(f"form is not one of {', '.join(SUFFIXES)}")


def _text(document: dict[str, Any], key: str) -> str:
    return _printable(document.get(key), key)


def _printable(value: Any, key: str) -> str:
    """A string that is not empty and has a UTF-8 form."""
    if not isinstance(value, str) or not value or any("\ud800" <= letter <= "\udfff" for letter in value):
        raise ValueError(f"{key} is no text")
    return value


def _names(document: dict[str, Any], key: str) -> tuple[str, ...]:
    names = tuple(_printable(value, f"a name in {key}") for value in _list(document, key))
    if not names or len(set(names)) != len(names):
        raise ValueError(f"{key} are not distinct names")
    return names


def _sha256(document: dict[str, Any]) -> str:
    value = _text(document, "sha256")
    if not re.fullmatch("[0-9a-f]{64}", value):
        raise ValueError("a sha256 is no 64 hexadecimal digits")
    return value
