"""Nets are saved under any name, and a file's suffix chooses its reader."""

import numpy as np
import pytest

import tinyalex
from runs import TINY
from tinyalex import AlexNet, weights
from tinyalex.cli.checkpoints import read_trained
from tinyalex.errors import CheckpointError
from tinyalex.weights.checkpoint import Checkpoint


@pytest.fixture
def net():
    return AlexNet(TINY, num_classes=4, seed=5)


@pytest.mark.parametrize("name", ["net.npz", "NET.NPZ", "checkpoint", "net.v2", "net.npz.old"])
def test_a_net_saved_under_any_name_is_loaded(tmp_path, net, name):
    tinyalex.save(net, tmp_path / name)
    assert [path.name for path in tmp_path.iterdir()] == [name]
    found = tinyalex.load(str(tmp_path / name))
    for key, w in net.params.items():
        np.testing.assert_array_equal(found.params[key], w)


def test_a_new_format_is_an_entry_in_the_table(tmp_path, net, monkeypatch):
    path, paths, found = tmp_path / "net.Other", [], Checkpoint(net, classes=("a", "b", "c", "d"))
    weights.checkpoint.write(found, path)  # a zip archive too, as the files of PyTorch are: the suffix decides
    monkeypatch.setitem(weights.READERS, ".other", lambda path: paths.append(path) or found)
    assert tinyalex.load(path) is net
    assert weights.read(str(path)) is read_trained(path) is found  # and so the commands read it
    assert paths == [path] * 3


def test_an_unknown_format_names_the_known_ones(tmp_path, monkeypatch):
    monkeypatch.setitem(weights.READERS, ".other", weights.READERS[".npz"])
    (tmp_path / "net.weights").write_bytes(b"something else")
    known = " or ".join(weights.READERS).replace(".", r"\.")
    with pytest.raises(CheckpointError, match=rf"net\.weights: expected a file with the suffix {known}; use"):
        tinyalex.load(tmp_path / "net.weights")


def test_no_checkpoint_under_the_suffix_of_another_format(tmp_path, net, monkeypatch):
    """`load` would give it to that format's reader."""
    monkeypatch.setitem(weights.READERS, ".other", lambda _: Checkpoint(net))
    with pytest.raises(CheckpointError, match=r"net\.OTHER: expected the suffix of a format that is written: \.npz, "):
        tinyalex.save(net, tmp_path / "net.OTHER")
    assert not list(tmp_path.iterdir())


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(CheckpointError, match=r"got .*none\.npz: expected a \.npz file"):
        tinyalex.load(tmp_path / "none.npz")
    with pytest.raises(CheckpointError, match=r"got .*none\.pt, which does not exist or is no file: expected a state"):
        tinyalex.load(tmp_path / "none.pt")


@pytest.mark.parametrize(
    ("name", "format"),
    [("net.npz", "npz"), ("net", "npz"), ("net.safetensors", "safetensors"), ("NET.SafeTensors", "safetensors")],
)
def test_the_format_is_the_one_that_is_named(tmp_path, net, name, format):
    path = tmp_path / name
    pytest.importorskip("safetensors", reason="the library safetensors is not installed")
    tinyalex.save(net, path, format)
    assert path.read_bytes()[:2] == b"PK" if format == "npz" else b'"tinyalex"' in path.read_bytes()


@pytest.mark.parametrize(
    ("name", "format"),
    [("net.npz", "safetensors"), ("net.safetensors", "npz"), ("net.pth", "npz"), ("net", "pth"), ("net", "onnx")],
)
def test_no_format_under_the_suffix_of_another(tmp_path, net, name, format):
    with pytest.raises(CheckpointError, match=rf"{name}, to be written as {format}: expected the suffix of a format"):
        tinyalex.save(net, tmp_path / name, format=format)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("suffix", ["pth", "pt", "npy", "caffemodel"])
def test_formats_that_are_read_only(tmp_path, net, suffix):
    with pytest.raises(CheckpointError, match=rf"net\.{suffix}: expected the suffix of a format that is written"):
        tinyalex.save(net, tmp_path / f"net.{suffix}")
