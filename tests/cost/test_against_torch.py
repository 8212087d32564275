"""The comparison with PyTorch: what it says where it cannot run. Its figures need a GPU: `make bench-gpu`."""

import sys
from types import SimpleNamespace

import pytest

import standin
from tinyalex.cost import against_torch
from tinyalex.count import count
from tinyalex.errors import UsageError
from tinyalex.spec import variant


def test_what_is_missing(capsys, monkeypatch):
    monkeypatch.setitem(sys.modules, "cupy", None)
    assert against_torch.main([]) == 0
    assert capsys.readouterr().out.startswith("bench-gpu did not run: no GPU: a 'cuda' device needs CuPy: install")
    for name, module in standin.forget().items():
        monkeypatch.setitem(sys.modules, name, module)
    monkeypatch.setitem(sys.modules, "torch", None)
    assert against_torch.main([]) == 0
    assert capsys.readouterr().out == "bench-gpu did not run: PyTorch is not installed: pip install torch\n"


class Called(SimpleNamespace):
    """Instead of torch.nn: each class notes its name and what it was called with."""

    def __getattr__(self, name):
        return lambda *given, **options: (name, given, options)


def test_the_net_in_pytorch(monkeypatch):
    """The paper's: conv1's last windows reach past the edge, its norms are of one column, alpha is times the size."""
    monkeypatch.setitem(
        sys.modules, "torch", SimpleNamespace(nn=Called(functional=SimpleNamespace(local_response_norm=None)))
    )
    layers = {row.name: against_torch.torch_layers(row) for row in count(variant("paper"))}
    pad, conv1 = layers["conv1"]
    assert pad == ("ZeroPad2d", ((0, 3, 0, 3),), {})
    assert conv1 == ("Conv2d", (3, 96, 11, 4, 0), {"groups": 1})
    assert layers["conv2"] == [("Conv2d", (96, 256, 5, 1, 2), {"groups": 2})]
    assert layers["pool1"] == [("MaxPool2d", (3, 2), {"ceil_mode": True})]
    assert layers["fc6"] == [("Linear", (9216, 4096), {})]
    (norm,) = layers["norm1"]
    assert (norm.alpha, norm.groups) == (5e-4, 2)


def test_average_pooling_in_pytorch(monkeypatch):
    monkeypatch.setitem(sys.modules, "torch", SimpleNamespace(nn=Called()))
    layers = {row.name: against_torch.torch_layers(row) for row in count(variant("cifar10-quick"), 10)}
    assert layers["pool3"] == [("AvgPool2d", (3, 2), {"ceil_mode": True})]


def test_a_layer_that_pytorch_does_not_have(monkeypatch):
    monkeypatch.setitem(
        sys.modules, "torch", SimpleNamespace(nn=Called(functional=SimpleNamespace(local_response_norm=None)))
    )
    rows = count(variant("cuda-convnet"), 10)
    with pytest.raises(UsageError, match="got spatial_norm2, a SpatialNorm: expected a layer that PyTorch has"):
        [against_torch.torch_layers(row) for row in rows]
