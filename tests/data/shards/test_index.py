"""The index of a prepared set: what is written is read again, and what somebody else may have written is refused."""

import hashlib
import json
import os

import numpy as np
import pytest

from prepared_set import CLASSES, write_set
from tinyalex.data import open_data
from tinyalex.data.shards.index import INDEX, LARGEST_INDEX, Index, index_bytes, is_prepared, read_index, write_index
from tinyalex.data.shards.shard import ROW, new_shard
from tinyalex.errors import DataError, DTypeError, LabelError, ShapeError, UsageError


@pytest.fixture
def folder(tmp_path):
    write_set(tmp_path, size=4)
    return tmp_path


def document(folder):
    return json.loads((folder / INDEX).read_text())


def test_what_the_file_says(folder):
    found = document(folder)
    assert found["format"] == 1
    assert (found["name"], found["form"], found["size"], found["classes"]) == ("tiny", "raw", 4, list(CLASSES))
    assert found["wnids"] == ["n00000000", "n00000001", "n00000002"]
    assert found["settings"] == {"seed": 3, "form": "raw", "nested": {"list": [1, 2.5, None]}}
    assert found["statistics"] == hashlib.sha256((folder / "statistics.npz").read_bytes()).hexdigest()
    assert [(shard["file"], shard["images"]) for shard in found["splits"]["train"]] == [
        ("train/00000.raw", 4),
        ("train/00001.raw", 0),
        ("train/00002.raw", 3),
    ]
    for shard in found["splits"]["train"] + found["splits"]["val"]:
        content = (folder / shard["file"]).read_bytes()
        assert len(content) == shard["bytes"] == shard["images"] * (4 * 4 * 3 + 16)
        assert hashlib.sha256(content).hexdigest() == shard["sha256"]


def test_reading_gives_what_was_written(tmp_path, folder):
    index = read_index(folder)
    other = tmp_path / "other"
    write_index(other, index)
    assert read_index(other) == index
    assert (index.images("train"), index.images("val")) == (7, 2)
    assert (other / INDEX).read_bytes() == (folder / INDEX).read_bytes()


def test_a_folder_is_prepared_or_will_be(folder):
    assert is_prepared(folder)
    (folder / INDEX).unlink()
    assert not is_prepared(folder)
    (folder / "unfinished.npz").touch()
    with pytest.raises(DataError, match=r"without index.json: expected a complete set; finish it"):
        open_data(str(folder), size=4)


def test_settings_that_json_cannot_hold_are_not_written(tmp_path, folder):
    index = read_index(folder)
    index.settings["rate"] = float("nan")
    with pytest.raises(DataError, match="NaN"):
        write_index(tmp_path / "other", index)
    assert not (tmp_path / "other" / INDEX).exists()


# ---------------------------------------------------------------- files made by mistake, or to do harm


def edited(path, value):
    """A change of the parsed index: what `path` ("splits.train.0.file") leads to becomes `value`."""

    def change(found):
        *way, last = [int(step) if step.isdigit() else step for step in path.split(".")]
        for step in way:
            found = found[step]
        found[last] = value

    return pytest.param(change, id=f"{path}={str(value)[:30]}")


def without(key):
    return pytest.param(lambda found: found.pop(key), id=f"no {key}")


EDITS = [
    *map(without, ("format", "name", "form", "size", "classes", "wnids", "settings", "statistics", "splits")),
    edited("format", 0),
    edited("format", -1),
    edited("format", True),
    edited("format", "1"),
    edited("format", 1.0),
    edited("name", ""),
    edited("name", 5),
    edited("name", "\ud800"),
    edited("form", "png"),
    edited("form", "jpeg"),  # the files are named .raw
    edited("form", None),
    edited("size", 0),
    edited("size", -4),
    edited("size", 5),
    edited("size", 2**40),
    edited("size", 4.0),
    edited("size", True),
    edited("classes", []),
    edited("classes", "ant"),
    edited("classes", ["ant", "ant", "bee"]),
    edited("classes", ["ant", 2, "bee"]),
    edited("classes", ["ant", "", "bee"]),
    edited("classes", ["ant", "\udfff", "bee"]),
    edited("wnids", ["n1"]),
    edited("wnids", [1, 2, 3]),
    edited("settings", [1]),
    edited("settings", None),
    edited("statistics", ""),
    edited("statistics", "0" * 63),
    edited("statistics", "G" * 64),
    edited("statistics", "0" * 64 + "\n"),
    edited("splits", {}),
    edited("splits", []),
    edited("splits.test", []),
    edited("splits.train", []),
    edited("splits.train", None),
    edited("splits.train.0", "train/00000.raw"),
    edited("splits.train.0.file", "../train/00000.raw"),
    edited("splits.train.0.file", "/etc/passwd"),
    edited("splits.train.0.file", "train/../../x.raw"),
    edited("splits.train.0.file", "train/00001.raw"),
    edited("splits.train.0.file", "val/00000.raw"),
    edited("splits.train.0.file", "train\\00000.raw"),
    edited("splits.train.0.file", None),
    edited("splits.train.0.images", -1),
    edited("splits.train.0.images", 3),
    edited("splits.train.0.images", 5),
    edited("splits.train.0.images", 4.0),
    edited("splits.train.0.images", 10**30),
    edited("splits.train.0.bytes", 0),
    edited("splits.train.0.bytes", 257),
    edited("splits.train.0.bytes", -1),
    edited("splits.train.0.bytes", "256"),
    edited("splits.train.0.sha256", "00"),
    edited("splits.train.0.sha256", None),
    edited("splits.train.0.more", 1),
    edited("splits.train.0", {"file": "train/00000.raw", "images": -1, "bytes": -64, "sha256": "0" * 64}),
    edited("splits.test", [{"file": "test/00000.raw", "images": 1, "bytes": 64, "sha256": "0" * 64}]),
    edited("more", 1),
    edited("val", []),
]


@pytest.mark.parametrize("change", EDITS)
def test_an_index_that_cannot_be_right_is_refused(folder, change):
    found = document(folder)
    change(found)
    (folder / INDEX).write_text(json.dumps(found))
    with pytest.raises(DataError) as caught:
        read_index(folder)
    message = str(caught.value)
    assert str(folder / INDEX) in message
    assert "\n" not in message
    assert len(message) < len(str(folder)) + 350
    message.encode()  # can be printed


@pytest.mark.parametrize("form", ["raw", "jpeg"])
def test_numbers_that_fit_together_but_are_absurd_are_refused(tmp_path, form):
    """A sum of 2**31 images or more, though each shard's bytes fit its images."""
    write_set(tmp_path, form, 1)
    found = document(tmp_path)
    shard = found["splits"]["train"][0]
    shard["images"] = 2**31
    shard["bytes"] = 2**31 * (3 + ROW.itemsize)
    (tmp_path / INDEX).write_text(json.dumps(found))
    with pytest.raises(DataError, match=r"images in train: expected 1 ... 2147483647"):
        read_index(tmp_path)


@pytest.mark.parametrize(("images", "length"), [(4, 16 * 4 + 3), (4, 16 * 4 + 4 * (2 * 48 + 2**16) + 1), (0, 1)])
def test_a_jpeg_shard_too_short_or_too_long_for_its_images_is_refused(tmp_path, images, length):
    write_set(tmp_path, "jpeg", 4)
    found = document(tmp_path)
    found["splits"]["train"][0].update(images=images, bytes=length)
    (tmp_path / INDEX).write_text(json.dumps(found))
    with pytest.raises(DataError, match=f"train/00000.jpegs with {images} images in {length} bytes"):
        read_index(tmp_path)


def test_a_newer_format_is_told_before_anything_else(folder):
    (folder / INDEX).write_text('{"format": 2, "shards": "quite different"}')
    with pytest.raises(DataError, match=r"index.json of format 2: expected 1; update tinyalex, as a newer one made it"):
        read_index(folder)


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"{",
        b"[1, 2]",
        b"null",
        b"1",
        b"\xff\xfe\x00",
        b"\x89PNG\r\n\x1a\n",
        b'{"format": NaN}',
        b'{"format": ' + b"9" * 5000 + b"}",
        b"[" * 100_000,
        b'{"format": 1, "name": ' * 20_000,
        b'{"format": 1, "name": "\xff"}',
    ],
    ids=lambda content: repr(content[:20]),
)
def test_what_is_no_index_is_refused_in_one_line(folder, content):
    (folder / INDEX).write_bytes(content)
    with pytest.raises(DataError) as caught:
        read_index(folder)
    assert "\n" not in str(caught.value)
    assert str(folder / INDEX) in str(caught.value)


def test_a_huge_file_is_refused_without_reading_it_all(folder):
    with (folder / INDEX).open("wb") as file:
        file.truncate(2**40)  # a hole: it takes no space on the disk
    with pytest.raises(DataError, match=f"more than {LARGEST_INDEX:,} bytes"):
        read_index(folder)


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="no pipes with names on this system")
def test_a_pipe_in_place_of_the_index_does_not_hang(folder):
    (folder / INDEX).unlink()
    os.mkfifo(folder / INDEX)
    with pytest.raises(DataError, match=r"without index\.json"):
        index_bytes(folder)


def test_an_index_in_memory_is_checked_too(folder):
    known = read_index(folder)
    with pytest.raises(UsageError, match="got size=0"):
        Index(known.name, known.form, 0, known.classes, None, {}, known.statistics, known.splits)


# ---------------------------------------------------------------- writing a shard


def test_a_shard_that_is_interrupted_leaves_nothing(tmp_path):
    def interrupted():
        with new_shard(tmp_path, "train", 0, "raw", 4) as shard:
            shard.add(np.zeros((4, 4, 3), np.uint8), 0)
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        interrupted()
    assert list((tmp_path / "train").iterdir()) == []


@pytest.mark.parametrize(
    ("form", "image", "label", "error", "message"),
    [
        ("raw", np.zeros((4, 5, 3), np.uint8), 0, ShapeError, r"\(4, 5, 3\): expected \(4, 4, 3\)"),
        ("raw", np.zeros((4, 4, 3), np.float32), 0, DTypeError, "float32: expected uint8"),
        ("raw", b"jpeg", 0, DTypeError, "got bytes: expected an image for a raw shard"),
        ("raw", np.zeros((4, 4, 3), np.uint8), -1, LabelError, "got label -1"),
        ("raw", np.zeros((4, 4, 3), np.uint8), 2**31, LabelError, "got label 2147483648"),
        ("jpeg", np.zeros((4, 4, 3), np.uint8), 0, DTypeError, "for a jpeg shard"),
        ("jpeg", b"", 0, ShapeError, "of 0 bytes"),
        ("jpeg", bytes(2 * 48 + 2**16 + 1), 0, ShapeError, "of 65633 bytes: expected 1 ... 65632"),
    ],
)
def test_what_a_shard_does_not_take(tmp_path, form, image, label, error, message):
    with new_shard(tmp_path, "train", 0, form, 4) as shard, pytest.raises(error, match=message):
        shard.add(image, label)
    assert shard.entry.images == 0
