"""Files of PyTorch: what it wrote comes back, nothing that a pickle names is called, lies take no memory."""

import io
import os
import tracemalloc
import zipfile
from pathlib import Path

import numpy as np
import pytest

from tinyalex.errors import CheckpointError
from tinyalex.files import legible
from tinyalex.weights.formats.torch import read_arrays
from torch_files import KINDS, MACHINE, old_form, row, state, state_of, storage, tensor, text, whole, zip_form

STORED = Path(__file__).parent.parent / "stored"
FORMS = {"zip": zip_form, "old": old_form}


@pytest.fixture
def file(tmp_path):
    """A function that writes bytes to a file, which it returns."""

    def write(content):
        path = tmp_path / "net.pth"
        path.write_bytes(content)
        return path

    return write


def refused(path, match):
    with pytest.raises(CheckpointError, match=match) as caught:
        read_arrays(path)
    message = str(caught.value)
    assert message == legible(message)
    assert len(message) < 600 + len(str(path))


# ---------------------------------------------------------------- what PyTorch wrote


def test_the_same_net_comes_out_of_every_file():
    expected = read_arrays(STORED / "zip.pth").arrays
    assert {name: array.shape for name, array in expected.items()} == {
        "features.0.weight": (6, 3, 11, 11),
        "features.0.bias": (6,),
        "features.3.weight": (6, 6, 5, 5),
        "features.3.bias": (6,),
        **{f"features.{place}.weight": (6, 6, 3, 3) for place in (6, 8, 10)},
        **{f"features.{place}.bias": (6,) for place in (6, 8, 10)},
        "classifier.1.weight": (6, 216),
        "classifier.1.bias": (6,),
        "classifier.4.weight": (6, 6),
        "classifier.4.bias": (6,),
        "classifier.6.weight": (5, 6),
        "classifier.6.bias": (5,),
    }
    for name in ("old", "shared", "channels-last-old", "checkpoint"):
        found = read_arrays(STORED / f"{name}.pth").arrays
        for key, array in expected.items():
            other = found[f"module.{key}" if name == "checkpoint" else key]
            assert other.dtype == np.float32
            np.testing.assert_array_equal(other, array)
        assert len(found) == len(expected)


def test_halves_and_bfloat16():
    expected = read_arrays(STORED / "zip.pth").arrays
    half, brain = (read_arrays(STORED / f"{name}.pth").arrays for name in ("half", "bfloat16-old"))
    for name, array in expected.items():
        np.testing.assert_array_equal(half[name], array.astype(np.float16))
        assert brain[name].dtype == np.float32
        assert not (brain[name].view(np.uint32) & 0xFFFF).any()
        np.testing.assert_allclose(brain[name], array, rtol=2**-8)


def test_a_whole_model_is_refused_and_told_what_to_do():
    refused(STORED / "whole.pth", r"asks for torchvision\.models\.alexnet\.AlexNet, .* save model\.state_dict\(\)")


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("cifar_net_tutorial.pth", {"conv1.weight": (6, 3, 5, 5), "fc3.bias": (10,)}),
        ("lpips_alex_v0.1.pth", {"lin0.model.1.weight": (1, 64, 1, 1), "lin4.model.1.weight": (1, 256, 1, 1)}),
    ],
)
def test_real_files(name, expected):
    path = Path(os.environ.get("TINYALEX_WEIGHTS", "-"), "files", name)
    if not path.is_file():
        pytest.skip(f"TINYALEX_WEIGHTS names no folder with files/{name}")
    found = read_arrays(path).arrays
    assert {key: found[key].shape for key in expected} == expected
    assert all(0 < np.abs(array).mean() < 10 for array in found.values())


# ---------------------------------------------------------------- both forms, byte by byte


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("dtype", KINDS)
def test_every_kind_of_number(form, dtype, file, rng):
    array = rng.integers(0, 2 if dtype == "b1" else 100, (3, 4)).astype(dtype)
    body, storages = state_of({"a": array}, legacy=form == "old")
    content = zip_form(body, storages) if form == "zip" else old_form(body, storages, array.itemsize)
    [(name, found)] = read_arrays(file(content)).arrays.items()
    assert (name, found.dtype) == ("a", array.dtype)
    np.testing.assert_array_equal(found, array)


@pytest.mark.parametrize("root", ["archive/", "alexnet-owt-7be5be79/", "ä b/"])
@pytest.mark.parametrize("order", [None, b"little", b"big"])
def test_the_folder_has_any_name_and_the_bytes_an_order(root, order, file, rng):
    array = rng.standard_normal((2, 5), dtype="f4")
    body, storages = state_of({"a": array})
    if order == b"big":
        storages = {key: array.astype(">f4").tobytes() for key in storages}
    found = read_arrays(file(zip_form(body, storages, root=root, order=order))).arrays["a"]
    assert found.dtype.isnative
    np.testing.assert_array_equal(found, array)


def test_the_old_form_has_an_order_too(file, rng):
    array = rng.standard_normal((2, 5), dtype="f4")
    body, storages = state_of({"a": array}, legacy=True)
    storages = {key: array.astype(">f4").tobytes() for key in storages}
    content = old_form(body, storages, machine={**MACHINE, b"little_endian": False})
    np.testing.assert_array_equal(read_arrays(file(content)).arrays["a"], array)


@pytest.mark.parametrize(
    ("shape", "strides", "offset"),
    [
        ((3, 4), (4, 1), 0),
        ((3, 4), (1, 3), 0),
        ((2, 3), (5, 2), 7),
        ((2, 2, 2), (1, 7, 3), 2),
        ((4, 4), (1, 1), 3),
        ((3, 5), (0, 1), 11),
        ((), (), 19),
        ((1, 2), (1000, 1), 0),
        ((0, 3), (3, 1), 0),
        ((20,), (1,), 0),
    ],
)
def test_strides_and_offsets(shape, strides, offset, file, rng):
    """Against plain indices into the storage."""
    numbers = rng.standard_normal(20, dtype="f4")
    body = state({"a": tensor(storage("0", "Float", 20), shape, strides, offset)})
    found = read_arrays(file(zip_form(body, {"0": numbers.tobytes()}))).arrays["a"]
    assert found.shape == shape
    for place in np.ndindex(*shape):
        assert found[place] == numbers[offset + sum(i * s for i, s in zip(place, strides, strict=True))]


def test_a_storage_is_read_once(file):
    stored = storage("0", "Float", 6)
    body = state({"a": tensor(stored, (2, 3)), "b": tensor(stored, (3,), (1,), 3)})
    found = read_arrays(file(zip_form(body, {"0": np.arange(6, dtype="f4").tobytes()}))).arrays
    assert np.shares_memory(found["a"], found["b"])
    np.testing.assert_array_equal(found["b"], [3, 4, 5])


def test_older_and_other_ways_to_write_a_tensor(file):
    """By versions before 0.4, on a GPU, as a parameter, with a Size, in an OrderedDict that Python 2 wrote."""
    stored = storage("0", "Float", 2, module="torch.cuda")
    parameter = b"ctorch._utils\n_rebuild_parameter\n(" + tensor(stored, (2,)) + b"\x88ccollections\nOrderedDict\n)RtR"
    sized = tensor(stored, (2,)).replace(row((2,)), b"ctorch\nSize\n(" + row((2,)) + b"tR", 1)
    ways = {b"a": tensor(stored, (2,), name="_rebuild_tensor"), b"b": parameter, b"c": sized}
    pairs = b"".join(b"](U\x01" + name + one + b"e" for name, one in ways.items())
    found = read_arrays(file(zip_form(b"ccollections\nOrderedDict\n(](" + pairs + b"etR", {"0": bytes(8)}))).arrays
    assert {name: array.tolist() for name, array in found.items()} == {"a": [0, 0], "b": [0, 0], "c": [0, 0]}


@pytest.mark.parametrize("key", ["state_dict", "model_state_dict", "model", "net"])
def test_a_state_dict_among_other_things(key, file):
    body, storages = state_of({"w": np.ones(3, "f4")})
    optimizer = b"}(" + whole(0) + b"}" + text("lr") + b"]u"
    best = text("best_acc1") + tensor(storage("0", "Float", 3), (), ())
    content = b"}(" + text("epoch") + whole(3) + best + text("optimizer") + optimizer + text(key) + body + b"u"
    assert list(read_arrays(file(zip_form(content, storages))).arrays) == ["w"]


@pytest.mark.parametrize("body", [b"]", b"}", whole(3), b"}(" + text("a") + whole(1) + b"u"])
def test_no_state_dict(body, file):
    refused(file(zip_form(body, {})), r"expected a state dict")


# ---------------------------------------------------------------- nothing is run


CALLS = "os.system builtins.eval posix.system torch.load torch._utils._rebuild_qtensor numpy.load subprocess.Popen"


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("call", CALLS.split())
@pytest.mark.parametrize("opcode", [b"R", b"\x81"])
def test_no_function_is_called(form, call, opcode, file, tmp_path):
    module, _, name = call.rpartition(".")
    harm = f"c{module}\n{name}\n".encode() + b"(" + text(f"touch {tmp_path}/harm") + b"t" + opcode
    for body in (harm, b"}(" + text("a") + harm + b"u"):
        refused(file(FORMS[form](body, {})), rf"asks for {call}")
    assert not (tmp_path / "harm").exists()


def test_no_function_is_called_by_a_state(file):
    refused(file(zip_form(b"cos\nsystem\n(" + text("true") + b"tb", {})), "gives a state to something that has none")


@pytest.mark.parametrize(
    "reference",
    [
        b"(" + text("module") + b"cos\nsystem\n" + text("0") + text("cpu") + whole(3) + b"tQ",
        storage("0", "Float", 3, module="os"),
        storage("0", "ComplexFloat", 3),
        storage("0", "Float", -3),
        b"NQ",
        text("0") + b"Q",
    ],
)
def test_references_to_what_is_no_storage(reference, file):
    refused(file(zip_form(state({"a": tensor(reference, (3,))}), {"0": bytes(12)})), "no storage|unknown form")


# ---------------------------------------------------------------- files that lie


ONE = storage("0", "Float", 6)
LIES = {
    "past the end": tensor(ONE, (7,)),
    "past the end, from an offset": tensor(ONE, (2, 3), None, 1),
    "past the end, by strides": tensor(ONE, (2, 3), (4, 1)),
    "an offset past the end": tensor(ONE, (1,), (1,), 2**62),
    "a stride past the end": tensor(ONE, (2,), (2**62,)),
    "backwards": tensor(ONE, (2,), (-1,), 5),
    "an offset below 0": tensor(ONE, (2,), (1,), -1),
    "a size below 0": tensor(ONE, (-2,)),
    "the same number 2**60 times": tensor(ONE, (2**30, 2**30), (0, 0)),
    "more numbers than there are": tensor(ONE, (3, 3), (0, 1)),
    "too few strides": tensor(ONE, (2, 3), (1,)),
    "sixty-five axes": tensor(ONE, (1,) * 65),
    "a huge storage": tensor(storage("0", "Float", 2**60), (2,)),
    "a storage that is not there": tensor(storage("7", "Float", 6), (2,)),
    "a storage outside": tensor(storage("../data.pkl", "Float", 6), (2,)),
    "a storage of numbers of another size": tensor(storage("0", "Double", 6), (2,)),
}


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("lie", LIES)
def test_tensors_that_do_not_fit_their_storage(form, lie, file):
    body = state({"a": LIES[lie] if form == "zip" else LIES[lie].replace(b"tQ", b"NtQ")})
    path = file(FORMS[form](body, {"0": np.arange(6, dtype="f4").tobytes()}))
    tracemalloc.start()
    refused(path, r"damaged or not a state dict of PyTorch \(|expected")
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 2**20


def test_a_storage_that_is_described_in_two_ways(file):
    body = state({"a": tensor(ONE, (6,)), "b": tensor(storage("0", "Int", 6), (6,))})
    refused(file(zip_form(body, {"0": bytes(24)})), "two ways")


@pytest.mark.parametrize(
    "changes",
    [
        {"magic": 1},
        {"machine": {}},
        {"machine": []},
        {"keys": []},
        {"keys": ["0", "0"]},
        {"keys": ["1"]},
        {"lengths": {"0": 5}},
        {"lengths": {"0": 2**62}},
        {"lengths": {"0": -1}},
    ],
    ids=str,
)
def test_the_old_form_with_something_wrong(changes, file):
    body, storages = state_of({"a": np.ones(6, "f4")}, legacy=True)
    read_arrays(file(old_form(body, storages)))
    refused(file(old_form(body, storages, **changes)), "damaged or not")


@pytest.mark.parametrize("name", ["zip", "old"])
def test_every_truncation_is_told(name, file):
    content = (STORED / f"{name}.pth").read_bytes()
    for end in [*range(300), *range(300, len(content), 173), len(content) - 1]:
        refused(file(content[:end]), "damaged or not a state dict")


def test_a_flipped_bit_is_told(file, rng):
    """The zip archive has a checksum of each entry; between the entries nothing matters."""
    content = (STORED / "zip.pth").read_bytes()
    expected = read_arrays(STORED / "zip.pth").arrays
    told = 0
    for place in rng.integers(0, len(content), 200):
        damaged = bytearray(content)
        damaged[place] ^= 1 << rng.integers(8)
        try:
            found = read_arrays(file(bytes(damaged))).arrays
        except CheckpointError:
            told += 1
        else:
            assert all((found[name] == array).all() for name, array in expected.items())
    assert told > 150


def test_an_archive_of_something_else(file):
    refused(file(zip_form(b"}", {}, root="")), "damaged or not")
    refused(file(zip_form(b"}", {}, root="a/b/")), "damaged or not")
    body, storages = state_of({"a": np.ones(6, "f4")})
    refused(file(zip_form(body, storages, compression=zipfile.ZIP_DEFLATED)), "compressed")
    two = io.BytesIO(zip_form(body, storages))
    with zipfile.ZipFile(two, "a") as archive:
        archive.writestr("other/data.pkl", b"N.")
    refused(file(two.getvalue()), "damaged or not")


def test_a_pipe_is_not_opened(tmp_path):
    if not hasattr(os, "mkfifo"):
        pytest.skip("this system has no named pipes")
    os.mkfifo(tmp_path / "net.pth")
    refused(tmp_path / "net.pth", "does not exist or is no file")
