"""The comparison with PyTorch: what it says where it cannot run. Its figures need a GPU: `make bench-gpu`."""

import sys

import standin
from tinyalex.cost import against_torch


def test_what_is_missing(capsys, monkeypatch):
    monkeypatch.setitem(sys.modules, "cupy", None)
    assert against_torch.main([]) == 0
    assert capsys.readouterr().out.startswith("bench-gpu did not run: no GPU: a 'cuda' device needs CuPy: install")
    for name, module in standin.forget().items():
        monkeypatch.setitem(sys.modules, name, module)
    monkeypatch.setitem(sys.modules, "torch", None)
    assert against_torch.main([]) == 0
    assert capsys.readouterr().out == "bench-gpu did not run: PyTorch is not installed: pip install torch\n"
