"""What is not finite is found where it lies, and a checkpoint fetches each array once."""

import numpy as np
import pytest

import standin
from cases import small_net
from runs import TINY, started
from tinyalex import spec
from tinyalex.backend import to_numpy
from tinyalex.errors import DivergenceError
from tinyalex.training.divergence import LARGEST, largest


@pytest.fixture(params=["cpu", "two of the cpu", "gpu", "two"])
def place(request, gpu):
    """Devices for a net, of which a GPU may be a stand-in."""
    return {"cpu": None, "two of the cpu": ("cpu:0", "cpu:1"), "gpu": gpu.two[:1], "two": gpu.two}[request.param]


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_every_place_is_looked_at(place, value):
    """The first and the last number of each parameter: in two columns each of them has one of the two."""
    net, _, _ = small_net(devices=place)
    assert all(value <= LARGEST for value in largest(net).values())
    for name in net.params:
        for index in (0, -1):
            good = net.params[name]
            bad = good.copy() if isinstance(good, np.ndarray) else good.get()
            bad.reshape(-1)[index] = value
            net.params[name] = bad
            assert [name for name, one in largest(net).items() if not np.isfinite(one)] == [name]
            bad.reshape(-1)[index] = 0
            net.params[name] = bad


def test_the_largest_number_of_each_parameter(place):
    net, _, _ = small_net(devices=place)
    expected = {name: float(np.abs(to_numpy(w)).max()) for name, w in net.params.items()}
    assert largest(net) == pytest.approx(expected)
    assert list(largest(net)) == list(net.params)


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
