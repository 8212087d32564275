"""The ladder: each rung uses the ideas that it says, computes the same numbers, and is measured."""

import itertools

import numpy as np
import pytest

from tinyalex import AlexNet
from tinyalex.backend import cpu_kernels, forget_memory, get_array_module, use_kernels
from tinyalex.backend.memory import empty
from tinyalex.cost import ladder
from tinyalex.count import conv_window, count
from tinyalex.layers.activations import relu_forward
from tinyalex.spec import Conv, variant

BOTTOM, POOLS, FUSED, *WINOGRAD = ladder.RUNGS


def convolutions_with_winograd():
    """The names of the paper's convolutions that Winograd computes, for 64 images."""
    winograd = cpu_kernels().workspace.winograd
    names = set()
    for row in count(variant("paper")):
        if isinstance(row.layer, Conv):
            x = (64, *row.in_shape[1:], row.in_shape[0])
            if winograd.plan(x, row.kernel, conv_window(row.layer), row.groups):
                names.add(row.name)
    return names


def test_each_rung_adds_the_convolutions_in_its_name():
    used = []
    for rung in ladder.RUNGS:
        with ladder.standing_on(rung):
            used.append(convolutions_with_winograd())
    threes = {"conv3", "conv4", "conv5"}
    assert used == [set(), set(), set(), threes, threes | {"conv2"}, threes | {"conv2", "conv1"}]
    assert used[-1] == convolutions_with_winograd()  # the last rung is today's program


def test_memory_is_used_again_from_the_second_rung_on():
    """A pool's array is a view of a block, where the next array lies too; without pools an array owns its memory."""
    with ladder.standing_on(BOTTOM):
        assert empty((1 << 20,), "float32").flags.owndata
    for rung in (POOLS, FUSED, *WINOGRAD):
        forget_memory()
        with ladder.standing_on(rung):
            places = [empty((1 << 20,), "float32").ctypes.data for _ in range(2)]
            assert not empty((1 << 20,), "float32").flags.owndata
        assert places[0] == places[1]


def test_single_passes_from_the_third_rung_on(monkeypatch):
    """A ReLU's twin leaves the definition alone, which asks for the array module."""
    asked = []
    monkeypatch.setitem(
        relu_forward.__wrapped__.__globals__,
        "get_array_module",
        lambda *arrays: asked.append(arrays) or get_array_module(*arrays),
    )
    for rung in ladder.RUNGS:
        asked.clear()
        with ladder.standing_on(rung):
            relu_forward(np.zeros(3, "float32"))
        assert bool(asked) == (rung in (BOTTOM, POOLS)), rung.name


def noting(names, name, function):
    """The function; each call of it is noted as `name`."""
    return lambda *given, **options: names.append(name) or function(*given, **options)


def test_relus_that_are_separate_do_their_own_work(monkeypatch):
    net = AlexNet("mini", num_classes=3)
    x = np.random.default_rng(0).standard_normal((2, 3, 32, 32), dtype="float32")
    fused = net.forward(x)
    ladder.separate_relus(net)
    separate = [name for name, layer in net.layers.items() if isinstance(layer, ladder.SeparateReLU)]
    assert separate == [f"relu{number}" for number in range(1, 8)]
    called = []
    for name in separate:
        monkeypatch.setattr(net.layers[name], "forward", noting(called, name, net.layers[name].forward))
    assert np.allclose(net.forward(x), fused, rtol=1e-5, atol=1e-6)
    assert called == separate


def test_every_rung_computes_the_same():
    """To the rounding of Winograd."""
    x = np.random.default_rng(0).standard_normal((3, 3, 99, 99), dtype="float32")
    with use_kernels("reference"):
        expected = AlexNet("paper", num_classes=3, input_size=99).forward(x)
    nets = {fused: AlexNet("paper", num_classes=3, input_size=99) for fused in (True, False)}
    ladder.separate_relus(nets[False])
    for rung in ladder.RUNGS:
        with ladder.standing_on(rung):
            found = nets[rung.fused].forward(x)
        assert np.linalg.norm(found - expected) < 1e-4 * np.linalg.norm(expected), rung.name


def test_it_prints_each_rung(capsys, monkeypatch):
    monkeypatch.setattr(ladder.loops_in_python, "__defaults__", (0.01,))
    assert ladder.main(["--variant", "mini", "--batch", "2", "--steps", "1"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert [line[:54].strip() for line in lines[2:]] == [rung.name for rung in ladder.RUNGS]
    speeds = [float(line[54:64]) for line in lines]
    assert min(speeds) > 0
    for (before, speed), line in zip(itertools.pairwise(speeds), lines[1:], strict=True):
        assert float(line.split()[-2]) == pytest.approx(speed / before, rel=0.01)


def test_mistakes(capsys, monkeypatch):
    monkeypatch.setattr(ladder.loops_in_python, "__defaults__", (0.01,))
    with pytest.raises(SystemExit) as ended:
        ladder.main(["--batch", "0"])
    assert ended.value.code == 2
    assert capsys.readouterr().err.endswith("error: got batch=0: expected 1 or more\n")
