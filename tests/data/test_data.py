"""The sources that --data names, sets that lie in memory, and what the package may depend on."""

import ast
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import tinyalex.data
from tinyalex.data import ArrayDataset, Subset, download_cifar10, folder, load_folder, open_data, subset
from tinyalex.data.cifar import CIFAR10
from tinyalex.data.cifar_download import cache_folder
from tinyalex.data.shapes import Shapes
from tinyalex.data.shards.dataset import load_prepared
from tinyalex.data.shards.sources import open_source
from tinyalex.errors import DataError, DTypeError, LabelError, ShapeError
from tinyalex.weights.known import folders


def images(count=3, size=4):
    return np.random.default_rng(0).integers(0, 256, (count, size, size, 3), dtype=np.uint8)


def test_an_array_dataset():
    pixels = images()
    data = ArrayDataset("mine", pixels, np.array([1, 0, 1], np.int32), ("a", "b"))
    assert (data.name, data.classes, data.size, len(data)) == ("mine", ("a", "b"), 4, 3)
    assert data.labels.dtype == np.int64
    np.testing.assert_array_equal(data.read(np.array([2, 0])), pixels[[2, 0]])
    np.testing.assert_array_equal(data.picture(1), pixels[1])


def test_an_array_dataset_with_pictures_of_their_own():
    pictures = images(size=9)
    data = ArrayDataset("mine", images(), np.zeros(3, np.int64), ("a",), pictures=pictures)
    assert data.picture(2).shape == (9, 9, 3)
    assert data.size == 4


@pytest.mark.parametrize(
    ("pixels", "labels", "error", "message"),
    [
        (images()[0], [0, 1, 0], ShapeError, r"shape \(4, 4, 3\): expected \(N, S, S, 3\)"),
        (images()[:, :3], [0, 1, 0], ShapeError, r"shape \(3, 3, 4, 3\)"),
        (images()[..., :2], [0, 1, 0], ShapeError, r"shape \(3, 4, 4, 2\)"),
        (images() / 255, [0, 1, 0], DTypeError, "images of dtype float64: expected uint8"),
        (images()[:0], [], DataError, "got no images"),
        (images(), [0, 1], LabelError, r"labels of shape \(2,\): expected \(3,\)"),
        (images(), [[0], [1], [1]], LabelError, r"labels of shape \(3, 1\)"),
        (images(), [0, 1, 2], LabelError, "got label 2: expected 0 ... 1, as there are 2 classes"),
        (images(), [0, -1, 1], LabelError, "got label -1: expected 0 ... 1"),
        (images(), [0.0, 1.0, 1.0], LabelError, "labels of dtype float64: expected integers"),
    ],
)
def test_arrays_that_are_no_dataset(pixels, labels, error, message):
    with pytest.raises(error, match=message):
        ArrayDataset("mine", pixels, np.array(labels), ("a", "b"))


# Fingerprints: equal for the same images, and only for them.


def mine(**changed):
    given = {"images": images(), "labels": np.array([1, 0, 1]), "name": "mine", "classes": ("a", "b")} | changed
    return ArrayDataset(**given)


def test_the_fingerprint_of_arrays():
    first = mine().fingerprint()
    assert len(first) == 64
    assert int(first, 16) > 0
    assert mine(name="other", pictures=images(size=9), labels=np.array([1, 0, 1], np.int32)).fingerprint() == first
    strided = np.repeat(images(), 2, axis=2)[:, :, ::2]
    assert not strided.flags.c_contiguous
    assert mine(images=strided).fingerprint() == first
    other = images()
    other[2, 3, 3, 2] ^= 1
    changes = [{"images": other}, {"labels": np.array([1, 1, 1])}, {"images": images()[::-1]}]
    assert len({first, *(mine(**changed).fingerprint() for changed in changes)}) == 4


def test_the_fingerprint_of_a_part():
    data = mine()
    parts = [Subset(data, np.array(indices)) for indices in ([0, 1], [1, 0], [0, 2], [0])]
    assert len({data.fingerprint(), *(part.fingerprint() for part in parts)}) == 5
    assert Subset(mine(), np.array([0, 1], np.int32)).fingerprint() == parts[0].fingerprint()
    assert Subset(mine(images=images(size=5)), np.array([0, 1])).fingerprint() != parts[0].fingerprint()
    assert subset(data, 3) is data


def test_the_fingerprint_of_shapes_needs_no_image():
    first = Shapes(20, seed=1)
    assert first.fingerprint() == Shapes(20, seed=1).fingerprint()
    assert not first._made.any()
    others = [Shapes(20, seed=2), Shapes(21, seed=1), Shapes(20, seed=1, split="val"), Shapes(20, seed=1, size=24)]
    assert len({first.fingerprint(), *(other.fingerprint() for other in others)}) == 5


# open_data


def test_shapes_are_made():
    train, val = open_data("shapes", size=24, seed=5, train_count=12, val_count=7)
    assert (len(train), len(val), train.size, val.size) == (12, 7, 24, 24)
    assert train.classes == val.classes
    assert train.read(np.array([3, 4])).shape == (2, 24, 24, 3)
    assert not np.array_equal(train.read(np.arange(7)), val.read(np.arange(7)))
    other, _ = open_data("shapes", size=24, seed=6, train_count=12, val_count=7)
    assert not np.array_equal(train.read(np.arange(7)), other.read(np.arange(7)))


def recorded(monkeypatch):
    calls = []

    def load(kind, where, split, size):
        calls.append((kind.name, str(where), split, size))
        return split

    monkeypatch.setattr(tinyalex.data, "load_cifar", load)
    return calls


@pytest.mark.parametrize("name", ["cifar10", "cifar100"])
def test_cifar_from_a_folder(monkeypatch, name):
    calls = recorded(monkeypatch)
    assert open_data(f"{name}:some/folder", size=36) == ("train", "val")
    assert calls == [(name, "some/folder", "train", 36), (name, "some/folder", "val", 36)]


@pytest.mark.parametrize(("name", "folder"), [("cifar10", "cifar-10-batches-py"), ("cifar100", "cifar-100-python")])
def test_cifar_from_the_cache(monkeypatch, tmp_path, name, folder):
    calls = recorded(monkeypatch)
    monkeypatch.setenv("TINYALEX_CACHE", str(tmp_path))
    with pytest.raises(DataError, match=rf"{name}:DIR, or run tinyalex prepare {name}"):
        open_data(name, size=36)
    where = tmp_path / folder
    where.mkdir()
    assert open_data(name, size=40) == ("train", "val")
    assert calls == [(name, str(where), "train", 40), (name, str(where), "val", 40)]


def test_the_cache_is_in_the_home_folder_unless_told_otherwise(monkeypatch, tmp_path):
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.delenv("TINYALEX_CACHE", raising=False)
    assert cache_folder(CIFAR10) == tmp_path / ".cache" / "tinyalex" / "cifar-10-batches-py"


def test_a_folder_of_images(monkeypatch, tmp_path):
    for name in ("a", "b"):
        (tmp_path / "pets" / name).mkdir(parents=True)
        for i in range(2):
            Image.new("RGB", (9, 9)).save(tmp_path / "pets" / name / f"{i}.png")
    monkeypatch.setenv("HOME", str(tmp_path))
    for source in (str(tmp_path / "pets"), "~/pets"):
        train, val = open_data(source, size=8, smallest=9)
        assert isinstance(train, folder.FolderDataset)
        assert (train.classes, train.size, len(train), len(val)) == (("a", "b"), 8, 2, 2)
        assert val.read(np.array([0])).shape == (1, 8, 8, 3)
    train, _ = open_data("~/pets", size=8, smallest=10)
    with pytest.raises(DataError, match="fewer than the 10 x 10"):
        train.read(np.array([0]))


def test_a_home_folder_is_found_for_cifar10_too(monkeypatch, tmp_path):
    monkeypatch.setenv("HOME", str(tmp_path))
    with pytest.raises(DataError, match=f"got {tmp_path}/missing: expected"):
        open_data("cifar10:~/missing", size=36)


def test_the_home_folder_of_a_user_who_is_unknown(monkeypatch, tmp_path):
    """It is a name like any other, whose folder is missing."""
    unknown = "~nobody-of-that-name"
    calls = (
        lambda: open_data(f"cifar10:{unknown}", size=36),
        lambda: load_folder(unknown, size=8),
        lambda: load_prepared(unknown, size=8),
        lambda: open_source(unknown),
    )
    for call in calls:
        with pytest.raises(DataError, match=f"got {unknown}"):
            call()
    for name in CIFAR10.files:
        (tmp_path / unknown).mkdir(exist_ok=True)
        (tmp_path / unknown / name).touch()
    monkeypatch.chdir(tmp_path)
    assert download_cifar10(unknown) == Path(unknown)
    monkeypatch.setenv("TINYALEX_CACHE", unknown)
    monkeypatch.setenv("TINYALEX_WEIGHTS", unknown)
    assert folders() == [Path(unknown), Path(unknown) / "weights"]


@pytest.mark.parametrize("source", ["", "shape", "cifar", "no/such/folder", "shapes:10", "~nobody-of-that-name"])
def test_any_other_source_names_the_forms(source):
    with pytest.raises(
        DataError, match=r"expected shapes, cifar10\[:DIR\], cifar100\[:DIR\], or a folder of class folders"
    ) as raised:
        open_data(source, size=36)
    assert "\n" not in str(raised.value)


def test_the_data_knows_nothing_of_the_net():
    for path in Path(tinyalex.data.__file__).parent.glob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            names = [node.module or ""] if isinstance(node, ast.ImportFrom) else []
            names += [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
            for name in names:
                known = ("tinyalex.data", "tinyalex.errors", "tinyalex.files", "tinyalex.backend")  # but no layers
                assert name.startswith(known) or not name.startswith("tinyalex"), f"{path.name} imports {name}"
