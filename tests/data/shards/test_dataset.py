"""Prepared sets as data sets: both forms give the images and labels that were written, in any order, from anywhere."""

import pickle
import struct
import zlib
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from multiprocessing import get_context

import numpy as np
import pytest

from prepared_set import CLASSES, statistics_of, write_set
from tinyalex.data import Augmenter, batches, open_data, subset
from tinyalex.data.shards.dataset import PreparedDataset, load_prepared
from tinyalex.data.shards.index import INDEX
from tinyalex.errors import DataError


@pytest.fixture(params=["raw", "jpeg"])
def form(request):
    return request.param


def test_a_shard_by_hand(tmp_path, form):
    """The layout in the docstring, read by plain loops."""
    written = write_set(tmp_path, form)
    for split, names in (("train", ("00000", "00001", "00002")), ("val", ("00000",))):
        images, labels = [], []
        for name, n in zip(names, (4, 0, 3) if split == "train" else (2,), strict=True):
            content = (tmp_path / split / f"{name}.{form}{'s' * (form == 'jpeg')}").read_bytes()
            begin = 0
            for row in range(n):
                end, label, check = struct.unpack_from("<QiI", content, len(content) - 16 * (n - row))
                assert zlib.crc32(content[begin:end], label) == check
                images.append(content[begin:end])
                labels.append(label)
                begin = end
            assert begin == len(content) - 16 * n
        np.testing.assert_array_equal(labels, written[split][1])
        if form == "raw":
            assert b"".join(images) == written[split][0].tobytes()
        else:
            assert all(image.startswith(b"\xff\xd8") and image.endswith(b"\xff\xd9") for image in images)


def test_images_labels_and_statistics(tmp_path, form):
    written = write_set(tmp_path, form)
    for data, split in zip(open_data(str(tmp_path), size=8), ("train", "val"), strict=True):
        images, labels = written[split]
        assert isinstance(data, PreparedDataset)
        assert (data.name, data.classes, data.size, len(data)) == ("tiny", CLASSES, 8, len(images))
        assert data.labels.dtype == np.int64
        np.testing.assert_array_equal(data.labels, labels)
        np.testing.assert_array_equal(data.read(np.arange(len(data))), images)
        for name in ("mean", "eigenvalues", "eigenvectors"):
            found, known = getattr(data.statistics, name), getattr(statistics_of(8), name)
            assert found.dtype == known.dtype
            np.testing.assert_array_equal(found, known)


def test_any_order_and_the_same_image_twice(tmp_path, form, rng):
    images, _ = write_set(tmp_path, form)["train"]
    train, _ = load_prepared(tmp_path, size=8)
    for _ in range(20):
        indices = rng.integers(0, len(train), rng.integers(0, 12))
        read = train.read(indices)
        assert (read.dtype, read.shape) == (np.uint8, (len(indices), 8, 8, 3))
        np.testing.assert_array_equal(read, images[indices])
    for index in range(len(train)):
        np.testing.assert_array_equal(train.picture(index), images[index])


@pytest.mark.parametrize("indices", [[-1], [7], [0, 2**40], [-(2**40), 0]])
def test_an_index_outside_the_set(tmp_path, form, indices):
    write_set(tmp_path, form)
    train, _ = load_prepared(tmp_path, size=8)
    with pytest.raises(IndexError, match=r"expected 0 ... 6"):
        train.read(np.array(indices))


def test_first_and_last_shards_without_images(tmp_path, form):
    images, labels = write_set(tmp_path, form, counts={"train": (0, 2, 0, 0, 1, 0), "val": (0, 1)})["train"]
    train, val = load_prepared(tmp_path, size=8)
    np.testing.assert_array_equal(train.read(np.array([2, 1, 0])), images[::-1])
    np.testing.assert_array_equal(train.labels, labels)
    assert len(val) == 1


def test_many_threads_at_once(tmp_path, form):
    images, _ = write_set(tmp_path, form, counts={"train": (5,) * 8, "val": (1,)})["train"]
    train, _ = load_prepared(tmp_path, size=8)
    orders = [np.random.default_rng(seed).integers(0, 40, 16) for seed in range(200)]
    with ThreadPoolExecutor(8) as pool:
        for order, read in zip(orders, pool.map(train.read, orders), strict=True):
            np.testing.assert_array_equal(read, images[order])


def test_sent_to_another_process(tmp_path, form):
    images, _ = write_set(tmp_path, form)["train"]
    train, _ = load_prepared(tmp_path, size=8)
    train.read(np.arange(7))  # nothing that reading leaves behind is in the way
    with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as pool:
        read = pool.submit(train.read, np.array([6, 0, 4])).result()
    np.testing.assert_array_equal(read, images[[6, 0, 4]])


def test_what_is_sent_is_small(tmp_path):
    write_set(tmp_path, size=64, counts={"train": (100, 100), "val": (1,)})
    train, _ = load_prepared(tmp_path, size=64)
    assert len(pickle.dumps(train)) < 200 * 24 + 64 * 64 * 12 + 4000  # labels and tables, the mean image


def test_no_file_stays_open(tmp_path, form):
    """Were one left open, its ResourceWarning would be an error; and the folder can be moved away and back."""
    images, _ = write_set(tmp_path / "set", form)["train"]
    train, _ = load_prepared(tmp_path / "set", size=8)
    train.read(np.arange(7))
    (tmp_path / "set").rename(tmp_path / "away")
    with pytest.raises(DataError, match=r"cannot read .*set/train/00000"):
        train.read(np.array([0]))
    (tmp_path / "away").rename(tmp_path / "set")
    np.testing.assert_array_equal(train.read(np.array([5])), images[[5]])


@pytest.mark.parametrize("size", [4, 32])
def test_the_size_must_be_the_net_s(tmp_path, size):
    write_set(tmp_path)
    with pytest.raises(DataError, match=rf"8 x 8: expected {size} x {size} .* prepare SRC DST --size {size}$"):
        open_data(str(tmp_path), size=size)


def test_fingerprints(tmp_path, form):
    write_set(tmp_path / "a", form)
    write_set(tmp_path / "b", form)
    write_set(tmp_path / "c", form, counts={"train": (4, 0, 2), "val": (2,)})
    a, b, c = (load_prepared(tmp_path / name, size=8) for name in "abc")
    assert a[0].fingerprint() == b[0].fingerprint()  # the same wherever it lies
    assert len({data.fingerprint() for data in (*a, *c)}) == 4
    text = (tmp_path / "b" / INDEX).read_text()
    assert '"seed": 3' in text
    (tmp_path / "b" / INDEX).write_text(text.replace('"seed": 3', '"seed": 4'))
    assert load_prepared(tmp_path / "b", size=8)[0].fingerprint() != a[0].fingerprint()
    assert all(len(bytes.fromhex(data.fingerprint())) == 32 for data in a)


def test_a_home_folder(tmp_path, monkeypatch):
    write_set(tmp_path / "set")
    monkeypatch.setenv("HOME", str(tmp_path))
    assert len(open_data("~/set", size=8)[0]) == 7


def test_batches_of_it(tmp_path, form):
    """With the loader, as in training, and as a part of it."""
    _, labels = write_set(tmp_path, form)["train"]
    train, _ = load_prepared(tmp_path, size=8)
    part = subset(train, 5)
    assert part.read(np.arange(5)).shape == (5, 8, 8, 3)
    augmenter = Augmenter(train.statistics, crop=6)
    with_loader = [(x.copy(), y) for x, y in batches(train, augmenter, 3, seed=1, epoch=0, workers=2)]
    assert len(with_loader) == 2
    for x, y in with_loader:
        assert x.shape == (3, 3, 6, 6)
        assert set(y.tolist()) <= set(labels.tolist())
