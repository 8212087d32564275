"""The nearest photographs of an index: which, how far, and that a damaged index or another net is told."""

import json
import math
import tracemalloc
from contextlib import ExitStack, closing

import numpy as np
import pytest

from runs import TINY
from tinyalex import AlexNet
from tinyalex.data import PixelStatistics
from tinyalex.errors import DataError, UsageError
from tinyalex.training import neighbours as module
from tinyalex.training.features import fingerprint
from tinyalex.training.neighbours import Index
from tinyalex.viz import figure4
from tinyalex.weights.checkpoint import Checkpoint


def trained(seed=0):
    net = AlexNet(TINY, num_classes=4, seed=seed)
    return Checkpoint(net, tuple("abcd"), PixelStatistics(np.full((18, 18, 3), 99, "float32"), np.ones(3), np.eye(3)))


def index_at(path, rows, /, **changed):
    """Write an index as other programs would, with NumPy; some of its arrays may be others."""
    made_by = {"net": "checkpoint run", "sha256": fingerprint(trained())}
    arrays = {
        "features": rows,
        "files": np.array([f"photos/{number}.jpg" for number in range(len(rows))]),
        "layer": np.array("relu7"),
        "made_by": np.array(json.dumps(made_by)),
        **changed,
    }
    np.savez(path, **{name: array for name, array in arrays.items() if array is not None})
    return path


@pytest.fixture
def opened():
    """Opens an index, which is closed at the end."""
    with ExitStack() as stack:
        yield lambda path: stack.enter_context(closing(Index(path)))


def by_hand(queries, rows, k):
    """One number at a time -> numbers and distances."""
    numbers, distances = [], []
    for query in queries.tolist():
        far = [math.dist(query, row) for row in rows.tolist()]
        numbers.append(sorted(range(len(far)), key=lambda i: (far[i], i))[:k])
        distances.append([far[i] for i in numbers[-1]])
    return numbers, distances


@pytest.mark.parametrize("chunk", [1, 7 * 16, 1 << 20])
@pytest.mark.parametrize("k", [1, 6, 40])
def test_nearest_against_a_loop(tmp_path, rng, monkeypatch, chunk, k, opened):
    """A row at a time, seven at a time with some left over, all at once; some of the index are equally near."""
    monkeypatch.setattr(figure4, "CHUNK", chunk)
    monkeypatch.setattr(module, "NAMES", 9)
    rows = rng.integers(0, 3, (40, 16)).astype("float32")
    queries = rng.integers(0, 3, (3, 16)).astype("float32")
    index = opened(index_at(tmp_path / "f.npz", rows))
    found, distances = index.nearest(queries, k)
    expected, far = by_hand(queries, rows, k)
    assert found.tolist() == expected
    np.testing.assert_allclose(distances, far, rtol=1e-12)
    files = index.files(found)
    assert {number: str(path) for number, path in files.items()} == {
        number: f"photos/{number}.jpg" for of_one in expected for number in of_one
    }


def test_a_search_does_not_hold_the_index(tmp_path, rng, monkeypatch, opened):
    """32 MB of features, half a megabyte at a time."""
    monkeypatch.setattr(figure4, "CHUNK", 1 << 17)
    index = opened(index_at(tmp_path / "f.npz", rng.random((8192, 1024), np.float32)))
    tracemalloc.start()
    index.nearest(rng.random((2, 1024), np.float32), 6)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 8 * 2**20


def test_the_net_that_made_it(tmp_path, opened):
    path = index_at(tmp_path / "f.npz", np.zeros((5, 16), "float32"))
    opened(path).check(trained(), 5)
    with pytest.raises(UsageError, match=r"got another net than that of .*f\.npz: expected 'checkpoint run'"):
        opened(path).check(trained(1), 5)
    for k in (0, 6):
        with pytest.raises(UsageError, match=f"got k={k}: expected 1 to 5, the photographs in"):
            opened(path).check(trained(), k)


@pytest.mark.parametrize(
    "change",
    [
        {"features": np.zeros((5, 16))},
        {"features": np.zeros((5, 0), "float32")},
        {"features": np.zeros((4, 16), "float32")},
        {"features": np.zeros(5, "float32")},
        {"features": np.asfortranarray(np.zeros((5, 16), "float32"))},
        {"files": np.arange(5)},
        {"files": np.array([object()] * 5)},
        {"files": None},
        {"layer": None},
        {"made_by": np.array("[1, 2]")},
        {"made_by": np.array("{")},
    ],
)
def test_arrays_that_features_does_not_write(tmp_path, change, opened):
    path = index_at(tmp_path / "f.npz", np.zeros((5, 16), "float32"), **change)
    with pytest.raises(DataError, match="damaged or no file of features") as caught:
        opened(path).nearest(np.zeros((1, 16)), 1)
    assert "\n" not in str(caught.value)


def test_what_is_no_file_of_features(tmp_path, opened):
    for name, content in {"text": b"Dear all", "empty": b""}.items():
        (tmp_path / name).write_bytes(content)
        with pytest.raises(DataError, match="damaged or no file of features"):
            opened(tmp_path / name)
    for path in (tmp_path / "nothing", tmp_path):
        with pytest.raises(DataError, match="expected a file of features; make it with tinyalex features"):
            opened(path)


@pytest.mark.parametrize("number", [np.nan, np.inf, -np.inf])
def test_features_that_are_not_finite(tmp_path, number, opened):
    features = np.zeros((5, 16), "float32")
    features[3, 2] = number
    with pytest.raises(DataError, match="NaN or infinity in the features"):
        opened(index_at(tmp_path / "f.npz", features)).nearest(np.zeros((1, 16)), 1)


def test_any_flipped_bit_is_found_or_does_no_harm(tmp_path, rng, opened):
    """In the arrays the checksums of the zip file find it."""
    path = index_at(tmp_path / "f.npz", rng.random((5, 16), np.float32))
    whole = path.read_bytes()
    expected = opened(path).nearest(np.zeros((1, 16)), 3)[0]
    found = 0
    for place in range(0, len(whole), 7):
        path.write_bytes(whole[:place] + bytes([whole[place] ^ 4]) + whole[place + 1 :])
        try:
            index = opened(path)
            numbers = index.nearest(np.zeros((1, 16)), 3)[0]
            index.files(numbers)
        except DataError:
            found += 1
        else:
            np.testing.assert_array_equal(numbers, expected)
    assert found > len(whole) / 7 / 2
    for length in range(0, len(whole), 50):
        path.write_bytes(whole[:length])
        with pytest.raises(DataError):
            opened(path)
