"""All bad images of a folder are found in one pass, the sums are those of the others, and the next run finds both."""

import os
import shutil

import numpy as np
import pytest
from PIL import Image

from tinyalex.backend import use_threads
from tinyalex.data import FolderDataset, examine, folder, load_folder, pixel_statistics
from tinyalex.data.examine import in_two_classes, kept_or_examined, same_but_for, write_rejected

FIELDS = ("mean", "eigenvalues", "eigenvectors")


def noise(height=9, width=9, seed=0):
    return np.random.default_rng(seed).integers(0, 256, (height, width, 3), dtype=np.uint8)


@pytest.fixture(autouse=True)
def small_chunks(monkeypatch):
    monkeypatch.setattr(examine, "CHUNK", 15)


@pytest.fixture
def root(tmp_path):
    """Two classes, 20 training and 4 validation images each."""
    for number, name in enumerate(("cat", "dog")):
        for split, count in (("train", 20), ("val", 4)):
            where = tmp_path / "pets" / split / name
            where.mkdir(parents=True)
            for i in range(count):
                Image.fromarray(noise(seed=1000 * number + 100 * (split == "val") + i)).save(where / f"{i:03}.png")
    return tmp_path / "pets"


def opened(root, size=6):
    return load_folder(root, size=size, smallest=3)


def spoil(path, how):
    content = path.read_bytes()
    match how:
        case "empty":
            path.write_bytes(b"")
        case "text":
            path.write_text("Dear all")
        case "cut":
            path.write_bytes(content[: len(content) // 2])
        case "thin":
            Image.new("RGB", (2, 900)).save(path)
        case "pipe":
            path.unlink()
            os.mkfifo(path)
        case "link":
            path.unlink()
            path.symlink_to(path.with_name("nowhere.png"))


BAD = {  # index in the training set, and what the reason says
    3: ("empty", "0 bytes"),
    12: ("text", "none of JPEG, PNG"),
    19: ("cut", "truncated"),
    20: ("thin", "2 x 900 pixels: fewer than the 3 x 3"),
    30: ("pipe", "a pipe, a device or a socket"),
    39: ("link", "it does not exist"),
}


def spoiled(root):
    for index, (how, _) in BAD.items():
        spoil(root / "train" / ("cat", "dog")[index // 20] / f"{index % 20:03}.png", how)


@pytest.mark.parametrize("threads", [1, 3])
def test_all_bad_images_are_found_at_once(root, threads):
    spoiled(root)
    with use_threads(threads):
        found = examine.examine(opened(root)[0])
    assert list(found.bad) == list(BAD)
    for index, (_, part) in BAD.items():
        assert part in found.bad[index]
        assert str(root) not in found.bad[index]
    assert (found.digests == 0).nonzero()[0].tolist() == list(BAD)


def test_the_sums_are_those_of_the_good_images(root):
    spoiled(root)
    train, _ = opened(root)
    found = examine.examine(train)
    good = [i for i in range(40) if i not in BAD]
    assert found.sums.count == len(good)
    expected = pixel_statistics(opened(root)[0].part(np.array(good)))
    for field in FIELDS:
        np.testing.assert_array_equal(getattr(found.sums.statistics(), field), getattr(expected, field))


def test_only_the_beginnings(root):
    """What is cut short is not seen; a wrong kind or size of file is. Nothing is decoded."""
    spoiled(root)
    train, _ = opened(root)
    found = examine.examine(train, decode=False)
    assert list(found.bad) == [i for i in BAD if BAD[i][0] != "cut"]
    assert found.sums is None
    assert not train._is_kept.any()


def test_what_was_examined_is_not_decoded_again(root, monkeypatch):
    train, _ = opened(root)
    examine.examine(train)
    monkeypatch.setattr(folder, "read_image", None)
    assert train.read(np.arange(40)).shape == (40, 6, 6, 3)


def test_a_set_beyond_the_memory_is_examined_too(root, monkeypatch):
    monkeypatch.setattr(folder, "MEMORY", 1000)
    train, _ = opened(root)
    found = examine.examine(train)
    assert (found.bad, found.sums.count) == ({}, 40)


def test_progress_counts_every_image(root):
    seen = []
    examine.examine(opened(root)[0], progress=seen.append)
    assert seen == [15, 15, 10]


def test_another_error_is_not_taken_for_a_bad_image(root, monkeypatch):
    def failing(*_, **__):
        raise ZeroDivisionError

    monkeypatch.setattr(folder, "prepare_image", failing)
    with pytest.raises(ZeroDivisionError):
        examine.examine(opened(root)[0])


# The same image in two classes.


def test_the_same_image_in_two_classes(root):
    train_of = root / "train"
    shutil.copy(train_of / "cat" / "001.png", train_of / "dog" / "015.png")
    shutil.copy(train_of / "dog" / "007.png", root / "val" / "cat" / "002.png")
    shutil.copy(train_of / "cat" / "004.png", train_of / "cat" / "005.png")  # twice in one class: nothing is wrong
    train, val = opened(root)
    pairs = in_two_classes([(train, examine.examine(train)), (val, examine.examine(val))])
    expected = {("train/cat/001.png", "train/dog/015.png"), ("train/dog/007.png", "val/cat/002.png")}
    assert {tuple(os.path.relpath(path, root) for path in pair) for pair in pairs} == expected


def test_bad_images_are_not_the_same(root):
    for name in ("cat", "dog"):
        spoil(root / "train" / name / "000.png", "empty")
    train, _ = opened(root)
    assert in_two_classes([(train, examine.examine(train))]) == []


def test_pairs_by_hand():
    digests = np.array([7, 0, 5, 7, 0, 5, 7], np.uint64)
    labels = np.array([1, 1, 2, 2, 2, 2, 1])
    assert sorted(map(tuple, same_but_for(digests, labels))) == [(0, 3), (3, 6)]


# Kept for the next run.


def counted(monkeypatch):
    calls = []
    original = examine.examine
    monkeypatch.setattr(examine, "examine", lambda data, **kw: calls.append(len(data)) or original(data, **kw))
    return calls


def same(one, other):
    assert one.bad == other.bad
    np.testing.assert_array_equal(one.digests, other.digests)
    for field in FIELDS:
        np.testing.assert_array_equal(getattr(one.sums.statistics(), field), getattr(other.sums.statistics(), field))


def test_the_next_run_finds_what_was_found(root, tmp_path, monkeypatch):
    spoiled(root)
    calls, seen = counted(monkeypatch), []
    first = kept_or_examined(opened(root)[0], tmp_path / "kept")
    again = kept_or_examined(opened(root)[0], tmp_path / "kept", progress=seen.append)
    assert (calls, seen) == ([40], [40])
    same(first, again)
    assert list(again.bad) == list(BAD)


def test_a_set_that_was_moved_is_found(root, tmp_path, monkeypatch):
    calls = counted(monkeypatch)
    kept_or_examined(opened(root)[0], tmp_path / "kept")
    root.rename(tmp_path / "moved")
    kept_or_examined(opened(tmp_path / "moved")[0], tmp_path / "kept")
    assert calls == [40]


def changed(root, how):
    path = root / "train" / "cat" / "011.png"
    match how:
        case "content":
            Image.fromarray(noise(12, 12, seed=9)).save(path)
        case "name":
            path.rename(path.with_name("0110.png"))
        case "class":
            path.rename(root / "train" / "dog" / "011a.png")
        case "missing":
            path.unlink()


@pytest.mark.parametrize("how", ["content", "name", "class", "missing"])
def test_other_images_are_examined_anew(root, tmp_path, monkeypatch, how):
    calls = counted(monkeypatch)
    kept_or_examined(opened(root)[0], tmp_path / "kept")
    changed(root, how)
    kept_or_examined(opened(root)[0], tmp_path / "kept")
    assert len(calls) == 2


def test_another_size_or_another_kernel_is_examined_anew(root, tmp_path, monkeypatch):
    calls = counted(monkeypatch)
    for given in ({"size": 6, "smallest": 3}, {"size": 5, "smallest": 3}, {"size": 6, "smallest": 4}):
        kept_or_examined(load_folder(root, **given)[0], tmp_path / "kept")
    assert len(calls) == 3


def test_what_a_shallow_look_found_is_not_enough_for_a_deep_one(root, tmp_path, monkeypatch):
    spoil(root / "train" / "cat" / "003.png", "cut")
    calls = counted(monkeypatch)
    for decode, bad in ((False, []), (False, []), (True, [3]), (False, [3]), (True, [3])):
        found = kept_or_examined(opened(root)[0], tmp_path / "kept", decode=decode)
        assert list(found.bad) == bad
        assert (found.sums is None) == (not decode)
    assert len(calls) == 2


def test_a_damaged_file_is_measured_again(root, tmp_path, monkeypatch):
    """Cut short anywhere, or with a byte changed: never another result."""
    spoil(root / "val" / "cat" / "003.png", "empty")
    first = kept_or_examined(opened(root)[1], tmp_path / "kept")
    [path] = (tmp_path / "kept").iterdir()
    whole = path.read_bytes()
    rng = np.random.default_rng(0)
    damaged = [whole[: int(n)] for n in rng.integers(0, len(whole), 10)]
    for place in rng.integers(0, len(whole), 40).tolist():
        damaged.append(whole[:place] + bytes([whole[place] ^ 0x41]) + whole[place + 1 :])
    calls = counted(monkeypatch)
    for content in damaged:
        path.write_bytes(content)
        same(kept_or_examined(opened(root)[1], tmp_path / "kept"), first)
    assert len(calls) > 25
    calls.clear()
    same(kept_or_examined(opened(root)[1], tmp_path / "kept"), first)  # the file is whole again
    assert calls == []


@pytest.mark.parametrize(
    "wrong",
    [
        {"digests": np.zeros(39, np.uint64)},
        {"digests": np.zeros(40)},
        {"bad": np.array([40])},
        {"bad": np.array([-1])},
        {"bad": np.array([3, 3])},
        {"bad": np.array([3, 5])},  # two images for one reason
        {"bad": np.array([], np.int64), "reasons": np.frombuffer(b"[]", np.uint8)},  # one image too few in the sums
        {"reasons": np.frombuffer(b"[7]", np.uint8)},
        {"reasons": np.frombuffer(b"[", np.uint8)},
        {"total": np.zeros((6, 6, 3))},
    ],
)
def test_a_file_that_contradicts_itself_is_measured_again(root, tmp_path, monkeypatch, wrong):
    spoil(root / "train" / "cat" / "003.png", "empty")
    first = kept_or_examined(opened(root)[0], tmp_path / "kept")
    [path] = (tmp_path / "kept").iterdir()
    with np.load(path) as file:
        arrays = dict(file) | wrong
    np.savez(path, **arrays)
    calls = counted(monkeypatch)
    same(kept_or_examined(opened(root)[0], tmp_path / "kept"), first)
    assert calls == [40]


@pytest.mark.parametrize("blocked", ["kept", "kept/folder"])
def test_where_nothing_can_be_written_nothing_is_kept(root, tmp_path, blocked):
    (tmp_path / "kept").write_bytes(b"a file is in the way")
    assert kept_or_examined(opened(root)[0], tmp_path / blocked).sums.count == 40


def test_the_list_of_rejected_images_holds_names_as_they_are(tmp_path):
    name = os.fsdecode(b"caf\xe9, 1.jpg")
    write_rejected(tmp_path / "rejected.csv", [(name, "0 bytes"), ("b.jpg", "cut: 1, 2")])
    assert (tmp_path / "rejected.csv").read_bytes() == b'path,reason\n"caf\xe9, 1.jpg",0 bytes\nb.jpg,"cut: 1, 2"\n'


def test_the_part_of_a_folder_is_kept_in_memory_if_it_fits(root, monkeypatch):
    monkeypatch.setattr(folder, "MEMORY", 10 * 6 * 6 * 3)
    train, _ = opened(root)
    part = train.part(np.array([1, 30]))
    assert isinstance(part, FolderDataset)
    assert part.labels.tolist() == [0, 1]
    np.testing.assert_array_equal(part.read(np.array([1])), train.read(np.array([30])))
    assert examine.examine(part).sums.count == 2
    monkeypatch.setattr(folder, "read_image", None)
    assert part.read(np.array([0, 1])).shape == (2, 6, 6, 3)
