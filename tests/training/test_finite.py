"""What is not finite is found where it lies, and a checkpoint fetches each array once."""

import numpy as np
import pytest

import standin
from cases import small_net
from runs import TINY, started
from tinyalex import spec
from tinyalex.errors import DivergenceError
from tinyalex.training.finite import not_finite


@pytest.fixture(params=["cpu", "two of the cpu", "gpu", "two"])
def place(request, gpu):
    """Devices for a net, of which a GPU may be a stand-in."""
    return {"cpu": None, "two of the cpu": ("cpu:0", "cpu:1"), "gpu": gpu.two[:1], "two": gpu.two}[request.param]


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_every_place_is_looked_at(place, value):
    """The first and the last number of each parameter: in two columns each of them has one of the two."""
    net, _, _ = small_net(devices=place)
    assert not_finite(net) == []
    for name in net.params:
        for index in (0, -1):
            good = net.params[name]
            bad = good.copy() if isinstance(good, np.ndarray) else good.get()
            bad.reshape(-1)[index] = value
            net.params[name] = bad
            assert not_finite(net) == [name]
            bad.reshape(-1)[index] = 0
            net.params[name] = bad
    assert not_finite(net) == []


def test_in_the_order_of_the_net():
    net, _, _ = small_net()
    for name in ("fc8.b", "conv2.w", "fc6.w"):
        net.params[name] = np.full(net.params[name].shape, np.nan, "float32")
    assert not_finite(net) == ["conv2.w", "fc6.w", "fc8.b"]


@pytest.mark.parametrize("two", [False, True])
def test_a_save_fetches_each_array_once(tmp_path, gpu, monkeypatch, two):
    if not gpu.is_standin:
        pytest.skip("only the stand-in counts what makes the host wait")
    monkeypatch.setitem(spec.VARIANTS, "tiny", TINY)
    training = started(tmp_path, devices=gpu.two if two else gpu.two[:1])
    with standin.unsynchronised() as waited:
        training.save()
    count = len(training.net.params)
    assert waited == ["get"] * (2 * count + (2 if two else 1))  # parameters, velocities; the answers of each column


@pytest.mark.parametrize("two", [False, True])
def test_a_gpus_parameters_that_are_not_finite_are_not_saved(tmp_path, gpu, monkeypatch, two):
    monkeypatch.setitem(spec.VARIANTS, "tiny", TINY)
    training = started(tmp_path, devices=gpu.two if two else gpu.two[:1])
    before = (tmp_path / "checkpoint.npz").read_bytes()
    training.net.params["fc7.w"] = np.full(training.net.params["fc7.w"].shape, np.inf, "float32")
    with pytest.raises(DivergenceError, match=r"NaN or infinity in fc7\.w in epoch 1, step 1: expected finite"):
        training.save()
    assert (tmp_path / "checkpoint.npz").read_bytes() == before
