"""The dictionary of bvlc_alexnet.npy, in both forms, and the net that it means, by a net in plain NumPy."""

import pickle
import tracemalloc

import numpy as np
import pytest

from cifar_files import with_old_names
from tinyalex.errors import CheckpointError
from tinyalex.weights import read
from tinyalex.weights.formats.npy import read_arrays
from tinyalex.weights.pixels import Given

SHAPES = {
    "conv1": (11, 11, 3, 4),
    "conv2": (5, 5, 2, 6),
    "conv3": (3, 3, 6, 6),
    "conv4": (3, 3, 3, 4),
    "conv5": (3, 3, 2, 4),
    "fc6": (6 * 6 * 4, 7),
    "fc7": (7, 5),
    "fc8": (5, 3),
}


@pytest.fixture
def layers(rng):
    """A narrow net, each layer as [weights, biases]."""
    return {
        name: [
            (rng.standard_normal(shape) / np.prod(shape[:-1]) ** 0.5).astype("f4"),
            rng.standard_normal(shape[-1], dtype="f4") / 10,
        ]
        for name, shape in SHAPES.items()
    }


def as_dicts(layers):
    return {name: {"weights": w, "biases": b} for name, (w, b) in layers.items()}


def python2(layers):
    """As Python 2 and an old NumPy write it: protocol 2, names that are bytes."""
    array = np.array({name.encode(): parts for name, parts in layers.items()}, object)
    header = str({"descr": "|O", "fortran_order": False, "shape": ()}).ljust(117) + "\n"
    return (
        b"\x93NUMPY\x01\x00"
        + len(header).to_bytes(2, "little")
        + header.encode()
        + with_old_names(pickle.dumps(array, 2))
    )


def refused(path, match):
    with pytest.raises(CheckpointError, match=match):
        read_arrays(path)


@pytest.mark.parametrize("form", ["lists", "dicts"])
def test_both_forms(form, layers, tmp_path):
    np.save(tmp_path / "net.npy", layers if form == "lists" else as_dicts(layers))
    found = read_arrays(tmp_path / "net.npy").arrays
    weights, biases = ("0", "1") if form == "lists" else ("weights", "biases")
    assert len(found) == 16
    for name, (w, b) in layers.items():
        np.testing.assert_array_equal(found[f"{name}.{weights}"], w)
        np.testing.assert_array_equal(found[f"{name}.{biases}"], b)


def test_as_python_2_wrote_it(layers, tmp_path):
    (tmp_path / "net.npy").write_bytes(python2(layers))
    found = read_arrays(tmp_path / "net.npy").arrays
    np.testing.assert_array_equal(found["conv1.0"], layers["conv1"][0])
    assert read(tmp_path / "net.npy").net.num_classes == 3


# ---------------------------------------------------------------- what the numbers mean


def convolved(x, w, b, groups=1, stride=1, pad=0):
    """x (H, W, C), w (KH, KW, C/G, OC) -> (OH, OW, OC): the groups split the maps and the last axis of w in halves."""
    x = np.pad(x, ((pad, pad), (pad, pad), (0, 0)))
    parts = []
    for maps, kernels in zip(np.split(x, groups, 2), np.split(w, groups, 3), strict=True):
        size = (x.shape[0] - w.shape[0]) // stride + 1
        part = np.empty((size, size, kernels.shape[3]))
        for i in range(size):
            for j in range(size):
                seen = maps[i * stride : i * stride + w.shape[0], j * stride : j * stride + w.shape[1]]
                part[i, j] = np.tensordot(seen, kernels, 3)
        parts.append(part)
    return np.maximum(np.concatenate(parts, 2) + b, 0)


def normalised(x):
    """tf.nn.local_response_normalization with radius 2, alpha 2e-5, beta 0.75, bias 1."""
    y = np.empty_like(x)
    for c in range(x.shape[2]):
        y[..., c] = x[..., c] / (1 + 2e-5 * (x[..., max(0, c - 2) : c + 3] ** 2).sum(2)) ** 0.75
    return y


def pooled(x):
    """The largest of 3 x 3, every second pixel, without padding."""
    size = (len(x) - 3) // 2 + 1
    return np.array([[x[2 * i : 2 * i + 3, 2 * j : 2 * j + 3].max((0, 1)) for j in range(size)] for i in range(size)])


def logits(layers, image):
    """image (227, 227, 3), BGR, its mean subtracted -> (K,)."""
    x = pooled(normalised(convolved(image, *layers["conv1"], stride=4)))
    x = pooled(normalised(convolved(x, *layers["conv2"], groups=2, pad=2)))
    x = convolved(x, *layers["conv3"], pad=1)
    x = convolved(x, *layers["conv4"], groups=2, pad=1)
    x = pooled(convolved(x, *layers["conv5"], groups=2, pad=1)).reshape(-1)
    for name in ("fc6", "fc7"):
        w, b = layers[name]
        x = np.maximum(x @ w + b, 0)
    return x @ layers["fc8"][0] + layers["fc8"][1]


@pytest.mark.parametrize("form", ["lists", "dicts"])
def test_the_net_in_plain_numpy(form, layers, tmp_path, rng):
    """From the pixels on: BGR, less (104, 117, 124), maps flattened as (H, W, C)."""
    np.save(tmp_path / "net.npy", layers if form == "lists" else as_dicts(layers))
    found = read(tmp_path / "net.npy")
    assert found.net.spec.name == "caffe"
    pixels = rng.integers(0, 256, (256, 256, 3)).astype("f4")
    mean = found.statistics.mean
    assert mean.shape == (256, 256, 3)
    x = (pixels - mean)[14:241, 14:241]
    expected = logits(layers, pixels[14:241, 14:241, ::-1] - [104, 117, 124])
    np.testing.assert_allclose(found.net.forward(x.transpose(2, 0, 1)[None])[0], expected, rtol=1e-4, atol=1e-4)


def test_the_same_names_with_the_layers_of_caffenet(layers, tmp_path):
    np.save(tmp_path / "net.npy", layers)
    assert read(tmp_path / "net.npy", Given(variant="caffenet")).net.spec.name == "caffenet"


# ---------------------------------------------------------------- files that lie


class Harm:
    def __reduce__(self):
        return (open, ("harm", "w"))


def test_nothing_is_run(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    np.save(tmp_path / "net.npy", {"conv1": [Harm(), Harm()]})
    refused(tmp_path / "net.npy", r"it asks for .*\.open")
    assert not (tmp_path / "harm").exists()


@pytest.mark.parametrize("content", [{"conv1": 3}, {"conv1": "ab"}, {"conv1": [3]}, [1], "text", {"conv1": {"w": [1]}}])
def test_something_else(content, tmp_path):
    np.save(tmp_path / "net.npy", np.array(content, object), allow_pickle=True)
    refused(tmp_path / "net.npy", "damaged or not|expected a dictionary")


def test_an_array_of_numbers(tmp_path):
    np.save(tmp_path / "net.npy", np.ones((3, 4)))
    refused(tmp_path / "net.npy", r"an array of shape \(3, 4\) and float64: expected a dictionary of layers")


def test_every_truncation_is_told(layers, tmp_path):
    np.save(tmp_path / "net.npy", layers)
    content = (tmp_path / "net.npy").read_bytes()
    for end in [*range(300), *range(300, len(content), 61)]:
        (tmp_path / "net.npy").write_bytes(content[:end])
        refused(tmp_path / "net.npy", r"damaged or not a dictionary of layers in a \.npy file")


@pytest.mark.parametrize("old", [b"(K\x0bK\x0bK\x03K\x04t", b"M@"], ids=["shape", "length"])
def test_huge_sizes_take_no_memory(old, layers, tmp_path):
    content = python2(layers)
    (tmp_path / "net.npy").write_bytes(content.replace(old, b"(J\xff\xff\xff\x7fJ\xff\xff\xff\x7fK\x03K\x04t", 1))
    tracemalloc.start()
    refused(tmp_path / "net.npy", "damaged or not")
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 2**21


@pytest.mark.parametrize("version", [1, 2])
def test_a_header_that_is_long(version, tmp_path):
    header = b"{'descr': '|O', 'fortran_order': False, 'shape': ()}" + b" " * 2000
    length = len(header).to_bytes(2, "little") if version == 1 else (2**31).to_bytes(4, "little")
    (tmp_path / "net.npy").write_bytes(b"\x93NUMPY" + bytes([version, 0]) + length + header)
    tracemalloc.start()
    refused(tmp_path / "net.npy", "damaged or not")
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 2**20
