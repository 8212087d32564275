"""CIFAR-10's files as Python 2 wrote them, and files that are not what they claim to be."""

import hashlib
import io
import os
import pickle
import tarfile
import tracemalloc
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cifar_files import NAMES, array_pickle, as_file, batch, pickled, rows_of, with_old_names
from tinyalex.data import cifar, download_cifar10, download_cifar100, load_cifar10, load_cifar100
from tinyalex.errors import DataError, TinyAlexError, UsageError


@pytest.fixture
def folder(tmp_path):
    """Three training batches of 3, 5 and 2 rows, numbered 1, 2 and 10, and 4 test rows."""
    for number, count in ((1, 3), (2, 5), (10, 2)):
        rows = batch(rows_of(count, number), [(number + i) % 10 for i in range(count)])
        (tmp_path / f"data_batch_{number}").write_bytes(as_file(rows))
    (tmp_path / "test_batch").write_bytes(as_file(batch(rows_of(4, 99), [9, 0, 3, 3])))
    meta = {b"num_cases_per_batch": 5, b"label_names": NAMES, b"num_vis": 3072}
    (tmp_path / "batches.meta").write_bytes(as_file(meta))
    return tmp_path


def test_the_writer_writes_what_pickle_reads():
    """The test's own writer against Python's reader; NumPy may grumble at the old name it meets."""
    value = {b"a": [1, -2, True, None, 0.5], b"b": (b"c", {})}
    assert pickle.loads(as_file(value), encoding="bytes") == value


def test_pixels_land_in_their_places(folder):
    """Plane by plane, row by row: byte 1024 k + 32 r + c is colour k of the pixel (r, c)."""
    found = load_cifar10(folder, "val", size=32)
    rows = rows_of(4, 99)
    assert found.read(np.arange(4)).shape == (4, 32, 32, 3)
    for image in range(4):
        for colour in range(3):
            for row in (0, 1, 17, 31):
                for column in (0, 2, 30, 31):
                    expected = rows[image, 1024 * colour + 32 * row + column]
                    assert found.images[image, row, column, colour] == expected


def test_batches_follow_each_other_by_number(folder):
    train = load_cifar10(folder, "train", size=32)
    assert len(train) == 10
    assert train.labels.tolist() == [1, 2, 3, 2, 3, 4, 5, 6, 0, 1]
    assert train.labels.dtype == np.int64
    assert (train.picture(9)[0, :, 0] == rows_of(2, 10)[1, :32]).all()
    val = load_cifar10(folder, "val")
    assert (val.name, val.classes[3], val.size, len(val)) == ("cifar10", "cat", 36, 4)
    assert val.labels.tolist() == [9, 0, 3, 3]


def test_one_batch_is_enough(folder):
    (folder / "data_batch_2").unlink()
    (folder / "data_batch_10").unlink()
    assert len(load_cifar10(folder, "train")) == 3


def test_other_files_beside_the_batches_are_no_batches(folder):
    (folder / "data_batch_1.part").write_bytes(b"half")
    (folder / "readme.html").write_bytes(b"<html>")
    assert len(load_cifar10(folder, "train")) == 10


@pytest.mark.parametrize("size", [32, 36, 37, 64, 94])
def test_the_border_is_a_mirror(folder, size):
    val = load_cifar10(folder, "val", size=size)
    assert val.size == size
    stored = val.read(np.array([2]))[0]
    assert stored.shape == (size, size, 3)
    original = rows_of(4, 99)[2].reshape(3, 32, 32)
    before = (size - 32) // 2

    def mirrored(place):  # 3 2 1 | 0 1 2 ... 30 31 | 30 29
        place -= before
        return -place if place < 0 else 62 - place if place > 31 else place

    for row in range(size):
        for column in range(size):
            assert stored[row, column].tolist() == original[:, mirrored(row), mirrored(column)].tolist()
    np.testing.assert_array_equal(val.picture(2), original.transpose(1, 2, 0))


def test_an_array_stored_column_by_column(folder):
    rows = rows_of(4, 5)
    data = array_pickle((4, 3072), rows.tobytes(order="F"), column_major=True)
    content = b"}(" + pickled(b"data") + data + pickled(b"labels") + pickled([0, 1, 2, 3]) + b"u"
    (folder / "test_batch").write_bytes(as_file(content))
    found = load_cifar10(folder, "val", size=32)
    np.testing.assert_array_equal(found.images.transpose(0, 3, 1, 2).reshape(4, 3072), rows)


# Files that Python 3 wrote.


@pytest.mark.parametrize("protocol", range(6))
@pytest.mark.parametrize("words", [str, str.encode])  # as Python 3 has them, or as it kept those of Python 2
@pytest.mark.parametrize("order", "CF")
def test_batches_that_python_3_wrote(tmp_path, protocol, words, order):
    rows = rows_of(4, 5)
    content = {words("data"): np.asarray(rows, order=order), words("labels"): [0, 1, 2, 9]}
    names = {words("label_names"): [words(f"class {i}") for i in range(10)]}
    (tmp_path / "batches.meta").write_bytes(pickle.dumps(names, protocol))
    (tmp_path / "data_batch_1").write_bytes(pickle.dumps(content, protocol))
    (tmp_path / "test_batch").write_bytes(with_old_names(pickle.dumps(content, protocol)))
    for split in ("train", "val"):
        found = load_cifar10(tmp_path, split, size=32)
        np.testing.assert_array_equal(found.images.transpose(0, 3, 1, 2).reshape(4, 3072), rows)
        assert found.labels.tolist() == [0, 1, 2, 9]
        assert found.classes == tuple(f"class {i}" for i in range(10))


# CIFAR-100.


@pytest.fixture
def folder100(tmp_path):
    """CIFAR-100's files with 5 training images and 3 others."""
    for name, count in (("train", 5), ("test", 3)):
        rows = {b"data": rows_of(count, count), b"coarse_labels": [7] * count}
        (tmp_path / name).write_bytes(as_file(rows | {b"fine_labels": [99 - i for i in range(count)]}))
    names = {b"fine_label_names": [f"fine {i}".encode() for i in range(100)], b"coarse_label_names": [b"coarse"] * 20}
    (tmp_path / "meta").write_bytes(as_file(names))
    (tmp_path / "train.part").write_bytes(b"half")
    return tmp_path


def test_cifar100(folder100):
    train, val = load_cifar100(folder100, "train", size=40), load_cifar100(folder100, "val")
    assert (train.name, train.size, len(train), len(val), len(train.classes)) == ("cifar100", 40, 5, 3, 100)
    assert train.labels.tolist() == [99, 98, 97, 96, 95]
    assert val.labels.tolist() == [99, 98, 97]
    assert train.classes[99] == "fine 99"
    np.testing.assert_array_equal(val.picture(1), rows_of(3, 3)[1].reshape(3, 32, 32).transpose(1, 2, 0))
    with pytest.raises(UsageError, match="for CIFAR-100"):
        load_cifar100(folder100, "val", size=256)


def test_one_set_taken_for_the_other(folder, request):
    with pytest.raises(DataError, match=rf"{folder}, which holds CIFAR-10: .*; write cifar10:{folder}"):
        load_cifar100(folder, "train")
    for path in folder.iterdir():
        path.unlink()
    folder100 = request.getfixturevalue("folder100")  # in the same place
    with pytest.raises(DataError, match=rf"which holds CIFAR-100: expected CIFAR-10's .*; write cifar100:{folder100}"):
        load_cifar10(folder100, "val")
    (folder100 / "meta").unlink()
    with pytest.raises(DataError, match="meta is missing or not a file: expected CIFAR-100's train, test, meta"):
        load_cifar100(folder100, "train")


@pytest.mark.parametrize("name", ["data_batch_1.bin", "batches.meta.mat", "train.bin"])
def test_other_versions_are_named(tmp_path, name):
    (tmp_path / name).write_bytes(b"")
    with pytest.raises(DataError, match=r"the binary or the Matlab version.* Python version, cifar-10-python\.tar\.gz"):
        load_cifar10(tmp_path, "train")
    with pytest.raises(DataError, match=r"the Python version, cifar-100-python\.tar\.gz"):
        load_cifar100(tmp_path, "train")


# Safety.


@pytest.mark.parametrize(
    ("module", "name"),
    [
        ("os", "system"),
        ("posix", "system"),
        ("builtins", "eval"),
        ("__builtin__", "eval"),
        ("numpy", "load"),
        ("numpy.core.multiarray", "fromfile"),
        ("numpy", "ndarray.tofile"),
        ("tinyalex.data.cifar", "download_cifar10"),
    ],
)
@pytest.mark.parametrize("opcode", ["global", "stack_global"])
def test_a_pickle_that_calls_anything_else_is_refused(folder, module, name, opcode, capfd):
    if opcode == "global":
        called = b"\x80\x02c" + f"{module}\n{name}\n".encode()
    else:
        called = b"\x80\x04" + b"".join(b"\x8c" + bytes([len(s)]) + s.encode() for s in (module, name)) + b"\x93"
    (folder / "test_batch").write_bytes(called + pickled((b"echo harm",)) + b"R.")
    with pytest.raises(DataError, match=rf"test_batch .*asks for {module}\.{name}"):
        load_cifar10(folder, "val")
    assert "harm" not in capfd.readouterr().out


def test_a_dtype_of_objects_is_refused(folder):
    """Bytes taken for pointers to objects would be the end of all safety."""
    content = b"}(" + pickled(b"data") + array_pickle((1, 3072), bytes(3072 * 8), code=b"O8")
    (folder / "test_batch").write_bytes(as_file(content + pickled(b"labels") + pickled([1]) + b"u"))
    with pytest.raises(DataError, match="not of numbers"):
        load_cifar10(folder, "val")


def test_pixels_that_are_not_uint8_are_refused(folder):
    data = np.zeros((1, 3072), np.float32)
    (folder / "test_batch").write_bytes(pickle.dumps({"data": data, "labels": [1]}))
    with pytest.raises(DataError, match="data of float32: expected uint8"):
        load_cifar10(folder, "val")


def test_a_name_that_is_repeated_does_not_fill_the_memory(folder):
    names = pickle.dumps({"label_names": [b"a" * 10_000] * 10_000})
    (folder / "batches.meta").write_bytes(names)
    tracemalloc.start()
    with pytest.raises(DataError, match="names of more than 100,000 letters"):
        load_cifar10(folder, "val")
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 2e6


def test_files_that_are_none_or_too_large(folder):
    path = folder / "test_batch"
    path.unlink()
    os.mkfifo(path)  # reading it would wait for ever
    with pytest.raises(DataError, match="test_batch is missing or not a file"):
        load_cifar10(folder, "val")
    path.unlink()
    with path.open("wb") as file:
        file.truncate(2**30 + 1)  # without a block on the disk
    with pytest.raises(DataError, match="1,073,741,825 bytes: expected at most 1,073,741,824; split it"):
        load_cifar10(folder, "val")


def test_the_images_are_in_memory_once(folder):
    """While they are read: the stored images, and all batches or what is left of them."""
    for number in (1, 2, 10):
        (folder / f"data_batch_{number}").write_bytes(as_file(batch(rows_of(1000, number), [0] * 1000)))
    one_batch, stored = 1000 * 3072, 3000 * 3 * 94**2
    tracemalloc.start()
    train = load_cifar10(folder, "train", size=94)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert train.images.nbytes == stored
    assert peak < stored + 3 * one_batch + 1e6


@pytest.mark.parametrize("where", ["start", "middle", "end", "empty"])
def test_a_file_cut_short(folder, where):
    path = folder / "test_batch"
    content = path.read_bytes()
    path.write_bytes(content[: {"start": 3, "middle": 5000, "end": len(content) - 1, "empty": 0}[where]])
    with pytest.raises(DataError, match=r"cannot read .*test_batch") as raised:
        load_cifar10(folder, "val")
    assert "\n" not in str(raised.value)


SMALL = as_file(batch(rows_of(1, 0), [1]))


@settings(deadline=None, max_examples=150)
@given(st.lists(st.tuples(st.integers(0, 400) | st.integers(-60, -1), st.integers(0, 255)), min_size=1, max_size=4))
def test_damaged_bytes_raise_nothing_but_data_errors(tmp_path_factory, changes):
    content = bytearray(SMALL)
    for place, value in changes:
        content[place] = value
    path = tmp_path_factory.getbasetemp() / "damaged_batch"
    path.write_bytes(content)
    try:
        images, labels = cifar._read_batch(cifar.CIFAR10, path, 10)
    except DataError:
        return
    assert images.shape[1:] == (3, 32, 32)
    assert ((labels >= 0) & (labels < 10)).all()


# Contents that are pickles but no batches.


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ([1, 2], "with a list: expected a dict"),
        ({b"data": rows_of(2, 0)}, "without data and labels"),
        ({b"labels": [1, 2]}, "without data and labels"),
        (batch([1, 2], [1, 2]), "without data and labels"),
        (batch(rows_of(2, 0)[:, :3071], [1, 2]), r"shape \(2, 3071\): expected \(rows, 3072\)"),
        (batch(rows_of(2, 0).ravel(), [1, 2]), r"shape \(6144,\)"),
        (batch(rows_of(2, 0), [1, 10]), "got label 10: expected 0 ... 9"),
        (batch(rows_of(2, 0), [1, -1]), "got label -1: expected 0 ... 9"),
        (batch(rows_of(2, 0), [1]), r"labels of shape \(1,\): expected \(2,\)"),
        (batch(rows_of(2, 0), [1, 2.0]), "labels that are not integers"),
        (batch(rows_of(2, 0), [1, None]), "labels that are not integers"),
        (batch(rows_of(0, 0), []), "without images of the split val"),
    ],
)
def test_contents_that_do_not_fit(folder, content, message):
    (folder / "test_batch").write_bytes(as_file(content))
    with pytest.raises(DataError, match=message):
        load_cifar10(folder, "val")


def test_missing_files_are_named(folder, tmp_path):
    with pytest.raises(DataError, match="nowhere: expected CIFAR-10's folder"):
        load_cifar10(tmp_path / "nowhere", "val")
    (folder / "test_batch").unlink()
    with pytest.raises(DataError, match="test_batch is missing"):
        load_cifar10(folder, "val")
    for number in (1, 2, 10):
        (folder / f"data_batch_{number}").unlink()
    with pytest.raises(DataError, match="without data_batch_1"):
        load_cifar10(folder, "train")
    (folder / "batches.meta").write_bytes(as_file({b"label_names": [1, 2]}))
    with pytest.raises(DataError, match="without a list of label_names"):
        load_cifar10(folder, "train")
    (folder / "batches.meta").unlink()
    with pytest.raises(DataError, match=r"batches\.meta is missing"):
        load_cifar10(folder, "train")


def test_other_splits_and_sizes_are_refused(folder):
    with pytest.raises(UsageError, match="got split 'test': expected train or val"):
        load_cifar10(folder, "test")
    for size in (31, 95, 256):
        with pytest.raises(UsageError, match=f"{size} x {size}.* expected 32 ... 94"):
            load_cifar10(folder, "val", size=size)


# Download: the network is played by a function that puts an archive where pooch would.


def archive_of(contents):
    file = io.BytesIO()
    with tarfile.open(fileobj=file, mode="w:gz") as tar:
        top = tarfile.TarInfo("cifar-10-batches-py")
        top.type = tarfile.DIRTYPE
        tar.addfile(top)
        for name, content in contents.items():
            member = tarfile.TarInfo(name)
            member.size = len(content)
            tar.addfile(member, io.BytesIO(content))
    return file.getvalue()


def official_contents():
    one = as_file(batch(rows_of(2, 1), [0, 1]))
    contents = {f"cifar-10-batches-py/data_batch_{number}": one for number in range(1, 6)}
    contents["cifar-10-batches-py/test_batch"] = one
    contents["cifar-10-batches-py/batches.meta"] = as_file({b"label_names": NAMES})
    contents["cifar-10-batches-py/readme.html"] = b"<html>"
    return contents


@pytest.fixture
def network(monkeypatch):
    """A list of the calls made; `network.archive` is what comes back."""
    pooch = pytest.importorskip("pooch")

    class Network(list):
        archive = archive_of(official_contents())
        error = None

    calls = Network()

    def retrieve(url, known_hash, *, fname, path, downloader):
        assert callable(downloader)
        calls.append((url, known_hash))
        if calls.error:
            raise calls.error
        (Path(path) / fname).write_bytes(calls.archive)
        return str(Path(path) / fname)

    monkeypatch.setattr(pooch, "retrieve", retrieve)
    return calls


def test_download_unpacks_what_can_be_loaded(network, tmp_path):
    where = download_cifar10(tmp_path / "new" / "cifar")
    assert where == tmp_path / "new" / "cifar"
    assert network == [
        ("https://www.cs.toronto.edu/~kriz/cifar-10-python.tar.gz", "md5:c58f30108f718f92721af3b95e74349a")
    ]
    assert sorted(path.name for path in where.iterdir()) == sorted(cifar.CIFAR10.files)  # nothing half-written
    assert len(load_cifar10(where, "train")) == 10
    assert download_cifar10(where) == where
    assert len(network) == 1  # it was there


def test_download_of_cifar100(network, tmp_path):
    one = as_file({b"data": rows_of(2, 1), b"fine_labels": [0, 1]})
    contents = {"train": one, "test": one, "meta": as_file({b"fine_label_names": NAMES}), "file.txt~": b""}
    network.archive = archive_of({f"cifar-100-python/{name}": content for name, content in contents.items()})
    where = download_cifar100(tmp_path)
    assert network == [
        ("https://www.cs.toronto.edu/~kriz/cifar-100-python.tar.gz", "md5:eb9058c3a382ffc7106e4002c42a8d85")
    ]
    assert sorted(path.name for path in where.iterdir()) == ["meta", "test", "train"]
    assert len(load_cifar100(where, "train")) == 2


def test_a_folder_that_lacks_a_file_is_fetched_again(network, tmp_path):
    download_cifar10(tmp_path)
    (tmp_path / "test_batch").unlink()
    download_cifar10(tmp_path)
    assert len(network) == 2
    assert len(load_cifar10(tmp_path, "val")) == 2


def test_download_goes_to_the_cache_folder(network, tmp_path, monkeypatch):
    monkeypatch.setenv("TINYALEX_CACHE", str(tmp_path / "cache"))
    assert download_cifar10() == tmp_path / "cache" / "cifar-10-batches-py"
    assert len(network) == 1


@pytest.mark.parametrize(
    "name", ["../escaped", "/tmp/escaped", "cifar-10-batches-py/../../escaped", "other/test_batch"]
)
def test_nothing_else_in_an_archive_is_unpacked(network, tmp_path, name):
    network.archive = archive_of(official_contents() | {name: b"harm"})
    download_cifar10(tmp_path / "cifar")
    assert {path.name for path in tmp_path.rglob("*")} == {"cifar", *cifar.CIFAR10.files}
    assert b"harm" not in (tmp_path / "cifar" / "test_batch").read_bytes()
    assert not Path("/tmp/escaped").exists()


def test_a_link_in_place_of_a_file_is_refused(network, tmp_path):
    file = io.BytesIO()
    with tarfile.open(fileobj=file, mode="w:gz") as tar:
        for name, content in official_contents().items():
            member = tarfile.TarInfo(name)
            if name.endswith("test_batch"):
                member.type, member.linkname = tarfile.SYMTYPE, "/etc/hostname"
                tar.addfile(member)
            else:
                member.size = len(content)
                tar.addfile(member, io.BytesIO(content))
    network.archive = file.getvalue()
    with pytest.raises(DataError, match="without test_batch: expected CIFAR-10's data_batch_1"):
        download_cifar10(tmp_path)


def test_an_archive_that_lacks_a_file_or_is_none(network, tmp_path):
    contents = official_contents()
    del contents["cifar-10-batches-py/data_batch_3"]
    network.archive = archive_of(contents)
    with pytest.raises(DataError, match="without data_batch_3: expected CIFAR-10's data_batch_1"):
        download_cifar10(tmp_path)
    for content in (b"<html>not found</html>", archive_of(official_contents())[:3000]):
        network.archive = content
        with pytest.raises(DataError, match="cannot unpack"):
            download_cifar10(tmp_path)


@pytest.mark.parametrize("error", [OSError("no\nnetwork"), ValueError("MD5 hash does not match")])
def test_a_failed_download_is_one_clear_line(network, tmp_path, error):
    network.error = error
    with pytest.raises(DataError, match=r"cannot download https://www\.cs\.toronto\.edu") as raised:
        download_cifar10(tmp_path)
    assert "\n" not in str(raised.value)


def test_without_pooch_the_extra_is_named(tmp_path, monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "pooch", None)
    with pytest.raises(DataError, match=r"pip install pooch"):
        download_cifar10(tmp_path)


# The real set.

REAL = os.environ.get("TINYALEX_DATA")


@pytest.mark.skipif(REAL is None, reason="TINYALEX_DATA is not set: no real images")
@pytest.mark.filterwarnings("ignore")  # NumPy's own reading of the old names
def test_the_real_batches_as_numpy_reads_them():
    where = Path(REAL) / "cifar-10-batches-py"
    val = load_cifar10(where, "val")
    content = pickle.loads((where / "test_batch").read_bytes(), encoding="bytes")
    assert len(val) == len(content[b"labels"]) == len(content[b"data"])
    assert val.labels.tolist() == content[b"labels"]
    inside = val.images[:, 2:34, 2:34].transpose(0, 3, 1, 2).reshape(-1, 3072)
    digests = [hashlib.sha256(np.ascontiguousarray(x).tobytes()).hexdigest() for x in (inside, content[b"data"])]
    assert digests[0] == digests[1]
    assert val.classes == (
        *("airplane", "automobile", "bird", "cat", "deer"),
        *("dog", "frog", "horse", "ship", "truck"),
    )
    with pytest.raises(TinyAlexError):
        load_cifar10(where.parent, "val")
