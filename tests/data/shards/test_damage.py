"""Prepared sets that are damaged, or made to do harm: told by name, in one line, before a wrong image is used."""

import io
import os
import pickle
import random
import struct
import zipfile
import zlib
from dataclasses import asdict, replace
from hashlib import sha256

import numpy as np
import pytest
from PIL import Image

from prepared_set import jpeg_of, statistics_of, write_set
from tinyalex.data.shards.dataset import load_prepared
from tinyalex.data.shards.index import read_index, write_index
from tinyalex.data.shards.measured import STATISTICS
from tinyalex.data.shards.shard import ROW, ShardEntry
from tinyalex.data.shards.verify import verify
from tinyalex.errors import DataError

SUFFIX = {"raw": ".raw", "jpeg": ".jpegs"}


@pytest.fixture(params=["raw", "jpeg"])
def form(request):
    return request.param


def flip(path, at):
    """Change one bit of the byte `at`."""
    content = bytearray(path.read_bytes())
    content[at] ^= 1 << (at % 8)
    path.write_bytes(content)


def refused(folder, *in_message):
    """The message of the DataError that opening the set raises."""
    with pytest.raises(DataError) as caught:
        load_prepared(folder, size=8)
    message = str(caught.value)
    assert "\n" not in message
    assert all(part in message for part in in_message), message
    return message


def test_an_untouched_set_is_whole(tmp_path, form):
    write_set(tmp_path, form)
    done = []
    assert verify(tmp_path, done.append) == []
    assert done == [shard.images for shards in read_index(tmp_path).splits.values() for shard in shards]


@pytest.mark.parametrize("cut", [1, 16, 17, 200])
def test_a_truncated_shard_is_told_before_anything_is_read(tmp_path, form, cut):
    write_set(tmp_path, form)
    path = tmp_path / "train" / f"00002{SUFFIX[form]}"
    length = path.stat().st_size
    os.truncate(path, length - cut)
    refused(tmp_path, str(path), f"of {length - cut:,} bytes", f"expected {length:,}")
    (line,) = verify(tmp_path)
    assert str(path) in line


def test_a_shard_that_grew(tmp_path, form):
    write_set(tmp_path, form)
    path = tmp_path / "val" / f"00000{SUFFIX[form]}"
    with path.open("ab") as file:
        file.write(b"x")
    refused(tmp_path, str(path))


def test_a_missing_shard(tmp_path, form):
    write_set(tmp_path, form)
    path = tmp_path / "train" / f"00000{SUFFIX[form]}"
    path.unlink()
    refused(tmp_path, f"got no {path}")
    path.mkdir()
    refused(tmp_path, f"got no {path}")


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="no pipes with names on this system")
@pytest.mark.parametrize("name", ["train/00000.raw", "statistics.npz"])
def test_a_pipe_does_not_hang(tmp_path, name):
    write_set(tmp_path)
    (tmp_path / name).unlink()
    os.mkfifo(tmp_path / name)
    refused(tmp_path, str(tmp_path / name))
    (line,) = verify(tmp_path)
    assert name in line


def test_every_damaged_file_is_listed(tmp_path, form):
    write_set(tmp_path, form)
    first, second, third = (tmp_path / f"{name}{SUFFIX[form]}" for name in ("train/00000", "train/00002", "val/00000"))
    flip(first, 5)
    os.truncate(second, 10)
    third.unlink()
    flip(tmp_path / STATISTICS, 300)
    lines = verify(tmp_path)
    assert len(lines) == 4
    for line, path in zip(lines, (tmp_path / STATISTICS, first, second, third), strict=True):
        assert str(path) in line


def test_one_flipped_bit_anywhere_in_a_shard(tmp_path, form):
    """Each is told: by `verify`, and when the set is opened or at the latest when the image is read, by its number."""
    images, _ = write_set(tmp_path, form)["train"]
    path = tmp_path / "train" / f"00000{SUFFIX[form]}"
    untouched = path.read_bytes()
    ends = np.frombuffer(untouched[-4 * ROW.itemsize :], ROW)["end"].tolist()
    places = random.Random(5).sample(range(ends[-1]), 100) + list(range(ends[-1], len(untouched)))
    for at in places:
        flip(path, at)
        (line,) = verify(tmp_path)
        assert str(path) in line
        with pytest.raises(DataError, match=path.name) as caught:
            load_prepared(tmp_path, size=8)[0].read(np.arange(4))
        if at < ends[-1]:
            image = next(number for number, end in enumerate(ends) if at < end)
            assert f"image {image} of {path}" in str(caught.value)
            others = [number for number in range(7) if number != image]
            np.testing.assert_array_equal(load_prepared(tmp_path, size=8)[0].read(np.array(others)), images[others])
        path.write_bytes(untouched)


def test_a_shard_cut_short_while_the_set_is_in_use(tmp_path, form):
    images, _ = write_set(tmp_path, form)["train"]
    train, _ = load_prepared(tmp_path, size=8)
    path = tmp_path / "train" / f"00000{SUFFIX[form]}"
    os.truncate(path, 100)  # a memory map would end the process here
    with pytest.raises(DataError, match=f"{path}, cut short before image 3"):
        train.read(np.array([6, 3]))
    np.testing.assert_array_equal(train.read(np.array([6])), images[[6]])


# ---------------------------------------------------------------- sets made to do harm: their checksums are right


def made(folder, contents, form="jpeg", edit=None):
    """A set whose only training shard holds these images, with labels 0, 1, ...; `edit` changes its table."""
    write_set(folder, form)
    index = read_index(folder)
    checks = [zlib.crc32(content, label) for label, content in enumerate(contents)]
    ends = np.cumsum([len(content) for content in contents])
    table = np.array(list(zip(ends, range(len(contents)), checks, strict=True)), ROW)
    if edit is not None:
        edit(table)
    data = b"".join(contents) + table.tobytes()
    entry = ShardEntry(index.splits["train"][0].file, len(contents), len(data), sha256(data).hexdigest())
    (folder / entry.file).write_bytes(data)
    write_index(folder, replace(index, splits={**index.splits, "train": (entry,)}))
    assert verify(folder) == []


NOISE = np.random.default_rng(0).integers(0, 256, (9, 9, 3), np.uint8)
GOOD = jpeg_of(NOISE[:8, :8])


def png():
    file = io.BytesIO()
    Image.fromarray(NOISE[:8, :8]).save(file, "PNG")
    return file.getvalue()


def claiming(height, width):
    """A JPEG file whose header claims another size; its pixels would take 3 * height * width bytes."""
    at = GOOD.index(b"\xff\xc0") + 5
    return GOOD[:at] + struct.pack(">HH", height, width) + GOOD[at + 4 :]


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"no image at all", "not a JPEG file"),
        (png(), "not a JPEG file"),
        (jpeg_of(NOISE), "RGB of 9 x 9, not RGB of the set's size"),
        (claiming(60000, 60000), "RGB of 60000 x 60000"),
        (claiming(8, 9), "RGB of 9 x 8"),
        (jpeg_of(NOISE[:8, :8, 0]), "L of 8 x 8"),
        (GOOD[:-60], "truncated"),
        (GOOD[:200], "cannot decode"),
        (b"\xff\xd8\xff", "cannot decode"),
    ],
)
def test_a_jpeg_that_is_none_or_another(tmp_path, content, reason):
    made(tmp_path, [GOOD, content])
    train, _ = load_prepared(tmp_path, size=8)
    train.read(np.array([0]))
    with pytest.raises(DataError) as caught:
        train.read(np.array([0, 1]))
    message = str(caught.value)
    assert f"image 1 of {tmp_path / 'train' / '00000.jpegs'}" in message
    assert reason in message
    assert "\n" not in message


@pytest.mark.parametrize(
    ("image", "column", "change"),
    [
        (2, "end", lambda end: end + 1),
        (2, "end", lambda end: end - 1),
        (2, "end", lambda end: end + 2**63),
        (1, "end", lambda end: end + 2**63),
        (0, "end", lambda end: end * 0 + 2**64 - 1),
        (0, "end", lambda end: end * 0),
        (1, "end", lambda end: end * 0),
        (1, "label", lambda label: label + 2),
        (0, "label", lambda label: label - 1),
    ],
)
def test_a_table_that_contradicts_itself(tmp_path, form, image, column, change):
    def edit(table):
        table[column][image] = change(int(table[column][image]))

    made(tmp_path, [GOOD] * 3 if form == "jpeg" else [NOISE[:8, :8].tobytes()] * 3, form, edit)
    refused(tmp_path, str(tmp_path / "train" / f"00000{SUFFIX[form]}"), "whose table contradicts the index")


def test_an_image_longer_than_any_can_be(tmp_path, form):
    """The index bounds the sum only."""
    longest = 2 * 8 * 8 * 3 + 2**16
    if form == "jpeg":
        made(tmp_path, [GOOD, bytes(longest), GOOD])
        load_prepared(tmp_path, size=8)
        made(tmp_path, [GOOD, bytes(longest + 1), GOOD])
    else:
        pixels = 8 * 8 * 3
        made(tmp_path, [bytes(pixels - 1), bytes(pixels + 1)], "raw")
    refused(tmp_path, "whose table contradicts the index")


# ---------------------------------------------------------------- statistics.npz


def test_statistics_missing_or_changed(tmp_path):
    write_set(tmp_path)
    path = tmp_path / STATISTICS
    untouched = path.read_bytes()
    for at in range(0, len(untouched), 37):
        flip(path, at)
        refused(tmp_path, str(path), "changed since it was written")
        path.write_bytes(untouched)
    path.write_bytes(untouched[:-1])
    refused(tmp_path, str(path), "changed since it was written")
    path.unlink()
    refused(tmp_path, str(path))


def signed(folder):
    """Write the checksum of statistics.npz into the index."""
    digest = sha256((folder / STATISTICS).read_bytes()).hexdigest()
    write_index(folder, replace(read_index(folder), statistics=digest))


def npy_of(array):
    file = io.BytesIO()
    np.save(file, array)
    return file.getvalue()


@pytest.mark.parametrize(
    ("name", "member", "reason"),
    [
        ("mean", npy_of(np.full((8, 8, 3), np.nan, np.float32)), "mean is not float32 of shape (8, 8, 3), all finite"),
        ("mean", npy_of(np.zeros((16, 4, 3), np.float32)), "mean is not"),
        ("mean", npy_of(np.zeros(2**17)), "a member is larger than the file"),  # 1 MiB of zeros, compressed
        ("eigenvalues", npy_of(np.zeros(3, np.int64)), "eigenvalues is not float64"),
        ("eigenvalues", npy_of(np.array([print], object)), "allow_pickle=False"),
        ("eigenvalues", b"no array", ""),
        ("eigenvectors", npy_of(np.zeros((3, 3)))[:-1], ""),
    ],
    ids=["not finite", "shape", "bomb", "dtype", "pickle", "junk", "cut"],
)
def test_statistics_made_to_do_harm(tmp_path, name, member, reason):
    write_set(tmp_path)
    members = {known: npy_of(array) for known, array in asdict(statistics_of(8)).items()} | {name: member}
    with zipfile.ZipFile(tmp_path / STATISTICS, "w") as archive:
        for known, content in members.items():
            large = len(content) > 2**16
            archive.writestr(f"{known}.npy", content, zipfile.ZIP_DEFLATED if large else zipfile.ZIP_STORED)
    signed(tmp_path)
    refused(tmp_path, str(tmp_path / STATISTICS), "expected pixel statistics", reason)


@pytest.mark.parametrize("content", [b"", b"PK\x03\x04", npy_of(np.zeros(3)), pickle.dumps(print)])
def test_statistics_that_are_no_archive(tmp_path, content):
    write_set(tmp_path)
    (tmp_path / STATISTICS).write_bytes(content)
    signed(tmp_path)
    refused(tmp_path, str(tmp_path / STATISTICS), "expected pixel statistics")


def test_statistics_larger_than_any(tmp_path):
    write_set(tmp_path)
    with (tmp_path / STATISTICS).open("wb") as file:
        file.truncate(2**40)  # a hole: it takes no space on the disk
    refused(tmp_path, f"got no {tmp_path / STATISTICS} of at most")
