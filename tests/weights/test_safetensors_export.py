"""Nets as .safetensors files: every round trip is exact, and PyTorch finds the names that it expects."""

import builtins
import json
import struct
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import tinyalex
from runs import TINY, slim
from tinyalex import AlexNet, spec
from tinyalex.errors import CheckpointError
from tinyalex.weights import safetensors_export
from tinyalex.weights.formats import safetensors, torch

pytest.importorskip("safetensors", reason="the library safetensors is not installed")
SPECS = [*map(slim, spec.VARIANTS.values()), TINY]


@given(
    net=st.sampled_from(SPECS),
    classes=st.integers(1, 7),
    dtype=st.sampled_from(["float32", "float64"]),
    dropout=st.sampled_from([0.0, 0.1, 0.5]),
    cross=st.sampled_from([(), (2,), (2, 3)]),
    seed=st.integers(0, 2**32 - 1),
)
def test_round_trips_are_exact(tmp_path_factory, net, classes, dtype, dropout, cross, seed):
    path = tmp_path_factory.mktemp("net") / "net.safetensors"
    made = AlexNet(net, num_classes=classes, dtype=dtype, dropout=dropout, cross_columns=cross, seed=seed)
    made.mask_rng.random(3)
    tinyalex.save(made, path)
    found = tinyalex.load(path)
    assert (found.spec, list(found.spec.layers)) == (made.spec, list(made.spec.layers))
    assert (found.dropout, found.cross_columns, found.num_classes) == (dropout, cross, classes)
    assert found.mask_rng.random() == made.mask_rng.random()
    for name, w in made.params.items():
        assert (found.params[name].dtype, found.params[name].tobytes()) == (w.dtype, w.tobytes())


def test_arrays_that_do_not_lie_in_order(tmp_path):
    """The library would write their bytes as they lie in memory."""
    net = AlexNet(TINY, num_classes=3)
    for layer in net.layers.values():
        for key, w in layer.params.items():
            layer.params[key] = np.asfortranarray(w)
    tinyalex.save(net, tmp_path / "net.safetensors")
    found = tinyalex.load(tmp_path / "net.safetensors")
    for name, w in net.params.items():
        np.testing.assert_array_equal(found.params[name], w)


def test_the_names_are_those_of_torchvision(tmp_path):
    """So torchvision.models.alexnet().load_state_dict(safetensors.torch.load_file(path)) finds all."""
    expected = torch.read_arrays(Path(__file__).parent / "stored" / "zip.pth").arrays.keys()
    tinyalex.save(AlexNet(slim(spec.TORCHVISION), num_classes=2), tmp_path / "net.safetensors")
    assert safetensors.read_arrays(tmp_path / "net.safetensors").arrays.keys() == expected
    content = (tmp_path / "net.safetensors").read_bytes()
    [length] = struct.unpack("<Q", content[:8])
    assert json.loads(content[8 : 8 + length])["__metadata__"]["format"] == "pt"


def test_a_net_on_two_devices_is_written_as_one(tmp_path):
    net = AlexNet(TINY, num_classes=3)
    tinyalex.save(net, tmp_path / "one.safetensors")
    net.place(("cpu:0", "cpu:1"))
    tinyalex.save(net, tmp_path / "two.safetensors")
    one, two = (tinyalex.load(tmp_path / f"{name}.safetensors") for name in ("one", "two"))
    for name, w in one.params.items():
        np.testing.assert_array_equal(two.params[name], w)


def changed(path, change):
    """The file with another header and the same numbers."""
    content = path.read_bytes()
    [length] = struct.unpack("<Q", content[:8])
    header = json.loads(content[8 : 8 + length])
    change(header)
    text = json.dumps(header).encode()
    path.write_bytes(struct.pack("<Q", len(text)) + text + content[8 + length :])


def other_about(**changes):
    def change(header):
        about = json.loads(header["__metadata__"]["tinyalex"])
        about["settings"].update(changes)
        header["__metadata__"]["tinyalex"] = json.dumps(about)

    return change


@pytest.mark.parametrize(
    ("change", "told"),
    [
        (other_about(num_classes=4), r"got fc8\.w of shape \(3, 16\) and float32: expected \(4, 16\) and float32"),
        (other_about(dtype="float64"), r"got conv1\.w of shape .* and float32: expected .* and float64"),
        (other_about(num_classes=2**40), "numbers an image in fc8"),
        (other_about(input_size=2**20), "numbers an image in conv1"),
        (lambda header: header.update({"features.9": header.pop("features.0.weight")}), "other arrays than"),
        (lambda header: header["__metadata__"].update(tinyalex="{}"), "got format None"),
        (lambda header: header["__metadata__"].update(tinyalex="nothing"), "description of a net that is damaged"),
    ],
)
def test_descriptions_that_do_not_fit_the_arrays(change, told, tmp_path):
    path = tmp_path / "net.safetensors"
    tinyalex.save(AlexNet(TINY, num_classes=3), path)
    changed(path, change)
    with pytest.raises(CheckpointError, match=told):
        tinyalex.load(path)


def test_without_the_library(tmp_path, monkeypatch):
    def missing(name, *words, **more):
        if name.startswith("safetensors"):
            raise ImportError(name)
        return original(name, *words, **more)

    original = builtins.__import__
    monkeypatch.setattr(builtins, "__import__", missing)
    with pytest.raises(CheckpointError, match=r"the library safetensors, .* pip install safetensors"):
        safetensors_export.write(AlexNet(TINY, num_classes=3), tmp_path / "net.safetensors")
    assert not list(tmp_path.iterdir())
