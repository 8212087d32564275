"""Sets that `prepare` writes: the same pixels, statistics and bytes, whatever interrupts it, and what it leaves out."""

import csv
import errno
import os
import shutil
import signal
import subprocess
import sys
import tarfile
import threading
import time
from contextlib import contextmanager
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from PIL import Image

from tinyalex.data import load_folder, pixel_statistics
from tinyalex.data.shards import processes, write
from tinyalex.data.shards.dataset import load_prepared
from tinyalex.data.shards.images import SMALLEST
from tinyalex.data.shards.look import look
from tinyalex.data.shards.sources import open_source
from tinyalex.data.shards.verify import verify
from tinyalex.data.shards.work import ShardSettings
from tinyalex.errors import DataError, UsageError

SMALL = ShardSettings(size=16, shard=4)


def ignore(_):
    pass


@contextmanager
def silent(_):
    yield ignore


def photos(root, *, train=9, val=3, classes=3):
    """Pictures of changing size and pattern: root/train/class0/0.png, ..."""
    rng = np.random.default_rng(7)
    for split, count in (("train", train), ("val", val)):
        for label in range(classes):
            folder = root / split / f"class{label}"
            folder.mkdir(parents=True)
            for i in range(count):
                height, width = rng.integers(14, 40, 2)
                coarse = Image.fromarray(rng.integers(0, 256, (4, 4, 3), np.uint8))
                coarse.resize((int(width), int(height))).save(folder / f"{i}.png")
    return root


@pytest.fixture(scope="module")
def source_folder(tmp_path_factory):
    return photos(tmp_path_factory.mktemp("source") / "photos")


def prepared(source, folder, settings=SMALL, *, workers=1, max_rejected=10, needed=0, counting=silent):
    return write.prepare(
        open_source(source) if isinstance(source, Path) else source,
        folder,
        settings,
        needed=needed,
        workers=workers,
        max_rejected=max_rejected,
        counting=counting,
    )


def content(folder):
    """{name: bytes} of all files of a set."""
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def rejected(folder):
    with (folder / write.REJECTED).open(newline="", errors="surrogateescape") as file:
        return [(Path(row["path"]).name, row["reason"]) for row in csv.DictReader(file)]


# ---------------------------------------------------------------- what is written


def test_the_pixels_and_labels_are_those_of_the_folder(tmp_path, source_folder):
    found = prepared(source_folder, tmp_path / "set")
    assert (found.rejected, found.twice) == (0, 0)
    assert verify(tmp_path / "set") == []
    for split, folder in zip(
        load_prepared(tmp_path / "set", size=16), load_folder(source_folder, size=16), strict=True
    ):
        stored, whole = (data.read(np.arange(len(data))) for data in (split, folder))
        sort = [
            sorted(zip(map(bytes, images), labels, strict=True))
            for images, labels in ((stored, split.labels), (whole, folder.labels))
        ]
        assert sort[0] == sort[1]
        assert split.classes == folder.classes
        assert split.labels.tolist() != folder.labels.tolist()  # shuffled


@pytest.mark.parametrize("form", ["raw", "jpeg"])
def test_the_statistics_are_those_of_the_stored_pixels(tmp_path, source_folder, form):
    prepared(source_folder, tmp_path / "set", ShardSettings(size=16, shard=4, form=form))
    train, _ = load_prepared(tmp_path / "set", size=16)
    expected = pixel_statistics(train)
    for name in ("mean", "eigenvalues", "eigenvectors"):
        np.testing.assert_array_equal(getattr(train.statistics, name), getattr(expected, name))


def test_a_jpeg_set_is_near_the_pixels(tmp_path, source_folder):
    sets = {}
    for form in ("raw", "jpeg"):
        prepared(source_folder, tmp_path / form, ShardSettings(size=64, shard=5, form=form))
        train, _ = load_prepared(tmp_path / form, size=64)
        sets[form] = train.read(np.arange(len(train))).astype(float)
    assert 0 < np.abs(sets["raw"] - sets["jpeg"]).mean() < 3  # the same images in the same order
    size = {form: sum(path.stat().st_size for path in (tmp_path / form / "train").iterdir()) for form in sets}
    assert size["jpeg"] < size["raw"] / 4


def test_the_seed_decides_the_order(tmp_path, source_folder):
    for name, seed in (("a", 0), ("b", 0), ("c", 1)):
        prepared(source_folder, tmp_path / name, ShardSettings(size=16, shard=4, seed=seed))
    a, b, c = (content(tmp_path / name) for name in "abc")
    assert a == b
    assert a["train/00000.raw"] != c["train/00000.raw"]
    assert a["statistics.npz"] == c["statistics.npz"]  # exact sums do not depend on the order


def test_a_tar_file_gives_the_same_bytes_as_its_folder(tmp_path, source_folder):
    with tarfile.open(tmp_path / "photos.tar", "w") as file:
        file.add(source_folder, "photos")
    prepared(source_folder, tmp_path / "a")
    prepared(tmp_path / "photos.tar", tmp_path / "b")
    assert content(tmp_path / "a") == content(tmp_path / "b")


def test_processes_write_the_same_bytes(tmp_path, source_folder):
    prepared(source_folder, tmp_path / "a")
    prepared(source_folder, tmp_path / "b", workers=3)
    assert content(tmp_path / "a") == content(tmp_path / "b")


# ---------------------------------------------------------------- what is left out


def bad_files(folder):
    """Put one file of every kind of bad image into a folder -> {name: what the reason must contain}."""
    good = (folder / "0.png").read_bytes()
    jpeg = folder / "photo.jpg"
    Image.linear_gradient("L").save(jpeg)
    files = {
        "empty.jpg": (b"", "0 bytes"),
        "cut.png": (good[: len(good) // 2], ""),
        "cut.jpg": (jpeg.read_bytes()[:700], "truncated"),
        "text.jpg": (b"this is no image\n" * 9, "none of JPEG"),
        os.fsdecode(b"\xff\xfe.jpg"): (b"no UTF-8, no image", "none of JPEG"),
    }
    jpeg.unlink()
    for name, (data, _) in files.items():
        (folder / name).write_bytes(data)
    expected = {name: reason for name, (_, reason) in files.items()}
    for name, size, reason in (
        ("line.png", (1, 10_000), f"fewer than the {SMALLEST} x {SMALLEST}"),
        ("strip.png", (20, 10_000), "longer than"),
        ("small.png", (SMALLEST - 1, 20), f"fewer than the {SMALLEST} x {SMALLEST}"),
        ("bomb.png", (20_000, 20_000), "pixels"),
    ):
        Image.new("1", size).save(folder / name)
        expected[name] = reason
    return expected


def odd_files(folder):
    """Images that are odd but good -> their names."""
    grey = Image.linear_gradient("L").resize((30, 20))
    grey.convert("CMYK").save(folder / "cmyk.jpg")
    grey.convert("I").point(lambda value: value * 257).convert("I;16").save(folder / "deep.png")
    grey.save(folder / "moving.gif", save_all=True, append_images=[grey.rotate(90)])
    grey.convert("P").save(folder / "palette.png", transparency=3)
    return ["cmyk.jpg", "deep.png", "moving.gif", "palette.png"]


def test_bad_images_are_left_out_and_listed(tmp_path):
    root = photos(tmp_path / "photos")
    odd = odd_files(root / "train/class0")
    expected = bad_files(root / "train/class1")
    outside = tmp_path / "outside.png"
    Image.new("RGB", (20, 20)).save(outside)
    (root / "val/class0/link.png").symlink_to(outside)
    expected["link.png"] = "a link that leads out of"
    found = prepared(root, tmp_path / "set", workers=2)
    assert found.rejected == len(expected)
    listed = dict(rejected(tmp_path / "set"))
    assert listed.keys() == expected.keys()
    for name, reason in expected.items():
        assert reason in listed[name], name
        assert "\n" not in listed[name]
    train, val = load_prepared(tmp_path / "set", size=16)
    assert (len(train), len(val)) == (27 + len(odd), 9)
    assert verify(tmp_path / "set") == []


def test_looking_finds_the_same_and_writes_nothing(tmp_path):
    root = photos(tmp_path / "photos")
    odd_files(root / "train/class0")
    expected = bad_files(root / "train/class1")
    before = content(tmp_path)
    found = look(open_source(root), workers=2, counting=silent)
    assert sorted(Path(name).name for name, _ in found) == sorted(expected)
    assert content(tmp_path) == before


def test_too_many_bad_images_stop_it_and_a_higher_limit_goes_on(tmp_path):
    root = photos(tmp_path / "photos")
    expected = bad_files(root / "train/class1")
    with pytest.raises(DataError, match=r"images that cannot be used, listed in .*rejected\.csv: expected at most 3;"):
        prepared(root, tmp_path / "set", max_rejected=3)
    assert 3 < len(rejected(tmp_path / "set")) <= len(expected)
    assert not (tmp_path / "set/index.json").exists()
    assert prepared(root, tmp_path / "set", max_rejected=len(expected)).rejected == len(expected)
    prepared(root, tmp_path / "other")
    assert content(tmp_path / "set") == content(tmp_path / "other")


@pytest.mark.parametrize(
    ("wanted", "total", "most"),
    [(None, 5000, 50), (None, 100, 10), (0.25, 100, 25), (0, 100, 0), (1, 9, 1), (7.0, 9, 7)],
)
def test_how_many_may_be_left_out(wanted, total, most):
    assert write.most_rejected(total, wanted) == most


@pytest.mark.parametrize("wanted", [-1, float("nan"), float("inf")])
def test_a_limit_that_makes_no_sense(wanted):
    with pytest.raises(UsageError, match="expected a number of images, or a share"):
        write.most_rejected(10, wanted)


def test_the_same_image_in_two_classes_is_reported(tmp_path):
    root = photos(tmp_path / "photos")
    for copy in ("train/class2/copy.png", "val/class1/leak.png", "train/class1/harmless.png"):
        shutil.copy(root / "train/class1/3.png", root / copy)
    found = prepared(root, tmp_path / "set")
    assert found.twice == 2
    assert sum(found.index.images(split) for split in ("train", "val")) == 39
    with (tmp_path / "set" / write.TWICE).open(newline="") as file:
        rows = [[Path(cell).name for cell in row] for row in csv.reader(file)]
    assert rows[0] == ["path", "class", "same as", "its class"]
    assert {name for row in rows[1:] for name in row[::2]} > {"copy.png", "leak.png"}
    assert all(row[1] != row[3] or "leak.png" in row for row in rows[1:])


def test_a_set_of_bad_images_only(tmp_path):
    root = tmp_path / "photos"
    for split in ("train", "val"):
        (root / split / "a").mkdir(parents=True)
        (root / split / "a/1.jpg").write_bytes(b"text")
    with pytest.raises(DataError, match="expected at least one"):
        prepared(root, tmp_path / "set")


# ---------------------------------------------------------------- the folder and the disk


def test_a_complete_set_stays_as_it_is(tmp_path, source_folder):
    prepared(source_folder, tmp_path / "set")
    before = content(tmp_path / "set")
    assert prepared(source_folder, tmp_path / "set") is None
    assert content(tmp_path / "set") == before


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"size": 17}, "made with size 16: expected size 17"),
        ({"form": "jpeg"}, "made with form raw: expected form jpeg"),
        ({"seed": 3}, "made with seed 0: expected seed 3"),
        ({"shard": 5}, "made with shard 4: expected shard 5"),
    ],
)
@pytest.mark.parametrize("complete", [True, False])
def test_other_settings_are_refused(tmp_path, source_folder, changed, message, complete):
    begun(source_folder, tmp_path / "set", complete)
    with pytest.raises(UsageError, match=message):
        prepared(source_folder, tmp_path / "set", ShardSettings(**{**vars(SMALL), **changed}))


@pytest.mark.parametrize("complete", [True, False])
def test_other_images_are_refused(tmp_path, complete):
    root = photos(tmp_path / "photos")
    begun(root, tmp_path / "set", complete)
    Image.new("RGB", (50, 50)).save(root / "train/class0/3.png")
    with pytest.raises(UsageError, match="made from other images, or from these before they changed"):
        prepared(root, tmp_path / "set")


def begun(source, folder, complete):
    """A set that is complete, or that was stopped after three shards."""

    @contextmanager
    def stopping(_):
        done = []

        def progress(images):
            done.append(images)
            if len(done) == 3 and not complete:
                raise KeyboardInterrupt

        yield progress

    try:
        prepared(source, folder, counting=stopping)
    except KeyboardInterrupt:
        assert (folder / "unfinished.npz").exists()


def test_progress_counts_what_is_left(tmp_path, source_folder):
    begun(source_folder, tmp_path / "set", False)
    seen = []

    @contextmanager
    def counting(total):
        seen.append(total)
        yield seen.append

    prepared(source_folder, tmp_path / "set", counting=counting)
    assert seen[0] == sum(seen[1:]) == 36 - 3 * 4


def test_a_damaged_state_is_told(tmp_path, source_folder, rng):
    begun(source_folder, tmp_path / "set", False)
    path = tmp_path / "set/unfinished.npz"
    whole = path.read_bytes()
    for cut in (0, 10, len(whole) // 2, len(whole) - 5):
        path.write_bytes(whole[:cut])
        with pytest.raises(DataError, match=r"unfinished\.npz .*: expected how far it was; remove .*set to begin anew"):
            prepared(source_folder, tmp_path / "set")
    path.write_bytes(rng.bytes(1000))
    with pytest.raises(DataError, match=r"unfinished\.npz"):
        prepared(source_folder, tmp_path / "set")


def test_a_folder_with_something_else(tmp_path, source_folder):
    (tmp_path / "set").mkdir()
    (tmp_path / "set/thesis.txt").write_text("years of work")
    with pytest.raises(UsageError, match="which holds something else: expected a new or an empty folder"):
        prepared(source_folder, tmp_path / "set")


def test_a_folder_within_the_source(source_folder):
    with pytest.raises(UsageError, match="expected another folder"):
        prepared(source_folder, source_folder / "prepared")


def test_more_shards_than_an_index_holds(tmp_path, source_folder, monkeypatch):
    monkeypatch.setattr(write, "MOST_SHARDS", 8)
    with pytest.raises(UsageError, match=r"got shard=4 for 36 images: expected at least 5, as a set has"):
        prepared(source_folder, tmp_path / "set")
    assert not (tmp_path / "set").exists()


def test_a_disk_that_is_too_small(tmp_path, source_folder, monkeypatch):
    monkeypatch.setattr(shutil, "disk_usage", lambda path: SimpleNamespace(free=10**9))  # noqa: ARG005
    with pytest.raises(UsageError, match=r"got a disk with 1 GB free .*: expected 2\.11 GB"):
        prepared(source_folder, tmp_path / "set", needed=2 * 10**9)
    assert not list((tmp_path / "set").rglob("*.raw"))
    assert prepared(source_folder, tmp_path / "set", needed=9 * 10**8) is not None


def test_what_is_written_already_needs_no_room(tmp_path, source_folder, monkeypatch):
    begun(source_folder, tmp_path / "set", False)
    written = sum(path.stat().st_size for path in (tmp_path / "set").rglob("*.raw"))
    monkeypatch.setattr(shutil, "disk_usage", lambda path: SimpleNamespace(free=write.SPARE))  # noqa: ARG005
    with pytest.raises(UsageError, match="got a disk with"):
        prepared(source_folder, tmp_path / "set", needed=written + 10)
    assert prepared(source_folder, tmp_path / "set", needed=written) is not None


def test_the_sizes_that_are_told(tmp_path, source_folder):
    source = open_source(source_folder)
    needed = write.needed_bytes(source, ShardSettings(size=64))
    for form, tolerance in (("raw", 0), ("jpeg", 0.2)):
        prepared(source, tmp_path / form, ShardSettings(size=64, form=form))
        size = sum(len(data) for name, data in content(tmp_path / form).items() if name.endswith((".raw", ".jpegs")))
        assert abs(needed[form] - size) <= tolerance * size


@pytest.mark.parametrize(
    ("count", "text"), [(12, "12 bytes"), (1234, "1.23 kB"), (261e9, "261 GB"), (2.5e12, "2,500 GB")]
)
def test_sizes_are_readable(count, text):
    assert write.readable(count) == text


# ---------------------------------------------------------------- kills

SCRIPT = """
import resource, sys
from contextlib import contextmanager
from pathlib import Path
from tinyalex.data.shards.sources import open_source
from tinyalex.data.shards.work import ShardSettings
from tinyalex.data.shards.write import prepare

@contextmanager
def counting(total):
    yield lambda images: print("done", flush=True)

if __name__ == "__main__":
    source, folder, workers, limit = sys.argv[1:]
    if int(limit):
        resource.setrlimit(resource.RLIMIT_FSIZE, (int(limit), int(limit)))
    prepare(
        open_source(source), Path(folder), ShardSettings(size=16, shard=4), needed=0, workers=int(workers),
        max_rejected=10, counting=counting,
    )
"""


def start(tmp_path, source, folder, workers=1, limit=0):
    script = tmp_path / "script.py"
    script.write_text(SCRIPT)
    words = [sys.executable, str(script), str(source), str(folder), str(workers), str(limit)]
    return subprocess.Popen(words, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


@pytest.mark.parametrize(("workers", "shards"), [(1, 0), (1, 3), (2, 1), (2, 5)])
def test_the_same_bytes_after_a_kill(tmp_path, source_folder, workers, shards):
    """Killed when some shards are done; at 0 as soon as the folder is there."""
    folder = tmp_path / "set"
    process = start(tmp_path, source_folder, folder, workers)
    for _ in range(shards):
        assert process.stdout.readline() == "done\n"
    while not folder.exists() and process.poll() is None:
        time.sleep(0.001)
    process.kill()
    process.communicate()
    assert not (folder / "index.json").exists()
    prepared(source_folder, folder)
    prepared(source_folder, tmp_path / "undisturbed")
    assert content(folder) == content(tmp_path / "undisturbed")


def test_the_same_bytes_whatever_a_kill_leaves(tmp_path, source_folder, monkeypatch):
    """Stopped before each write of a file that it makes: a shard, the state, the digests, the tables, the index."""
    settings = ShardSettings(size=8, shard=16)
    prepared(source_folder, tmp_path / "undisturbed", settings)
    expected = content(tmp_path / "undisturbed")
    replace = Path.replace

    class Killed(BaseException):
        """No handler catches it, as none handles a kill."""

    step = 0
    while True:
        step += 1
        left = [step]

        def one_step(original, left=left):
            def work(*arguments):
                left[0] -= 1
                if not left[0]:
                    raise Killed
                return original(*arguments)

            return work

        folder = tmp_path / f"set{step}"
        with monkeypatch.context() as patch:
            patch.setattr(Path, "replace", one_step(replace))
            patch.setattr(os, "fsync", one_step(ignore))
            try:
                prepared(source_folder, folder, settings)
                break
            except Killed:
                pass
        prepared(source_folder, folder, settings)
        assert content(folder) == expected
        shutil.rmtree(folder)
    assert step > 20


def alive(pid):
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


@pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="needs /proc to see processes")
@pytest.mark.parametrize("sign", [signal.SIGKILL, signal.SIGINT])
def test_no_process_outlives_its_parent(tmp_path, source_folder, sign):
    process = start(tmp_path, source_folder, tmp_path / "set", workers=2)
    assert process.stdout.readline() == "done\n"
    children = Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split()
    process.send_signal(sign)
    process.communicate(timeout=30)
    deadline = time.monotonic() + 10
    while any(map(alive, children)) and time.monotonic() < deadline:
        time.sleep(0.01)
    assert children
    assert not any(map(alive, children))


def test_two_at_once_are_refused(tmp_path, source_folder):
    @contextmanager
    def meanwhile(_):
        with pytest.raises(UsageError, match="which another process uses"):
            prepared(source_folder, tmp_path / "set")
        yield ignore

    prepared(source_folder, tmp_path / "set", counting=meanwhile)


@pytest.mark.parametrize("workers", [1, 2])
def test_a_full_disk(tmp_path, source_folder, workers):
    """A limit on the size of a file stands for the disk: a shard of 4 images has 3,136 bytes."""
    process = start(tmp_path, source_folder, tmp_path / "set", workers, limit=2000)
    _, errors = process.communicate(timeout=60)
    assert process.returncode == 1
    last = errors.strip().splitlines()[-1]
    assert last.startswith("OSError") or "File too large" in last
    assert os.strerror(errno.EFBIG) in errors
    prepared(source_folder, tmp_path / "set")
    prepared(source_folder, tmp_path / "undisturbed")
    assert content(tmp_path / "set") == content(tmp_path / "undisturbed")


def end(job):
    """Work that ends its process, as the system does when the memory is full."""
    os.kill(os.getpid(), signal.SIGKILL)
    return job


def test_a_process_that_is_killed_is_told():
    with pytest.raises(UsageError, match="a process that worked was killed"):
        list(processes.in_processes(end, range(9), 2))


def end_while_sending(signal_to_begin):
    """Work whose process is killed while it sends a result that is larger than any pipe holds."""
    if signal_to_begin is None:
        return b""
    while not signal_to_begin.exists():
        time.sleep(0.01)
    threading.Timer(0.2, os.kill, (os.getpid(), signal.SIGKILL)).start()
    return bytes(2**24)


def test_a_process_that_is_killed_in_the_middle_of_a_result_is_told(tmp_path):
    results = processes.in_processes(end_while_sending, [None, tmp_path / "begin"], 2)
    assert next(results) == b""
    (tmp_path / "begin").touch()
    time.sleep(1)  # nobody reads what the other process sends
    with pytest.raises(UsageError, match="a process that worked was killed"):
        next(results)


def double(job):
    if job == 5:
        raise DataError("five")
    return 2 * job


@pytest.mark.parametrize("workers", [1, 2])
def test_jobs_in_processes(workers):
    assert sorted(processes.in_processes(double, range(5), workers)) == [0, 2, 4, 6, 8]
    with pytest.raises(DataError, match="five"):
        list(processes.in_processes(double, range(9), workers))
