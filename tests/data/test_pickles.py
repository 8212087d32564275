"""Pickles read as data: what Python writes comes back, and no pickle runs anything or takes the memory."""

import contextlib
import pickle
import struct
import tracemalloc

import numpy as np
import pytest

from cifar_files import pickled, with_old_names
from tinyalex.data import pickles
from tinyalex.data.pickles import PickledArray, read_pickle

VALUES = {
    "numbers": [0, 1, 255, 256, 65535, 65536, -1, 2**31, -(2**31), 2**40, -(2**70), 2**3000, 0.5, -1e300],
    "words": ["", "ä€\n\\u0041", "x" * 300, "\U0001f600"],
    "bytes": [b"", b"\x00\xff\n'\"\\", b"y" * 300],
    "others": [None, True, False, (), (1,), (1, 2), (1, 2, 3), (1, 2, 3, 4), [], [[]], {}, {"a": {b"b": []}}],
}


@pytest.mark.parametrize("protocol", range(6))
@pytest.mark.parametrize("fix_imports", [True, False])  # names as in Python 2, or as in Python 3
def test_values_come_back(protocol, fix_imports):
    read = read_pickle(pickle.dumps(VALUES, protocol, fix_imports=fix_imports))
    assert read == VALUES
    assert repr(read) == repr(VALUES)  # True is not 1


ROWS = np.random.default_rng(0).integers(0, 256, (6, 8), dtype=np.uint8)
ARRAYS = {
    "by rows": ROWS,
    "by columns": np.asfortranarray(ROWS),
    "part": ROWS[::2, 1:],
    "empty": ROWS[:0],
    "vector": ROWS[0],
    "read-only": np.broadcast_to(ROWS[0], (2, 8)),
}


@pytest.mark.parametrize("protocol", range(6))
@pytest.mark.parametrize("numpy", [1, 2])
@pytest.mark.parametrize("which", ARRAYS)
def test_arrays_come_back(protocol, numpy, which):
    content = pickle.dumps([ARRAYS[which], "behind"], protocol)
    assert b"_core" in content  # NumPy 2
    if numpy == 1:
        content = with_old_names(content)
        assert b"_core" not in content
    array, behind = read_pickle(content)
    assert behind == "behind"
    assert array.values.dtype == np.uint8
    np.testing.assert_array_equal(array.values, ARRAYS[which])
    assert array.values.shape == ARRAYS[which].shape


@pytest.mark.parametrize("protocol", range(6))
@pytest.mark.parametrize("dtype", ["bool", "int8", "<i8", ">i4", "float16", "<f4", ">f8"])
def test_arrays_of_numbers_come_back(protocol, dtype):
    given = np.arange(-3, 9).reshape(3, 4).astype(dtype)
    found = read_pickle(pickle.dumps(given.T, protocol)).values
    assert found.dtype == given.dtype
    np.testing.assert_array_equal(found, given.T)


@pytest.mark.parametrize("protocol", range(6))
def test_arrays_of_values_come_back(protocol):
    given = np.empty((2, 1), object)
    given[:, 0] = {"a": [1, 2]}, "b"
    found = read_pickle(pickle.dumps(given, protocol)).values
    assert found.shape == (2, 1)
    assert found.tolist() == given.tolist()


def test_long_bytes_are_not_copied():
    given = np.arange(2**18, dtype="<f4")
    content = pickle.dumps([given, b"x" * 2**17, "y" * 2**17], 4)
    array, letters, text = read_pickle(content)
    np.testing.assert_array_equal(array.values, given)
    assert np.shares_memory(array.values, np.frombuffer(content, np.uint8))
    assert bytes(letters) == b"x" * 2**17
    assert text == "y" * 2**17


def test_pickles_behind_each_other():
    """Each has a memo of its own."""
    content = pickle.dumps([1, "a"], 4) + pickle.dumps({2: "b"}, 2)
    reader = pickles.Unpickler(b"head" + content, 4)
    assert (reader.read(), reader.read()) == ([1, "a"], {2: "b"})
    assert reader.file.place == 4 + len(content)
    reader = pickles.Unpickler(b"Nq\x05.h\x05.")
    assert reader.read() is None
    with pytest.raises(ValueError, match="never kept"):
        reader.read()


def test_strings_that_python_2_wrote_as_text():
    r"""As its repr: 'it\'s' is "it's" there."""
    content = b"(lp0\nS'\\x00\\xff\\n\\\\'\np1\naS\"it's\"\np2\naI01\naI-7\naL12345678901L\nag1\na."
    assert read_pickle(content) == [b"\x00\xff\n\\", b"it's", True, -7, 12345678901, b"\x00\xff\n\\"]


@pytest.mark.parametrize("protocol", range(6))
def test_every_start_of_a_pickle_is_told(protocol):
    content = pickle.dumps([VALUES, ROWS], protocol)
    for end in range(len(content)):
        with pytest.raises((ValueError, TypeError, IndexError)):
            read_pickle(content[:end])


# Nothing is run.


class Calls:
    """Pickled as the call of a function."""

    def __init__(self, *reduced):
        self.reduced = reduced

    def __reduce__(self):
        return self.reduced


def harm(*_, **__):
    raise AssertionError("a pickle has called a function")


@pytest.mark.parametrize("protocol", range(6))
@pytest.mark.parametrize(
    "function",
    [eval, exec, open, getattr, np.load, np.frombuffer, np.fromfile, np.zeros, bytearray, struct.unpack, harm],
)
def test_no_function_is_called(protocol, function):
    content = pickle.dumps(Calls(function, ("harm()",)), protocol)
    with pytest.raises(ValueError, match=rf"it asks for .*{function.__name__}"):
        read_pickle(content)


class Plain:
    """An object with a state."""

    def __init__(self):
        self.entry = 1


@pytest.mark.parametrize("protocol", range(6))
@pytest.mark.parametrize(
    "value", [Plain(), {1}, frozenset({1}), 1j, range(3), np.float64(1), np.ones(2, complex), np.array("x")]
)
def test_no_object_but_an_array(protocol, value):
    """Plain() comes by copyreg._reconstructor in protocols 0 and 1, and by NEWOBJ later."""
    with pytest.raises((ValueError, TypeError), match=r"asks for|not stand for data|not of numbers|calls something"):
        read_pickle(pickle.dumps(value, protocol))


@pytest.mark.parametrize("opcode", [b"i", b"o", b"\x92", b"P", b"\x82", b"\x97", b"\x98", b"2", b"0"])
def test_opcodes_that_are_not_data(opcode):
    """INST, OBJ, NEWOBJ_EX, PERSID, EXT1, NEXT_BUFFER, READONLY_BUFFER, DUP, POP."""
    with pytest.raises(ValueError, match="does not stand for data"):
        read_pickle(b"(cos\nsystem\n" + opcode + b"os\nsystem\n.")


@pytest.mark.parametrize(("program", "told"), [(b"cos\nsystem\n)\x81.", "asks for os.system"), (b"NQ.", "outside")])
def test_opcodes_that_are_data_in_files_of_others_only(program, told):
    """NEWOBJ, BINPERSID."""
    with pytest.raises(ValueError, match=told):
        read_pickle(program)


RECONSTRUCT = b"cnumpy.core.multiarray\n_reconstruct\n"
FROM_BUFFER = b"cnumpy.core.numeric\n_frombuffer\n"
DTYPE = b"cnumpy\ndtype\n"
UINT8 = DTYPE + pickled((b"u1", 0, 1)) + b"R"
ARRAY = RECONSTRUCT + b")R"


@pytest.mark.parametrize(
    "program",
    [
        DTYPE + b")R",  # a dtype of nothing
        DTYPE + b"]R",  # arguments that are no tuple
        DTYPE + b"NR",
        b"N)R",  # a call of None
        UINT8 + b")R",  # a call of a dtype
        ARRAY + b")R",  # of an array
        FROM_BUFFER + b")R",
        FROM_BUFFER + b"(" + pickled(b"ab") + UINT8 + pickled((3,)) + pickled(b"C") + b"tR",  # two bytes for three
        FROM_BUFFER + b"(" + pickled(b"ab") + UINT8 + pickled((2**30,) * 9) + pickled(b"C") + b"tR",
        FROM_BUFFER + b"(" + pickled(b"ab") + pickled(b"u1") + pickled((2,)) + pickled(b"C") + b"tR",
        FROM_BUFFER + b"(" + ARRAY + UINT8 + pickled((0,)) + pickled(b"C") + b"tR",
        ARRAY + b"Nb",  # a state that is none
        ARRAY + pickled((1, (2,), None, False, b"ab")) + b"b",
        ARRAY + b"(" + pickled(1) + pickled((2,)) + UINT8 + b"N" + pickled("ab".encode("utf-16")) + b"tb",
        ARRAY + b"(" + pickled(1) + pickled([2]) + UINT8 + b"N" + pickled(b"ab") + b"tb",
        ARRAY + b"(" + pickled(1) + pickled((b"2",)) + UINT8 + b"N" + pickled(b"ab") + b"tb",
        ARRAY + b"(" + pickled(1) + pickled((2,)) + UINT8 + b"NNtb",
        ARRAY + b"(" + pickled(1) + pickled((2,)) + DTYPE + pickled((b"O8", 0, 1)) + b"RN" + pickled(b"ab" * 8) + b"tb",
        b"Nb",
        b"}}b",
        b"cos\nsystem\n}b",  # a state for a function
        b"c_codecs\nencode\n(X\x01\x00\x00\x00aX\x05\x00\x00\x00utf-8tR",  # another encoding
        b"c_codecs\nencode\n(X\x03\x00\x00\x00\xe2\x82\xacX\x06\x00\x00\x00latin1tR",  # no character of Latin-1
        b"c_codecs\nencode\n(NX\x06\x00\x00\x00latin1tR",
        b"c__builtin__\nbytes\n(K\x09tR",
        b"cnumpy\ndtype\n(X\x02\x00\x00\x00u1tR}b",  # a dtype's state that is no tuple
        b"]N\x93",  # a name that is no text
        b"NNa",  # no list
        b"NNNs",  # no dict
        b"}NNs",  # a key that is no text
        b"}(U\x01au",  # a key without a value
        b"(U\x01ad",
        b"h\x05",  # a memo that was never filled
        b"r\xff\xff\xff\xff",  # a memo of nothing
        b"t",
        b"a",
        b"S'a\n",
        b"Sa\n",
        b"S'\\q'\n",
        b"V\\ud\n",
        b"Inine\n",
        b"I" + b"9" * 10_000 + b"\n",
        b"X\x01\x00\x00\x00\xff",
        b"T\xff\xff\xff\xff",  # a length of -1
        b"",
    ],
)
def test_programs_that_make_no_sense(program):
    with pytest.raises((ValueError, TypeError, IndexError, OverflowError)):
        read_pickle(b"\x80\x02" + program + b".")


# Nothing takes more memory or time than the size of the file allows.


def text(word):
    return b"X" + struct.pack("<I", len(word)) + word


MOST_OPCODES = 50_000  # that a test allows, for the sake of time
ENCODED = b"c_codecs\nencode\nq\x00(" + text(b"a" * 100_000) + text(b"latin1") + b"tq\x01"
HUGE = {
    "string": b"T\xff\xff\xff\x7f" + b"a" * 18_000,
    "bytes": b"B\xff\xff\xff\xff" + b"a" * 18_000,
    "bytes of 8 bytes' length": b"\x8e\xff\xff\xff\xff\xff\xff\xff\x7f" + b"a" * 18_000,
    "bytearray": b"\x96\xff\xff\xff\xff\xff\xff\xff\xff",
    "integer": b"\x8b\xff\xff\xff\x7f" + b"a" * 18_000,
    "frame": b"\x95\xff\xff\xff\xff\xff\xff\xff\x7fN.",
    "place in the memo": b"Nr\xff\xff\xff\x7f.",
    "place in the memo, as text": b"Np" + b"9" * 4000 + b"\n.",
    "lists": b"]" * MOST_OPCODES,
    "dicts": b"}" * (MOST_OPCODES + 1000),
    "marks": b"(" * MOST_OPCODES,
    "memo": b"}\x94" * MOST_OPCODES,
    "nested tuples": b")" + b"\x85" * (MOST_OPCODES - 10) + b".",
    "nested lists": b"](" * 100_000 + b"e" * 100_000 + b".",
    "a tuple of a tuple, twice": b")" + b"q\x00h\x00h\x00\x86" * 10_000 + b".",
    "such a tuple as a key": b"})" + b"q\x00h\x00h\x00\x86" * 10_000 + b"Ns.",
    "such a tuple as a name": b")" + b"q\x00h\x00h\x00\x86" * 100 + b"h\x00\x93)R.",
    "deep tuple as a key": b"})" + b"\x85" * 50_000 + b"Ns.",
    "the same text encoded": ENCODED + b"R" + b"h\x00h\x01R" * 100_000 + b".",
    "wide characters": text(("\U0001f600" + "a" * 1_000_000).encode()) + b".",
}


@pytest.mark.parametrize("which", HUGE)
def test_memory_is_bounded(which, monkeypatch):
    monkeypatch.setattr(pickles, "MOST_OPCODES", MOST_OPCODES)
    tracemalloc.start()
    with contextlib.suppress(ValueError, TypeError):
        read_pickle(HUGE[which])
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 5 * len(HUGE[which]) + 200 * MOST_OPCODES


def test_a_list_in_itself():
    value = read_pickle(b"]q\x00h\x00a.")
    assert value[0] is value


def test_an_array_without_a_state_is_empty():
    array = read_pickle(ARRAY + b".")
    assert isinstance(array, PickledArray)
    assert array.values.shape == (0,)
