"""Nets are saved under any name, and a file's suffix chooses its reader."""

import numpy as np
import pytest

import tinyalex
from runs import TINY
from tinyalex import AlexNet, weights
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
    read = []
    monkeypatch.setitem(weights.READERS, ".other", lambda path: read.append(path) or Checkpoint(net))
    tinyalex.save(net, tmp_path / "net.Other")  # a zip archive too, as the files of PyTorch are: the suffix decides
    assert tinyalex.load(tmp_path / "net.Other") is net
    assert read == [tmp_path / "net.Other"]


def test_an_unknown_format_names_the_known_ones(tmp_path, monkeypatch):
    monkeypatch.setitem(weights.READERS, ".other", weights.READERS[".npz"])
    (tmp_path / "net.caffemodel").write_bytes(b"something else")
    with pytest.raises(CheckpointError, match=r"net\.caffemodel: expected a file with the suffix \.npz or \.other"):
        tinyalex.load(tmp_path / "net.caffemodel")


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(CheckpointError, match=r"got .*none\.pt: expected a \.npz file"):
        tinyalex.load(tmp_path / "none.pt")
