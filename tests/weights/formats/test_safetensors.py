"""Files of the format safetensors: those of two other writers come back, lies are told and take no memory."""

import json
import os
import struct
import tracemalloc
from pathlib import Path

import numpy as np
import pytest

from tinyalex.errors import CheckpointError
from tinyalex.files import legible
from tinyalex.weights.formats import torch
from tinyalex.weights.formats.safetensors import LARGEST_HEADER, read_arrays

STORED = Path(__file__).parent.parent / "stored"
DTYPES = {
    "F64": "f8",
    "F32": "f4",
    "F16": "f2",
    "I64": "i8",
    "I32": "i4",
    "I16": "i2",
    "I8": "i1",
    "U8": "u1",
    "BOOL": "?",
}


@pytest.fixture
def file(tmp_path):
    """A function that writes a header and numbers to a file, which it returns."""

    def write(header, numbers=b"", *, length=None):
        text = header if isinstance(header, bytes) else json.dumps(header).encode()
        path = tmp_path / "net.safetensors"
        path.write_bytes(struct.pack("<Q", len(text) if length is None else length) + text + numbers)
        return path

    return write


def entry(shape, begin, end, dtype="F32"):
    return {"dtype": dtype, "shape": shape, "data_offsets": [begin, end]}


def refused(path, match):
    with pytest.raises(CheckpointError, match=match) as caught:
        read_arrays(path)
    message = str(caught.value)
    assert message == legible(message)
    assert len(message) < 600 + len(str(path))


def test_what_the_library_wrote():
    expected = torch.read_arrays(STORED / "zip.pth").arrays
    found = read_arrays(STORED / "torch.safetensors").arrays
    assert found.keys() == expected.keys()
    for name, array in expected.items():
        np.testing.assert_array_equal(found[name], array)
    for name, array in torch.read_arrays(STORED / "bfloat16-old.pth").arrays.items():
        np.testing.assert_array_equal(read_arrays(STORED / "bfloat16.safetensors").arrays[name], array)


def test_a_real_file_of_another_writer():
    path = Path(os.environ.get("TINYALEX_WEIGHTS", "-"), "files", "tinygrad_mnist.safetensors")
    if not path.is_file():
        pytest.skip("TINYALEX_WEIGHTS names no folder with files/tinygrad_mnist.safetensors")
    found = read_arrays(path).arrays
    assert {name: array.shape for name, array in found.items()} == {"l1.weight": (128, 784), "l2.weight": (10, 128)}
    assert all(0.001 < array.std() < 1 for array in found.values())


@pytest.mark.parametrize("kind", DTYPES)
def test_every_kind_of_number(kind, file, rng):
    array = rng.integers(0, 2 if kind == "BOOL" else 100, (3, 4)).astype(DTYPES[kind])
    found = read_arrays(file({"a": entry([3, 4], 0, array.nbytes, kind)}, array.tobytes())).arrays["a"]
    assert found.dtype == array.dtype
    np.testing.assert_array_equal(found, array)


def test_the_order_of_the_header_does_not_matter(file):
    numbers = np.arange(5, dtype="f4")
    header = {
        "c": entry([2], 12, 20),
        "b": entry([0], 12, 12),
        "a": entry([3], 0, 12),
        "__metadata__": {"format": "pt"},
    }
    found = read_arrays(file(header, numbers.tobytes()))
    assert {name: array.tolist() for name, array in found.arrays.items()} == {"a": [0, 1, 2], "b": [], "c": [3, 4]}
    assert found.about == ""


A, B = np.arange(3, dtype="f4").tobytes(), np.arange(4, dtype="f4").tobytes()
LIES = {
    "overlap": {"a": entry([3], 0, 12), "b": entry([4], 8, 24)},
    "one in the other": {"a": entry([7], 0, 28), "b": entry([1], 8, 12)},
    "a gap": {"a": entry([3], 0, 12), "b": entry([3], 16, 28)},
    "bytes that belong to none": {"a": entry([3], 0, 12)},
    "past the end": {"a": entry([3], 0, 12), "b": entry([5], 12, 32)},
    "backwards": {"a": entry([3], 12, 0), "b": entry([7], 0, 28)},
    "below 0": {"a": entry([3], -12, 0), "b": entry([7], 0, 28)},
    "a huge shape": {"a": entry([2**31, 2**31], 0, 28)},
    "a shape of huge numbers": {"a": entry([10**300, 10**300], 0, 28)},
    "a size below 0": {"a": entry([-7, -1], 0, 28)},
    "a size that is no integer": {"a": entry([7.0], 0, 28)},
    "a shape that is none": {"a": entry("7", 0, 28)},
    "a size that is True": {"a": entry([7, True], 0, 28)},
    "offsets that are text": {"a": entry([7], "0", "28")},
    "an unknown dtype": {"a": entry([7], 0, 28, "F8_E4M3")},
    "no dtype": {"a": {"shape": [7], "data_offsets": [0, 28]}},
    "three offsets": {"a": {"dtype": "F32", "shape": [7], "data_offsets": [0, 28, 28]}},
    "an entry that is none": {"a": 1},
    "a list": [1],
    "metadata that is none": {"a": entry([7], 0, 28), "__metadata__": 3},
    "text": b'{"a": ',
    "no text": b"\xff\xfe",
    "the same name twice": b'{"a": {"dtype": "F32", "shape": [3], "data_offsets": [0, 12]},'
    b'"a": {"dtype": "F32", "shape": [4], "data_offsets": [12, 28]}}',
    "lists in lists": b"[" * 100_000,
}


@pytest.mark.parametrize("lie", LIES)
def test_headers_that_lie(lie, file):
    path = file(LIES[lie], A + B)
    tracemalloc.start()
    refused(path, r"damaged or not a \.safetensors file")
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 2**22


@pytest.mark.parametrize("length", [2**31, 2**40, 2**63, 2**64 - 1, LARGEST_HEADER, 200])
def test_a_header_that_is_announced_too_long(length, file):
    refused(file({"a": entry([3], 0, 12)}, A, length=length), "damaged or not")


def test_a_header_of_gigabytes_is_not_read(file):
    """It is there, but as a hole in the file that takes no room."""
    path = file({}, length=2**31)
    os.truncate(path, 2**31 + 100)
    tracemalloc.start()
    refused(path, "announces a header of 2,147,483,648 bytes")
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 2**20


def test_every_truncation_is_told(file):
    content = (STORED / "torch.safetensors").read_bytes()
    path = file({})
    for end in [*range(0, len(content), 97), len(content) - 1]:
        path.write_bytes(content[:end])
        refused(path, "damaged or not")
