"""The commands that measure: info and crossing. (Those of bench, memory and plan are tested in tests/cost.)"""

import numpy as np

from runs import carried_out, refused
from tinyalex.cli import measure


def test_info(capsys, monkeypatch):
    monkeypatch.setenv("TINYALEX_KERNELS", "reference")
    monkeypatch.setenv("TINYALEX_DATA", "/photographs")
    code, out, _ = carried_out(capsys, "info")
    assert code == 0
    lines = {line.split()[0]: line.split(maxsplit=1)[1] for line in out.splitlines()}
    assert lines["numpy"] == np.__version__
    assert lines["kernels"] == "reference (TINYALEX_KERNELS)"
    assert lines["images"] == "/photographs"


def test_crossing(capsys):
    code, out, _ = carried_out(capsys, "crossing --devices cuda:0,cuda:1 --variant mini --batch 7")
    assert code == 0
    assert out.startswith(
        "mini in two columns, cuda:0 and cuda:1: bytes that cross in a step of 7 images, half of them "
    )
    words = [line.split() for line in out.splitlines()]
    assert words[1:] == [
        ["conv3", "229,376"],
        ["fc6", "57,344"],
        ["fc7", "28,672"],
        ["fc8", "28,672"],
        ["all", "344,064"],
    ]


def test_info_without_numba(capsys, monkeypatch):
    monkeypatch.setattr(measure, "cpu_kernels", lambda: None)
    monkeypatch.delenv("TINYALEX_KERNELS", raising=False)
    assert "kernels      auto (Numba is not installed: the definitions run instead)" in carried_out(capsys, "info")[1]


def test_crossing_needs_a_device_for_each_column(capsys):
    assert "got devices=('cuda:0',): expected two, one for each column" in refused(capsys, "crossing --devices cuda:0")
    assert "no device is called 'tpu'" in refused(capsys, "crossing --devices cuda:0,tpu")
