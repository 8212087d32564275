"""Folders of class folders: which images are found, in which order, with which names, and what is refused."""

import os
import threading
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from tinyalex.data import FolderDataset, Subset, folder, load_folder, prepare_image, read_image
from tinyalex.data.prepare import Preparation
from tinyalex.errors import DataError


def image(path, colour=(0, 0, 0), size=(8, 8)):
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", size, colour).save(path)


def imagenet_layout(root, classes=("n02", "n01"), train=3, val=2):
    """Image i of class k is filled with the colour (k, i, 0 in train and 200 in val)."""
    for number, name in enumerate(sorted(classes)):
        for i in range(train):
            image(root / "train" / name / f"{i:02}.png", (number, i, 0))
        for i in range(val):
            image(root / "val" / name / f"{i:02}.png", (number, i, 200))
    return root


def everything(dataset):
    return dataset.read(np.arange(len(dataset)))


def test_train_and_val_folders(tmp_path):
    train, val = load_folder(imagenet_layout(tmp_path), size=6)
    assert (train.name, train.size, len(train), len(val)) == (tmp_path.name, 6, 6, 4)
    assert train.classes == val.classes == ("n01", "n02")
    assert train.labels.tolist() == [0, 0, 0, 1, 1, 1]
    assert val.labels.tolist() == [0, 0, 1, 1]
    assert train.labels.dtype == np.int64
    images = everything(train)
    assert images.shape == (6, 6, 6, 3)
    assert images.dtype == np.uint8
    assert images[:, 3, 3].tolist() == [[k, i, 0] for k in (0, 1) for i in (0, 1, 2)]
    assert everything(val)[:, 3, 3].tolist() == [[k, i, 200] for k in (0, 1) for i in (0, 1)]


@pytest.mark.parametrize(("count", "held_out"), [(2, [0]), (10, [0]), (11, [0, 10]), (25, [0, 10, 20])])
def test_without_them_every_tenth_image_is_held_out(tmp_path, count, held_out):
    for name in ("cat", "dog"):
        for i in range(count):
            image(tmp_path / name / f"{i:03}.png", (i, 0, 0))
    train, val = load_folder(tmp_path, size=4)
    kept = [i for i in range(count) if i not in held_out]
    assert everything(val)[:, 0, 0, 0].tolist() == held_out * 2
    assert everything(train)[:, 0, 0, 0].tolist() == kept * 2
    assert val.labels.tolist() == [0] * len(held_out) + [1] * len(held_out)
    assert train.labels.tolist() == [0] * len(kept) + [1] * len(kept)


def test_a_class_may_be_called_train(tmp_path):
    for name in ("plane", "train"):
        for i in range(2):
            image(tmp_path / name / f"{i}.png")
    assert load_folder(tmp_path, size=4)[0].classes == ("plane", "train")


def test_suffixes_in_any_case_and_nothing_else(tmp_path):
    for name in ("a.jpg", "b.JPEG", "c.Png", "d.webp", "e.BMP", "f.gif", "g.TIF", "h.tiff"):
        image(tmp_path / "only" / name)
    for name in ("notes.txt", "Thumbs.db", ".hidden.jpg", "noext"):
        (tmp_path / "only" / name).write_bytes(b"not an image")
    (tmp_path / "only" / "folder.png").mkdir()
    (tmp_path / "only" / "link.png").symlink_to(tmp_path / ".git")
    (tmp_path / ".git" / "objects").mkdir(parents=True)
    train, val = load_folder(tmp_path, size=4)
    assert [Path(path).name for path in val.paths] == ["a.jpg"]
    assert "".join(Path(path).name[0] for path in train.paths) == "bcdefgh"
    assert everything(train).shape == (7, 4, 4, 3)


def test_readable_names(tmp_path):
    imagenet_layout(tmp_path, classes=("n01", "n02", "n03", "n04"))
    (tmp_path / "classes.tsv").write_text("0\tn01\tcrane\n1\tn02\tpâté\n2\tn04\tcrane\n", encoding="utf-8")
    assert load_folder(tmp_path, size=4)[0].classes == ("crane (n01)", "pâté", "n03", "crane (n04)")


def test_a_table_of_names_that_is_none(tmp_path):
    imagenet_layout(tmp_path)
    (tmp_path / "classes.tsv").write_text("0\tn01\tcrane\nn02 pier\n", encoding="utf-8")
    with pytest.raises(DataError, match=r"classes\.tsv line 2 with 1 fields: expected index, folder, name"):
        load_folder(tmp_path, size=4)


def test_a_class_with_an_empty_name(tmp_path):
    imagenet_layout(tmp_path)
    (tmp_path / "classes.tsv").write_text("0\tn01\tcrane\n1\tn02\t\n", encoding="utf-8")
    with pytest.raises(DataError, match=r"classes\.tsv line 2 without a name: expected index, folder, name"):
        load_folder(tmp_path, size=4)


def test_a_picture_keeps_its_resolution(tmp_path):
    image(tmp_path / "c" / "0.png", (1, 2, 3), size=(20, 10))
    image(tmp_path / "c" / "1.png", (4, 5, 6), size=(7, 30))
    train, val = load_folder(tmp_path, size=4)
    assert val.picture(0).shape == (10, 20, 3)
    assert train.picture(0).shape == (30, 7, 3)
    assert train.picture(0).dtype == np.uint8
    assert train.picture(0)[0, 0].tolist() == [4, 5, 6]


# Memory.


def counting(monkeypatch):
    decoded = []
    original = folder.read_image
    monkeypatch.setattr(folder, "read_image", lambda path, **kw: decoded.append(path) or original(path, **kw))
    return decoded


def test_images_are_decoded_once_when_they_are_first_read(tmp_path, monkeypatch):
    decoded = counting(monkeypatch)
    train, _ = load_folder(imagenet_layout(tmp_path), size=6)
    assert decoded == []
    first = train.read(np.array([4, 1]))
    assert len(decoded) == 2
    again = train.read(np.array([1, 4, 5]))
    assert len(decoded) == 3
    np.testing.assert_array_equal(first[::-1], again[:2])
    assert again[:, 0, 0].tolist() == [[0, 1, 0], [1, 1, 0], [1, 2, 0]]


@pytest.mark.parametrize(("memory", "decodings"), [(2 * 6 * 6 * 3, 2), (2 * 6 * 6 * 3 - 1, 4)])
def test_a_set_beyond_the_budget_is_decoded_each_time(tmp_path, monkeypatch, memory, decodings):
    decoded = counting(monkeypatch)
    paths = [tmp_path / "0.png", tmp_path / "1.png"]
    for i, path in enumerate(paths):
        image(path, (i, 0, 0))
    monkeypatch.setattr(folder, "MEMORY", memory)
    data = FolderDataset("two", paths, np.array([0, 0]), ("c",), 6)
    for _ in range(2):
        assert data.read(np.array([1, 0]))[:, 0, 0, 0].tolist() == [1, 0]
    assert len(decoded) == decodings


def test_what_was_read_may_be_written_to(tmp_path):
    train, _ = load_folder(imagenet_layout(tmp_path), size=6)
    train.read(np.array([2]))[:] = 77
    assert train.read(np.array([2]))[0, 0, 0].tolist() == [0, 2, 0]


def test_several_threads_read_the_same(tmp_path):
    train, _ = load_folder(imagenet_layout(tmp_path, train=20), size=6)
    found = {}

    def work(seed):
        order = np.random.default_rng(seed).permutation(40)
        found[seed] = train.read(order)[np.argsort(order)]

    threads = [threading.Thread(target=work, args=(seed,)) for seed in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(found) == 4
    for images in found.values():
        assert images[:, 0, 0].tolist() == [[k, i, 0] for k in (0, 1) for i in range(20)]


# Fingerprints.


def changed(root, how):
    path = root / "train" / "n01" / "01.png"
    match how:
        case "pixels":  # as many bytes as before
            content = bytearray(path.read_bytes())
            content[-20] ^= 1
            path.write_bytes(content)
        case "size":
            path.write_bytes(path.read_bytes() + b"\0")
        case "name":
            path.rename(path.with_name("01a.png"))
        case "class":
            path.rename(root / "train" / "n02" / "01a.png")
        case "a pipe":
            path.unlink()
            os.mkfifo(path)
        case "gone":
            path.unlink()
            path.symlink_to("nowhere")


@pytest.mark.parametrize("how", ["pixels", "size", "name", "class", "a pipe", "gone"])
def test_the_fingerprint_of_other_images(tmp_path, how):
    first = load_folder(imagenet_layout(tmp_path), size=6)[0].fingerprint()
    assert load_folder(tmp_path, size=6)[0].fingerprint() == first
    changed(tmp_path, how)
    assert load_folder(tmp_path, size=6)[0].fingerprint() != first


def test_the_size_of_every_file_is_in_the_fingerprint(tmp_path):
    train, _ = load_folder(imagenet_layout(tmp_path, train=70), size=6)
    first = train.fingerprint()
    for index in (1, 2, 3):  # of 140 files 64 are read, so not of all three the content
        path = Path(train.paths[index])
        content = path.read_bytes()
        path.write_bytes(content + b"\0")
        assert load_folder(tmp_path, size=6)[0].fingerprint() != first
        path.write_bytes(content)
    assert load_folder(tmp_path, size=6)[0].fingerprint() == first


def test_the_fingerprint_of_another_size_or_part(tmp_path):
    train, val = load_folder(imagenet_layout(tmp_path), size=6)
    five, _ = load_folder(tmp_path, size=5)
    parts = [train.part(np.array(indices)) for indices in ([0, 1, 2], [0, 1, 4], [3])]
    assert len({one.fingerprint() for one in (train, val, five, *parts)}) == 6
    some = Subset(train, np.array([0, 1, 4])).fingerprint()
    assert some == parts[1].fingerprint()
    Path(train.paths[2]).unlink()
    left, _ = load_folder(tmp_path, size=6)
    assert Subset(left, np.array([0, 1, 3])).fingerprint() == some  # the same images, whatever else is there


@pytest.mark.parametrize("layout", ["train and val", "classes"])
def test_a_folder_that_is_moved_and_renamed_keeps_its_fingerprint(tmp_path, layout):
    if layout == "classes":
        for i in range(4):
            image(tmp_path / "a" / f"c{i % 2}" / f"{i}.png")
    else:
        imagenet_layout(tmp_path / "a")
    before = [data.fingerprint() for data in load_folder(tmp_path / "a", size=6)]
    (tmp_path / "far").mkdir()
    (tmp_path / "a").rename(tmp_path / "far" / "bcd")
    assert [data.fingerprint() for data in load_folder(tmp_path / "far" / "bcd", size=6)] == before


@pytest.mark.parametrize("layout", ["train and val", "classes", "one class"])
def test_the_fingerprint_of_the_working_folder(tmp_path, monkeypatch, layout):
    if layout == "train and val":
        imagenet_layout(tmp_path)
    else:
        for i in range(6):
            image(tmp_path / f"c{i % 2 if layout == 'classes' else 0}" / f"{i}.png")
    before = [data.fingerprint() for data in load_folder(tmp_path, size=6)]
    monkeypatch.chdir(tmp_path)
    assert [data.fingerprint() for data in load_folder(".", size=6)] == before


def test_fingerprints_stay_as_they_are(tmp_path):
    """A run that goes on tomorrow finds its images again."""
    for i in range(6):
        for name in ("cat", "dog"):
            (tmp_path / name).mkdir(exist_ok=True)
            (tmp_path / name / f"{i}.png").write_bytes(bytes([i]))
    train, val = load_folder(tmp_path, size=6)
    found = [data.fingerprint()[:16] for data in (train, val, train.part(np.array([3])))]
    assert found == ["2ecce2ab776d10a8", "e93279831e123dba", "10c116408f6574e2"]


def test_a_fingerprint_reads_the_beginnings_of_64_files(tmp_path, monkeypatch):
    read = []
    original = folder.regular_file
    monkeypatch.setattr(folder, "regular_file", lambda path: read.append(Path(path).name) or original(path))
    train, _ = load_folder(imagenet_layout(tmp_path, train=100), size=6)
    train.fingerprint()
    assert len(read) == 64
    assert (read[0], read[-1]) == ("00.png", "99.png")
    assert max(np.diff([100 * (place >= 32) + int(name[:2]) for place, name in enumerate(read)])) <= 4
    train.fingerprint()
    assert len(read) == 64  # looked at once


# What is refused.


def one_line(raised):
    assert "\n" not in str(raised.value)


def test_no_such_folder(tmp_path):
    with pytest.raises(DataError, match="nowhere: expected a folder") as raised:
        load_folder(tmp_path / "nowhere", size=4)
    one_line(raised)
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(DataError, match="file: expected a folder"):
        load_folder(tmp_path / "file", size=4)


def test_no_class_folders(tmp_path):
    image(tmp_path / "loose.png")
    with pytest.raises(DataError, match="without class folders: expected") as raised:
        load_folder(tmp_path, size=4)
    one_line(raised)


@pytest.mark.parametrize("part", ["train", "val"])
def test_an_empty_class_folder(tmp_path, part):
    imagenet_layout(tmp_path)
    (tmp_path / part / "n00").mkdir()
    (tmp_path / part / "n00" / "notes.txt").write_bytes(b"")
    with pytest.raises(DataError, match=rf"class folder .*{part}/n00 without images") as raised:
        load_folder(tmp_path, size=4)
    one_line(raised)


def test_an_empty_class_folder_without_train_and_val(tmp_path):
    image(tmp_path / "a" / "0.png")
    image(tmp_path / "a" / "1.png")
    (tmp_path / "b").mkdir()
    with pytest.raises(DataError, match=r"class folder .*/b without images"):
        load_folder(tmp_path, size=4)


def test_a_single_image_cannot_be_split(tmp_path):
    image(tmp_path / "a" / "0.png")
    with pytest.raises(DataError, match="/a with 1 image: expected 2"):
        load_folder(tmp_path, size=4)


@pytest.mark.parametrize(("missing", "present"), [("val", "train"), ("train", "val")])
def test_train_and_val_of_other_classes(tmp_path, missing, present):
    imagenet_layout(tmp_path)
    image(tmp_path / present / "n99" / "0.png")
    with pytest.raises(DataError, match=f"got class n99 in .*{present} but not in .*{missing}"):
        load_folder(tmp_path, size=4)


@pytest.mark.parametrize("missing", ["val", "train"])
def test_train_without_val_and_the_reverse(tmp_path, missing):
    imagenet_layout(tmp_path)
    (tmp_path / missing).rename(tmp_path / "elsewhere")
    with pytest.raises(DataError, match=f"{missing} without class folders"):
        load_folder(tmp_path, size=4)


def test_what_is_no_file_is_listed_and_refused(tmp_path):
    """Nothing that looks like an image is left out in silence, and nothing hangs."""
    for i in range(2):
        image(tmp_path / "c" / f"{i}.png")
    os.mkfifo(tmp_path / "c" / "2.png")
    (tmp_path / "c" / "3.png").symlink_to("nowhere")
    train, _ = load_folder(tmp_path, size=4)
    assert [Path(path).name for path in train.paths] == ["1.png", "2.png", "3.png"]
    with pytest.raises(DataError, match=r"2\.png \(a pipe, a device or a socket\)"):
        train.read(np.array([1]))
    with pytest.raises(DataError, match=r"3\.png \(it does not exist\)"):
        train.read(np.array([2]))


@pytest.mark.parametrize("memory", [2**30, 0])
def test_a_damaged_image_is_named_when_it_is_read(tmp_path, memory, monkeypatch):
    monkeypatch.setattr(folder, "MEMORY", memory)
    image(tmp_path / "good.png")
    (tmp_path / "bad.png").write_bytes((tmp_path / "good.png").read_bytes()[:45])
    data = FolderDataset("two", [tmp_path / "good.png", tmp_path / "bad.png"], np.array([0, 0]), ("c",), 4)
    data.read(np.array([0]))
    for call in (lambda: data.read(np.array([0, 1])), lambda: data.picture(1), lambda: data.read(np.array([1]))):
        with pytest.raises(DataError, match=r"bad\.png") as raised:
            call()
        one_line(raised)


def test_an_image_smaller_than_the_first_kernel_is_named(tmp_path):
    image(tmp_path / "c" / "0.png", size=(11, 11))
    image(tmp_path / "c" / "1.png", size=(300, 10))
    train, val = load_folder(tmp_path, size=4, smallest=11)
    val.read(np.array([0]))
    for call in (lambda: train.read(np.array([0])), lambda: train.picture(0)):
        with pytest.raises(DataError, match=r"1\.png \(300 x 10 pixels: fewer than the 11 x 11"):
            call()


def test_prepared_as_a_net_of_others_wants_them(tmp_path):
    for number in range(3):
        pixels = np.random.default_rng(number).integers(0, 256, (20, 31, 3), "uint8")
        image(tmp_path / "c" / f"{number}.png")
        Image.fromarray(pixels).save(tmp_path / "c" / f"{number}.png")
    preparation = Preparation(12, "warp", "bilinear")
    usual = load_folder(tmp_path, size=12)[1]
    train, val = load_folder(tmp_path, size=12, preparation=preparation)
    for part in (train, val, train.part(np.array([1]))):
        expected = prepare_image(read_image(part.paths[0]), preparation)
        np.testing.assert_array_equal(part.read(np.array([0]))[0], expected)
    assert (usual.read(np.array([0])) != val.read(np.array([0]))).any()
    assert usual.fingerprint() != val.fingerprint()
    same = load_folder(tmp_path, size=12, preparation=Preparation(12))[1]
    assert usual.fingerprint() == same.fingerprint()


def test_the_folders_of_the_classes(tmp_path):
    for name in ("n02", "n01"):
        image(tmp_path / name / "0.png")
        image(tmp_path / name / "1.png")
    (tmp_path / "classes.tsv").write_text("0\tn01\ttench\n1\tn02\tgoldfish\n")
    for part in load_folder(tmp_path, size=4):
        assert part.classes == ("tench", "goldfish")
        assert part.class_folders() == ("n01", "n02")


REAL = os.environ.get("TINYALEX_DATA")


@pytest.mark.skipif(REAL is None, reason="TINYALEX_DATA is not set: no real images")
@pytest.mark.parametrize(("name", "train", "val"), [("imagenette-224", 9469, 1500), ("caltech101-10", 700, 200)])
def test_real_folders(name, train, val):
    sets = load_folder(Path(REAL) / name, size=64, smallest=11)
    assert [len(part) for part in sets] == [train, val]
    for half, part in zip(("train", "val"), sets, strict=True):
        files = [len(list(one.iterdir())) for one in sorted((Path(REAL) / name / half).iterdir())]
        assert np.bincount(part.labels).tolist() == files
        images = part.read(np.arange(0, len(part), 20))
        assert images.std(axis=(1, 2, 3)).min() > 5  # pictures, not blanks
    assert sets[0].classes[0] == {"imagenette-224": "tench", "caltech101-10": "Leopards"}[name]
