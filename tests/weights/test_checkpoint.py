"""Checkpoints: all comes back, nothing is a pickle, and no other file is taken for one."""

import json
import pickle
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
        assert {file[name].dtype for name in file.files if name != "about"} == {np.dtype("float16")}
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
            ["about", "mean", "eigenvalues", "eigenvectors"]
            + [f"{kind}/{layer}.{key}" for kind in ("params", "velocity") for layer in WITH_WEIGHTS for key in "wb"]
        )
        np.testing.assert_array_equal(file["params/conv2.w"], given.net.params["conv2.w"])
        np.testing.assert_array_equal(file["velocity/fc8.b"], given.velocity["fc8.b"])
        about = json.loads(str(file["about"]))
    assert about["spec"]["name"] == "tiny"
    assert about["classes"] == list(given.classes)


WITH_WEIGHTS = ("conv1", "conv2", "conv3", "fc6", "fc7", "fc8")

# ---------------------------------------------------------------- files that are not whole, or none of ours


def refused(path):
    """The one line that refuses the file."""
    with pytest.raises(CheckpointError) as raised:
        read(path)
    message = str(raised.value)
    assert str(path) in message
    assert "\n" not in message
    return message


@pytest.fixture
def written(tmp_path, rng):
    write(full(rng), tmp_path / "file.npz")
    return tmp_path / "file.npz"


def test_no_file(tmp_path):
    assert "expected a .npz file" in refused(tmp_path / "none.npz")
    assert "expected a .npz file" in refused(tmp_path)


def test_a_file_cut_short_anywhere(written):
    whole = written.read_bytes()
    for length in [0, 1, 2, 100, len(whole) // 2, len(whole) - 100, len(whole) - 1]:
        written.write_bytes(whole[:length])
        assert "use another file" in refused(written)


def test_a_damaged_file_is_refused_or_reads_the_same(written, rng):
    """Some bytes of a zip file, such as dates, mean nothing here."""
    whole, right = written.read_bytes(), read(written)
    refusals = 0
    for _ in range(150):
        damaged = bytearray(whole)
        # half of the damage in the index at the end
        first = int(rng.choice([0, len(whole) - 2500]))
        damaged[rng.integers(first, len(whole))] ^= 1 << rng.integers(8)
        written.write_bytes(damaged)
        try:
            found = read(written)
        except CheckpointError:
            refusals += 1
        else:
            assert same(found.net.params, right.net.params)
            assert found.training == right.training
    assert refusals > 75


def test_files_of_other_kinds(tmp_path):
    path = tmp_path / "other.npz"
    path.write_text("hello")
    assert "not a checkpoint of tinyalex" in refused(path)
    with path.open("wb") as file:
        np.save(file, np.zeros(3))
    assert "not a checkpoint of tinyalex" in refused(path)
    np.savez(path, weights=np.zeros(3))
    assert "not a checkpoint of tinyalex" in refused(path)
    with zipfile.ZipFile(path, "w") as file:
        file.writestr("about.npy", b"\x93NUMPY garbage")
    assert "not a checkpoint of tinyalex" in refused(path)


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


def rewritten(path, change):
    """Write the file anew with its arrays, the "about" as a dict among them, changed in place by `change`."""
    with np.load(path) as file:
        arrays = {name: file[name] for name in file.files}
    arrays["about"] = json.loads(str(arrays["about"]))
    change(arrays)
    arrays["about"] = np.array(json.dumps(arrays["about"]))
    np.savez(path, **arrays)


@pytest.mark.parametrize(
    "change",
    [
        lambda arrays: arrays["about"].update(format=2),
        lambda arrays: arrays.update(about=["a", "list"]),
        lambda arrays: arrays.update(about=None),
        lambda arrays: arrays["about"].pop("spec"),
        lambda arrays: arrays["about"].pop("masks"),
        lambda arrays: arrays["about"].update(masks={"bit_generator": "MT19937"}),
        lambda arrays: arrays["about"].update(masks=3),
        lambda arrays: arrays["about"].update(settings=[]),
        lambda arrays: arrays["about"].update(classes=None),
        lambda arrays: arrays["about"]["settings"].update(num_classes=5),
        lambda arrays: arrays["about"]["settings"].update(num_classes="five"),
        lambda arrays: arrays["about"]["settings"].update(input_size=32),
        lambda arrays: arrays["about"]["settings"].update(unknown=1),
        lambda arrays: arrays["about"]["settings"].update(cross_columns=(9,)),
        lambda arrays: arrays["about"]["spec"].update(layers=[["conv1", "Magic", {}]]),
        lambda arrays: arrays["about"]["spec"].update(layers=["conv1"]),
        lambda arrays: arrays["about"]["spec"].update(recipe=None),
        lambda arrays: arrays["about"]["spec"]["layers"][0][2].update(kernels=16),
        lambda arrays: arrays.pop("params/fc7.b"),
        lambda arrays: arrays.update({"params/fc7.b": np.zeros(17, "float32")}),
        lambda arrays: arrays.update({"params/fc7.b": np.array(["text"] * 16)}),
        lambda arrays: arrays.pop("eigenvalues"),
        lambda arrays: arrays.update({"velocity/fc7.b": np.zeros(15, "float32")}),
        lambda arrays: arrays.update({"velocity/fc7.b": np.zeros(16)}),
        lambda arrays: arrays.update({"velocity/fc17.b": np.zeros(16, "float32")}),
    ],
)
def test_a_file_that_contradicts_itself(written, change):
    rewritten(written, change)
    refused(written)


# ---------------------------------------------------------------- writing fails


def test_what_fails_midway_leaves_the_old_file(written, rng, monkeypatch):
    before = written.read_bytes()

    def half(file, **_):
        file.write(before[: len(before) // 2])
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(checkpoint.np, "savez", half)
    with pytest.raises(OSError, match="No space left"):
        write(full(rng), written)
    assert written.read_bytes() == before
    assert [path.name for path in written.parent.iterdir()] == ["file.npz"]


def test_the_old_file_is_there_while_the_new_one_is_written(written, rng, monkeypatch):
    before, savez = written.read_bytes(), np.savez

    def watched(file, **arrays):
        savez(file, **arrays)
        assert written.read_bytes() == before

    monkeypatch.setattr(checkpoint.np, "savez", watched)
    write(replace(full(rng), classes=tuple("wxyz")), written)
    assert read(written).classes == tuple("wxyz")
