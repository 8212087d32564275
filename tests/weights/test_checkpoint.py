"""Checkpoints: all comes back, nothing is a pickle, and no other file is taken for one."""

import errno
import json
import math
import pickle
import subprocess
import sys
import tracemalloc
import zipfile
from dataclasses import replace

import numpy as np
import pytest

import tinyalex
from runs import TINY, slim
from tinyalex import AlexNet, spec
from tinyalex.data import PixelStatistics
from tinyalex.errors import CheckpointError
from tinyalex.weights import checkpoint
from tinyalex.weights.archive import write_arrays
from tinyalex.weights.checkpoint import Checkpoint, read, write


def net_of(variant=TINY, **given):
    return AlexNet(variant, **{"num_classes": 4, "seed": 5, **given})


def full(rng):
    """A checkpoint with something in every part of it; the net has drawn masks and forgotten its seed."""
    net = net_of()
    net.mask_rng.random(1000)
    for w in net.params.values():
        w += rng.standard_normal(w.shape, dtype="float32")
    statistics = PixelStatistics(
        rng.random((18, 18, 3), dtype="float32"), np.array([0.3, 0.2, 0.1]), rng.standard_normal((3, 3))
    )
    velocity = {name: rng.standard_normal(w.shape, dtype="float32") for name, w in net.params.items()}
    training = {"position": {"epoch": 3, "loss": 0.1 + 0.2}, "history": [{"lr": 1e-5}], "limit": None}
    return Checkpoint(net, ("cat", "Hündin", "a, b", "'"), statistics, velocity, training)


def same(first, second):
    """Whether two dicts of arrays hold the same bytes of the same dtypes under the same names."""
    return {k: (v.dtype, v.tobytes()) for k, v in first.items()} == {
        k: (v.dtype, v.tobytes()) for k, v in second.items()
    }


def test_all_comes_back(tmp_path, rng):
    given = full(rng)
    write(given, tmp_path / "file.npz")
    found = read(tmp_path / "file.npz")
    assert same(found.net.params, given.net.params)
    assert same(found.velocity, given.velocity)
    assert same(vars(found.statistics), vars(given.statistics))
    assert (found.classes, found.training) == (given.classes, given.training)
    assert found.net.mask_rng.random(7).tolist() == given.net.mask_rng.random(7).tolist()
    assert found.net.layers["dropout7"].rng is found.net.mask_rng  # and it is these masks that dropout draws
    x = rng.standard_normal((3, 3, 16, 16), dtype="float32")
    assert found.net.forward(x, train=True).tobytes() == given.net.forward(x, train=True).tobytes()


def test_settings_that_are_numbers_of_numpy(tmp_path):
    """As they come from a count of labels."""
    net = net_of(num_classes=np.int64(3), dropout=np.float32(0.25))
    tinyalex.save(net, tmp_path / "net.npz")
    found = tinyalex.load(tmp_path / "net.npz")
    assert (found.num_classes, found.dropout) == (3, 0.25)
    assert same(found.params, net.params)


@pytest.mark.parametrize("name", spec.VARIANTS)
def test_every_variant_comes_back(tmp_path, name):
    net = net_of(slim(spec.variant(name)), input_size=96, num_classes=3)
    tinyalex.save(net, tmp_path / "net.npz")
    found = tinyalex.load(tmp_path / "net.npz")
    assert found.spec == net.spec
    assert list(found.spec.layers) == list(net.spec.layers)
    assert found.summary() == net.summary()
    assert same(found.params, net.params)


@pytest.mark.parametrize(
    "given",
    [{"dtype": "float64"}, {"dropout": 0.25}, {"cross_columns": (2, 3)}, {"cross_columns": ()}, {"input_size": 24}],
    ids=str,
)
def test_settings_come_back(tmp_path, given):
    net = net_of(**given)
    tinyalex.save(net, tmp_path / "net.npz")
    found = tinyalex.load(tmp_path / "net.npz")
    for name in ("num_classes", "input_size", "dtype", "dropout", "cross_columns", "rows"):
        assert getattr(found, name) == getattr(net, name)
    assert found.layers["dropout6"].p == net.dropout
    assert same(found.params, net.params)


def test_a_net_alone_has_no_run(tmp_path):
    tinyalex.save(net_of(), str(tmp_path / "net.npz"))
    found = read(tmp_path / "net.npz")
    assert (found.classes, found.statistics, found.velocity, found.training) == ((), None, {}, {})


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_half_the_size(tmp_path, dtype):
    """The file holds float16, and the net that is read computes in its own dtype."""
    net = net_of(dtype=dtype)
    write(Checkpoint(net), tmp_path / "net.npz", half=True)
    with np.load(tmp_path / "net.npz") as file:
        assert {file[name].dtype for name in file.files if name not in ("about", "checksum")} == {np.dtype("float16")}
    found = read(tmp_path / "net.npz").net
    for name, w in net.params.items():
        assert found.params[name].dtype == dtype
        np.testing.assert_array_equal(found.params[name], w.astype("float16"))


def test_others_can_read_the_file(tmp_path, rng):
    """The documented layout: arrays by name, one JSON text, no pickle."""
    given = full(rng)
    write(given, tmp_path / "file.npz")
    with np.load(tmp_path / "file.npz", allow_pickle=False) as file:
        assert sorted(file.files) == sorted(
            ["about", "checksum", "mean", "eigenvalues", "eigenvectors"]
            + [f"{kind}/{layer}.{key}" for kind in ("params", "velocity") for layer in WITH_WEIGHTS for key in "wb"]
        )
        np.testing.assert_array_equal(file["params/conv2.w"], given.net.params["conv2.w"])
        np.testing.assert_array_equal(file["velocity/fc8.b"], given.velocity["fc8.b"])
        about = json.loads(str(file["about"]))
    assert about["spec"]["name"] == "tiny"
    assert about["classes"] == list(given.classes)


WITH_WEIGHTS = ("conv1", "conv2", "conv3", "fc6", "fc7", "fc8")


def test_arrays_that_lie_otherwise_in_memory(tmp_path, rng):
    """Column by column, as eigenvectors often do, and with gaps. They come back in the same order in memory: products
    of matrices can round otherwise in another order."""
    by_columns, gaps = np.asfortranarray(rng.standard_normal((3, 3))), rng.standard_normal(6)[::2]
    statistics = PixelStatistics(rng.random((18, 18, 3), dtype="float32"), gaps, by_columns)
    write(replace(full(rng), statistics=statistics), tmp_path / "file.npz")
    found = read(tmp_path / "file.npz").statistics
    assert same(vars(found), vars(statistics))
    assert found.eigenvectors.flags.f_contiguous


def test_reading_draws_no_weights_and_takes_no_memory_but_the_arrays(tmp_path, monkeypatch):
    wide = replace(TINY, layers={**TINY.layers, "fc6": spec.Full(20_000), "fc7": spec.Full(100)})
    write(Checkpoint(net_of(wide)), tmp_path / "file.npz")

    drawn = []
    default_rng = np.random.default_rng
    monkeypatch.setattr("tinyalex.net.default_rng", lambda seed: drawn.append(seed) or default_rng(seed))
    tracemalloc.start()
    found = read(tmp_path / "file.npz")
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    arrays = sum(array.nbytes for part in (found.net.params, found.net.grads) for array in part.values())
    assert arrays > 20_000_000
    assert peak < 1.1 * arrays
    assert drawn == [[0, 1]]  # the masks' generator only, whose state is then replaced


def test_what_the_file_says_of_itself_is_the_same_each_time(tmp_path, rng):
    given = full(rng)
    write(given, tmp_path / "one.npz")
    write(given, tmp_path / "two.npz")
    assert (tmp_path / "one.npz").read_bytes() == (tmp_path / "two.npz").read_bytes()


# ---------------------------------------------------------------- files that are not whole, or none of ours


def refused(path):
    """The one line that refuses the file."""
    with pytest.raises(CheckpointError) as raised:
        read(path)
    message = str(raised.value)
    assert str(path) in message
    assert "\n" not in message
    assert len(message) < 400 + len(str(path))
    return message


@pytest.fixture
def written(tmp_path, rng):
    write(full(rng), tmp_path / "file.npz")
    return tmp_path / "file.npz"


@pytest.fixture
def small(tmp_path):
    """The file of a run of a net as small as possible, in which each byte can be changed."""
    layers = {"conv1": spec.Conv(1, 1, reads_all=True), "flatten": spec.Flat(), "fc2": spec.Full(None)}
    net = AlexNet(spec.Spec("small", layers, input_size=1, columns=1), num_classes=2, cross_columns=())
    statistics = PixelStatistics(np.ones((1, 1, 3), "float32"), np.ones(3), np.eye(3))
    velocity = {name: np.full_like(w, 0.5) for name, w in net.params.items()}
    write(Checkpoint(net, ("a", "b"), statistics, velocity, {"position": {"step": 3}}), tmp_path / "small.npz")
    return tmp_path / "small.npz"


def test_no_file(tmp_path):
    assert "expected a .npz file" in refused(tmp_path / "none.npz")
    assert "expected a .npz file" in refused(tmp_path)


def test_a_file_cut_short_anywhere(small):
    whole = small.read_bytes()
    lengths = {*np.linspace(0, len(whole) - 1, 200, dtype=int).tolist(), 1, 2}
    for length in sorted(lengths):
        small.write_bytes(whole[:length])
        assert "use another file" in refused(small)


def everything(found):
    """All that a checkpoint holds, as bytes and JSON."""
    parts = (found.net.params, found.velocity, vars(found.statistics or object))
    arrays = [(name, array.tobytes()) for part in parts for name, array in part.items()]
    masks = found.net.mask_rng.bit_generator.state
    return arrays, masks, found.net.summary(), found.classes, found.training


@pytest.mark.parametrize("change", ["one bit", "all bits"])
def test_every_changed_byte_is_noticed_or_means_nothing(small, rng, change):
    """Dates, for example, mean nothing. A changed table of contents could lose entries, of which zip says nothing."""
    whole, right = small.read_bytes(), everything(read(small))
    contents = whole.index(b"PK\x01\x02")  # the table of contents, at the end
    refusals = 0
    places = [*range(0, contents, 31), *range(contents, len(whole), 3)]
    for place in places:
        damaged = bytearray(whole)
        damaged[place] ^= 1 << rng.integers(8) if change == "one bit" else 255
        small.write_bytes(damaged)
        try:
            found = read(small)
        except CheckpointError:
            refusals += 1
        else:
            assert everything(found) == right, place
    assert refusals > 0.6 * len(places)


def test_an_entry_that_is_lost_is_missed(small):
    """Whichever it is, and however well the rest is in order: the velocity, if it is nowhere to be found, too."""
    with zipfile.ZipFile(small) as file:
        entries = {name: file.read(name) for name in file.namelist()}
    for lost in ["params/conv1.w", "velocity/", "mean", "e", "checksum"]:
        with zipfile.ZipFile(small, "w") as file:
            for name, content in entries.items():
                if not name.startswith(lost):
                    file.writestr(name, content)
        assert "the checksum is" in refused(small)


def test_an_entry_in_the_place_of_another(small):
    """As somebody would put it there who knows zip: of the same name and size, and whole."""
    with zipfile.ZipFile(small) as file:
        entries = {name: file.read(name) for name in file.namelist()}
    entries["params/conv1.b.npy"] = entries["params/conv1.b.npy"][:-1] + b"\x40"
    with zipfile.ZipFile(small, "w") as file:
        for name, content in entries.items():
            file.writestr(name, content)
    assert "the checksum is not that of the contents" in refused(small)


def test_what_numpy_would_never_write(small):
    """Two entries of one name, of which each reader might take another; compressed ones, which say little of their
    size; and addresses of Python objects in the place of numbers."""
    rewritten(small, lambda about, _: about.update(format=1), into=savez)
    with np.load(small) as arrays:
        np.savez_compressed(small, **{name: arrays[name] for name in arrays.files})
    assert "compressed" in refused(small)

    rewritten(small, lambda *_: None, into=savez)
    with zipfile.ZipFile(small, "a") as file, pytest.warns(UserWarning, match="Duplicate name"):
        file.writestr("about.npy", file.read("about.npy"))
    assert "have the same name" in refused(small)

    with zipfile.ZipFile(small, "w") as file, file.open("about.npy", "w") as entry:
        np.lib.format.write_array_header_1_0(entry, {"descr": "|O", "fortran_order": False, "shape": ()})
        entry.write(bytes(8))
    assert "about holds Python objects" in refused(small)


def test_files_of_other_kinds(tmp_path):
    path = tmp_path / "other.npz"
    path.write_text("hello")
    assert "not a checkpoint of tinyalex" in refused(path)
    with path.open("wb") as file:
        np.save(file, np.zeros(3))
    assert "not a checkpoint of tinyalex" in refused(path)
    np.savez(path, weights=np.zeros(3))
    assert "not a checkpoint of tinyalex" in refused(path)
    for content in (b"\x93NUMPY garbage", b"\x93NUMPY\x01\x00\xff\x26" + b"-" * 9982 + b"1\n", b"", b"hello"):
        with zipfile.ZipFile(path, "w") as file:
            file.writestr("about.npy", content)
        assert "not a checkpoint of tinyalex" in refused(path)
    for text in ("[" * 100_000, "hello", "{", '{"format": NaN}', "3", "null", '["format"]', "{}", '{"format": [1]}'):
        with path.open("wb") as file:
            write_arrays(file, [("about", np.array(text))])
        assert "use another file" in refused(path)


class Trap:
    """What runs code when it is unpickled."""

    def __reduce__(self):
        return pytest.fail, ("a pickle was loaded",)


def test_pickles_are_not_loaded(tmp_path):
    path = tmp_path / "trap.npz"
    path.write_bytes(pickle.dumps(Trap()))
    assert "unsafely" not in refused(path)  # as NumPy proposes to load it
    np.savez(path, about=np.array(Trap(), dtype=object))
    refused(path)


def peak_memory(path):
    """The bytes that were allocated at most while the file was refused."""
    tracemalloc.start()
    refused(path)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    return peak


def test_a_small_file_takes_little_memory(written):
    """Compressed zeros, and entries that declare more than the file holds."""
    np.savez_compressed(written, about=np.zeros(30_000_000, "uint8"))
    assert written.stat().st_size < 100_000
    assert peak_memory(written) < 2_000_000

    with zipfile.ZipFile(written, "w") as file, file.open("about.npy", "w") as entry:
        np.lib.format.write_array_header_1_0(entry, {"descr": "|u1", "fortran_order": False, "shape": (30_000_000,)})
    assert peak_memory(written) < 2_000_000


def test_entries_that_share_their_bytes(written):
    """A table of contents may name the same bytes a thousand times."""
    with written.open("wb") as file, zipfile.ZipFile(file, "w") as archive:
        archive.writestr("about.npy", bytes(1000))
        for number in range(3):
            archive.filelist.append(archive.getinfo("about.npy"))
            archive.filelist[-1] = zipfile.ZipInfo(f"copy{number}.npy")
            vars_of = archive.getinfo("about.npy")
            for key in ("header_offset", "file_size", "compress_size", "CRC"):
                setattr(archive.filelist[-1], key, getattr(vars_of, key))
        archive._didModify = True
    assert "larger than the file" in refused(written)


def test_infinity_is_not_json(written):
    rewritten(written, lambda about, _: about["training"].update(loss=math.inf))
    assert "Infinity is not JSON" in refused(written)


# ---------------------------------------------------------------- files that contradict themselves


def rewritten(path, change, into=write_arrays):
    """Write the file anew, with a checksum that is right: `change` changes its arrays and its "about" in place."""
    with np.load(path) as file:
        arrays = {name: file[name] for name in file.files if name != "checksum"}
    about = json.loads(str(arrays.pop("about")))
    change(about, arrays)
    with path.open("wb") as file:
        into(file, {"about": np.array(json.dumps(about)), **arrays}.items())


def setting(**values):
    """A change of the net's settings."""
    return lambda about, _: about["settings"].update(values)


def layer(number, **values):
    """A change of a layer's spec, by its number in the list."""
    return lambda about, _: about["spec"]["layers"][number][2].update(values)


def array(name, new):
    """A change of an array: `new` makes the new one of the old one."""
    return lambda _, arrays: arrays.update({name: new(arrays[name])})


CONTRADICTIONS = [
    (lambda about, _: about["spec"].update(name="x" * 10_000, layers=[]), "got the net xxx"),
    (lambda about, _: about.update(format=3), "got format 3: expected 2 or older"),
    (lambda about, _: about.update(format="1"), "got format '1': expected"),
    (lambda about, _: about.pop("masks"), "got no about.masks: expected one"),
    (lambda about, _: about.update(more=1), "got about.'more': expected one of format, spec"),
    (lambda about, _: about.update(masks={"bit_generator": "MT19937"}), "expected the state of a random generator"),
    (lambda about, _: about.update(masks=3), "got about.masks=3: expected"),
    (lambda about, _: about["masks"]["state"].update(state=-1), "expected the state of a random generator"),
    (lambda about, _: about["masks"]["state"].update(state=1.5), "expected the state of a random generator"),
    (lambda about, _: about["masks"].update(uinteger=-1), "expected the state of a random generator"),
    (lambda about, _: about.update(settings=[]), "got about.settings=[]: expected an object"),
    (lambda about, _: about.update(classes=None), "got about.classes=None: expected tuple"),
    (lambda about, _: about.update(classes=["a", "b", "c", 4]), "got about.classes[3]=4: expected str"),
    (lambda about, _: about["classes"].pop(), "got 3 names and an output of (4,): expected those of 4 classes"),
    (lambda about, _: about.update(training=[]), "got about.training=[]: expected dict"),
    (setting(num_classes=5), "expected those of 5 classes"),
    (setting(num_classes="five"), "got about.settings.num_classes='five': expected int"),
    (setting(num_classes=-1), "got num_classes=-1: expected 1 or more"),
    (setting(num_classes=10**30), "expected those of 1000"),
    (setting(input_size=32), "got params/fc6.w of shape (16, 32) and float32: expected (16, 128)"),
    (setting(input_size=0), "got an image of 0 x 0"),
    (setting(input_size=10**9), "numbers an image in conv1: expected a smaller net"),
    (setting(dtype="float16"), "got about.settings.dtype='float16': expected 'float32' or 'float64'"),
    (
        setting(dtype="float64"),
        "got params/conv1.w of shape (8, 3, 3, 3) and float32: expected (8, 3, 3, 3) and float64",
    ),
    (setting(dropout=1.5), "got p=1.5"),
    (setting(dropout=True), "got about.settings.dropout=True: expected float"),
    (setting(unknown=1), "got about.settings.'unknown': expected one of num_classes"),
    (setting(cross_columns=[9]), "got cross_columns=(9,): expected numbers out of"),
    (setting(cross_columns=3), "got about.settings.cross_columns=3: expected tuple"),
    (lambda about, _: about["spec"].update(layers=[["conv1", "Magic", {}]]), "got the layer ['conv1', 'Magic', {}]"),
    (lambda about, _: about.update(spec=3), "got about.spec=3: expected dict"),
    (lambda about, _: about["spec"].pop("layers"), "got spec.layers=None: expected list"),
    (lambda about, _: about["spec"].update(layers=3), "got spec.layers=3: expected list"),
    (lambda about, _: about["spec"].update(layers=["conv1"]), "got the layer 'conv1': expected [name, kind, settings]"),
    (lambda about, _: about["spec"].update(layers=[]), "expected conv1 as its first layer"),
    (lambda about, _: about["spec"]["layers"].append(about["spec"]["layers"][0]), "each name once"),
    (lambda about, _: about["spec"]["layers"][0].insert(0, "a.b"), "got the layer ['a.b', 'conv1', 'Conv'"),
    (lambda about, _: about["spec"]["layers"].insert(1, ["a.b", "Full", {"units": 3}]), "got the layer name 'a.b'"),
    (
        lambda about, _: about["spec"]["layers"].insert(1, ["flat", "Flat", {}]),
        "tiny, norm1: got 2048 features: expected maps",
    ),
    (lambda about, _: about["spec"].update(recipe=None), "got spec.recipe=None: expected"),
    (lambda about, _: about["spec"].update(columns=0), "got columns=0: expected 1 or more"),
    (lambda about, _: about["spec"].update(pixel_scale=0), "got pixel_scale=0.0: expected a number above 0"),
    (lambda about, _: about["spec"].update(bias_decay=1), "got spec.bias_decay=1: expected bool"),
    (layer(0, kernels=16), "got params/conv1.w of shape (8, 3, 3, 3)"),
    (layer(0, kernels=0), "got kernels=0: expected 1 or more"),
    (layer(0, kernels=8.0), "got conv1.kernels=8.0: expected int"),
    (layer(0, stride=0), "got stride=0: expected 1 or more"),
    (layer(0, pad=-1), "got pad=-1: expected 0 or more"),
    (layer(0, pad=10**6), "numbers an image in conv1: expected a smaller net"),
    (layer(0, size=0), "got size=0: expected 1 or more"),
    (layer(0, initial={"std": -1}), "got std=-1.0: expected 0 or more"),
    (layer(1, kind="sigmoid"), "got relu1.kind='sigmoid': expected 'relu' or 'tanh'"),
    (layer(2, size=-1), "got size=-1: expected 1 or more"),
    (layer(2, alpha="0.1"), "got norm1.alpha='0.1': expected float"),
    (layer(3, stride=0), "got stride=0: expected 1 or more"),
    (layer(-2, scale_at="never"), "got dropout7.scale_at='never': expected"),
    (lambda _, arrays: arrays.pop("params/fc7.b"), "got no params/fc7.b: expected one"),
    (lambda _, arrays: arrays.pop("velocity/fc7.b"), "got no velocity/fc7.b: expected one"),
    (lambda _, arrays: arrays.pop("eigenvalues"), "got no eigenvalues: expected one"),
    (lambda _, arrays: arrays.pop("mean"), "got no mean: expected one"),
    (lambda _, arrays: arrays.update(more=np.zeros(3)), "got 'more': expected no such array"),
    (array("params/fc7.b", lambda b: b[:-1]), "got params/fc7.b of shape (15,) and float32: expected (16,)"),
    (array("velocity/fc7.b", lambda b: b[:-1]), "got velocity/fc7.b of shape (15,)"),
    (array("velocity/fc7.b", lambda b: b.astype("float16")), "got velocity/fc7.b of shape (16,) and float16: expected"),
    (array("velocity/fc7.b", lambda b: b.astype("float64")), "got velocity/fc7.b of shape (16,) and float64: expected"),
    (array("mean", lambda mean: mean[:, 1:]), "got mean of shape (18, 17, 3) and float32: expected (18, 18, 3)"),
    (array("mean", lambda mean: mean[:4, :4]), "got mean of shape (4, 4, 3) and float32: expected (16, 16, 3)"),
    (array("mean", lambda mean: mean[0, 0, 0]), "got mean of shape () and float32: expected (16, 16, 3)"),
    (
        array("mean", lambda mean: mean.astype("complex64")),
        "and complex64: expected (18, 18, 3) and float32 or float64",
    ),
    *(
        (array("params/fc7.b", lambda b, dtype=dtype: b.astype(dtype)), f"got params/fc7.b of shape (16,) and {dtype}")
        for dtype in ("int8", "bool", "complex64", "<U32", "float64", ">f4")
    ),
    *(
        (array(name, lambda old, number=number: np.where(old == old.flat[-1], number, old).astype(old.dtype)), message)
        for name in ("params/fc8.w", "velocity/conv1.b", "mean", "eigenvectors")
        for number, message in ((np.nan, f"got NaN or infinity in {name}"), (-np.inf, f"got NaN or infinity in {name}"))
    ),
]


@pytest.mark.parametrize(("change", "message"), CONTRADICTIONS)
def test_a_file_that_contradicts_itself(written, change, message):
    rewritten(written, change)
    said = refused(written)
    assert "which cannot be used (" in said
    assert message in said


def test_a_huge_net_takes_no_memory(small):
    """10**13 numbers in a file of 5 kB. They are missed before there is any place made for them."""

    def huge(about, _):
        about["spec"]["layers"].insert(2, ["fc1", "Full", {"units": 10**13}])
        about["spec"]["layers"].insert(3, ["fc3", "Full", {"units": 3}])

    rewritten(small, huge)
    assert peak_memory(small) < 2_000_000


# ---------------------------------------------------------------- files of format 1, which had no checksum


def savez(file, arrays):
    np.savez(file, **dict(arrays))


def test_format_1_is_read(written):
    right = everything(read(written))
    rewritten(written, lambda about, _: about.update(format=1), into=savez)
    assert everything(read(written)) == right


@pytest.mark.parametrize(("change", "message"), [case for case in CONTRADICTIONS if "format" not in case[1]])
def test_format_1_is_checked_too(written, change, message):
    def changed(about, arrays):
        about.update(format=1)
        change(about, arrays)

    rewritten(written, changed, into=savez)
    assert message in refused(written)


def test_format_2_has_a_checksum(written):
    rewritten(written, lambda *_: None, into=savez)
    assert "the checksum is missing" in refused(written)


# ---------------------------------------------------------------- writing fails


def test_what_fails_midway_leaves_the_old_file(written, rng, monkeypatch):
    before = written.read_bytes()

    def half(file, _):
        file.write(before[: len(before) // 2])
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(checkpoint, "write_arrays", half)
    with pytest.raises(OSError, match="No space left"):
        write(full(rng), written)
    assert written.read_bytes() == before
    assert [path.name for path in written.parent.iterdir()] == ["file.npz"]


def test_the_old_file_is_there_while_the_new_one_is_written(written, rng, monkeypatch):
    before = written.read_bytes()

    def watched(file, arrays):
        write_arrays(file, arrays)
        assert written.read_bytes() == before

    monkeypatch.setattr(checkpoint, "write_arrays", watched)
    write(replace(full(rng), classes=tuple("wxyz")), written)
    assert read(written).classes == tuple("wxyz")


def test_a_state_that_is_no_json_leaves_the_old_file(written, rng):
    before = written.read_bytes()
    with pytest.raises(CheckpointError, match="got NaN or infinity in the state of the run"):
        write(replace(full(rng), training={"history": [{"val_loss": float("nan")}]}), written)
    assert written.read_bytes() == before


LIMITED = """
import resource, sys
from tinyalex.weights.checkpoint import read, write
checkpoint = read(sys.argv[1])
for limit in (1, 100, 10_000, 26_000):
    resource.setrlimit(resource.RLIMIT_FSIZE, (limit, resource.RLIM_INFINITY))
    try:
        write(checkpoint, sys.argv[1])
    except OSError as error:
        print(error)
"""


@pytest.mark.skipif(sys.platform == "win32", reason="Windows does not limit the size of files")
def test_a_limit_on_the_size_of_files(written):
    """Wherever the limit is reached, the error names the file, and nothing else is printed."""
    before = written.read_bytes()
    assert len(before) > 26_000
    run = subprocess.run([sys.executable, "-c", LIMITED, written], capture_output=True, text=True, timeout=60)
    assert run.stdout.splitlines() == [f"[Errno {errno.EFBIG}] File too large: '{written}'"] * 4
    assert run.stderr == ""
    assert written.read_bytes() == before


def test_a_full_disk(small_disk, written, rng):
    path = small_disk / "file.npz"
    path.write_bytes(written.read_bytes())
    (small_disk / "other").write_bytes(bytes(2**20 - 2 * path.stat().st_size))
    with pytest.raises(OSError, match="No space left") as raised:
        write(full(rng), path)
    assert raised.value.filename == str(path)
    assert path.read_bytes() == written.read_bytes()
    assert sorted(path.name for path in small_disk.iterdir()) == ["file.npz", "other"]
