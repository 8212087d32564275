"""Messages that Google's library wrote are read; bytes that are none are refused."""

import struct

import numpy as np
import pytest

from caffe_files import CAFFE
from tinyalex.weights.formats import protobuf
from tinyalex.weights.formats.protobuf import Message


def read(message):
    return Message(memoryview(message if isinstance(message, bytes) else message.SerializeToString()))


@pytest.mark.parametrize("kind", ["BlobProto", "LooseBlob"])
def test_numbers_packed_or_not(kind):
    values = [0.5, -1e-30, 3e38, float("inf")]
    found = read(CAFFE[kind](data=values)).numbers(5)
    assert found.dtype == "float32"
    np.testing.assert_array_equal(found, np.array(values, "f4"))


def test_packed_and_single_numbers_in_one_field():
    packed, loose = CAFFE["BlobProto"](data=[1, 2]), CAFFE["LooseBlob"](data=[3, 4])
    both = loose.SerializeToString() + packed.SerializeToString()
    assert read(both).numbers(5).tolist() == [3, 4, 1, 2]


def test_doubles_are_eight_bytes():
    found = read(CAFFE["BlobProto"](double_data=[0.1, -2])).numbers(8, "<f8")
    assert found.tolist() == [0.1, -2]


def test_packed_numbers_are_a_view():
    content = memoryview(CAFFE["BlobProto"](data=np.zeros(1000)).SerializeToString())
    assert np.shares_memory(Message(content).numbers(5), np.frombuffer(content, "u1"))


@pytest.mark.parametrize("value", [0, 1, 127, 128, 300, 2**31, 2**62, -1, -(2**63)])
@pytest.mark.parametrize("field", ["packed", "single"])
def test_integers(value, field):
    made = CAFFE["BlobShape"](dim=[value]).SerializeToString()
    if field == "single":
        made = bytes([1 << 3]) + made[2:]  # the same number, behind the key of a field of its own
    assert read(made).integers(1) == [value]


def test_the_last_value_counts():
    first, second = CAFFE["DataParameter"](scale=2, source="a"), CAFFE["DataParameter"](scale=0.00390625, source="b")
    both = read(first.SerializeToString() + second.SerializeToString())
    assert (both.number(2, 1.0), both.text(1)) == (0.00390625, "b")


def test_what_is_not_there():
    empty = read(b"")
    assert (empty.text(1), empty.integer(2, 7), empty.number(3, 0.5), list(empty.messages(4))) == ("", 7, 0.5, [])
    assert empty.numbers(5).size == 0
    assert 6 not in empty.message(6)


def test_a_number_is_read_as_it_was_written():
    """5e-05 and not 4.9999998736893758e-05, the float32 beside it."""
    assert read(CAFFE["LRNParameter"](alpha=5e-5)).number(2, 1.0) == 5e-5


def test_texts_of_other_bytes_are_told_as_such():
    assert read(b"\x0a\x02\xff\xfe").text(1) == "��"


@pytest.mark.parametrize(
    ("content", "told"),
    [
        (b"\x80", "cut short"),
        (b"\x08", "cut short"),
        (b"\x08" + b"\xff" * 10 + b"\x01", "more than 10 bytes"),
        (b"\x0a\x05four", "a field of 5 bytes: expected 4 at most"),
        (b"\x0a\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01", "18446744073709551615 bytes: expected 0 at most"),
        (b"\x0d\x00\x00\x00", "a field of 4 bytes: expected 3 at most"),
        (b"\x09" + bytes(7), "a field of 8 bytes: expected 7 at most"),
        (b"\x0b\x0c", "wire type 3"),
        (b"\x0e", "wire type 6"),
    ],
)
def test_bytes_that_are_no_message(content, told):
    with pytest.raises(ValueError, match=told):
        read(content)


def test_a_field_of_another_type():
    with pytest.raises(ValueError, match="got an integer in field 1: expected bytes"):
        read(b"\x08\x01").text(1)
    with pytest.raises(ValueError, match="7 bytes in field 1: expected whole numbers of float32"):
        read(b"\x0a\x07" + bytes(7)).numbers(1)
    with pytest.raises(ValueError, match="cut short"):
        read(b"\x0a\x01\x80").integers(1)


def test_more_fields_than_a_net_has(monkeypatch):
    monkeypatch.setattr(protobuf, "MOST_FIELDS", 100)
    assert len(read(b"\x08\x01" * 99).integers(1)) == 99
    with pytest.raises(ValueError, match="100 fields or more"):
        read(b"\x08\x01" * 100)
    with pytest.raises(ValueError, match="more than 100 integers"):
        read(b"\x0a\x65" + b"\x01" * 101).integers(1)


def test_lengths_deep_inside_end_within_their_message():
    inner = CAFFE["BlobShape"](dim=[300]).SerializeToString()
    blob = b"\x3a" + struct.pack("B", len(inner) + 1) + inner  # one byte more than there is
    outer = read(b"\x3a" + bytes([len(blob)]) + blob + b"\x08\x01")  # though the file goes on
    with pytest.raises(ValueError, match=f"a field of {len(inner) + 1} bytes: expected {len(inner)} at most"):
        outer.message(7)
