"""A run that diverges: its state is not saved, what was saved goes on at a lower rate, and nothing is fetched twice."""

import json
import math
from dataclasses import replace

import numpy as np
import pytest

import standin
from cases import small_net
from runs import TINY, images, started
from tinyalex import spec
from tinyalex.backend import to_numpy
from tinyalex.errors import DivergenceError
from tinyalex.training import validation
from tinyalex.training.divergence import LARGEST, first_bad_gradient, largest
from tinyalex.training.evaluate import Scores
from tinyalex.training.loop import Training
from tinyalex.training.settings import saved_settings
from tinyalex.weights.checkpoint import read


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


# ---------------------------------------------------------------- states that must not be saved


@pytest.fixture
def tiny(monkeypatch):
    monkeypatch.setitem(spec.VARIANTS, "tiny", TINY)


@pytest.mark.usefixtures("tiny")
@pytest.mark.parametrize(
    ("change", "told"),
    [
        (lambda net: net.params["fc7.w"].fill(np.nan), r"got NaN or infinity in fc7\.w .*: expected finite numbers"),
        (lambda net: net.params["conv2.b"].fill(2e4), r"got 2e\+04 in conv2\.b .*: expected numbers up to 10000"),
        (lambda net: net.params["conv2.b"].fill(-2e4), r"got 2e\+04 in conv2\.b .*: expected numbers up to 10000"),
        (
            lambda net: net.params["fc8.b"].__setitem__(0, 100),
            r"got a loss of \d+ .*: expected 20 or less",
        ),
    ],
)
def test_a_state_that_is_lost_is_not_saved(tmp_path, change, told):
    training = started(tmp_path, epochs=1)
    training.run()
    before = (tmp_path / "checkpoint.npz").read_bytes()
    change(training.net)
    training._goodness.note(training._goodness._last[0], np.full(8, 3))
    with pytest.raises(DivergenceError, match=told):
        training.save()
    assert (tmp_path / "checkpoint.npz").read_bytes() == before


@pytest.mark.usefixtures("tiny")
def test_a_high_loss_of_a_moment_is_no_divergence(tmp_path):
    """As of the paper's net in its first steps on few images: up to 18."""
    training = started(tmp_path, epochs=1)
    training.run()
    training.net.params["fc8.b"][0] += 18
    training._goodness.note(training._goodness._last[0], np.full(8, 3))
    training.save()


@pytest.mark.usefixtures("tiny")
@pytest.mark.parametrize("lr", [10, 100, 1e5, 1e9, 1e20])
@pytest.mark.parametrize("batch", [8, 36])
def test_a_run_that_diverged_goes_on_at_a_lower_rate(tmp_path, recwarn, lr, batch):
    """Also with one step an epoch (36 images), where each is saved. It learns as a run at that rate does."""
    with pytest.raises(
        DivergenceError, match=r"use a lower learning rate \(--lr\): tinyalex train --resume .* --lr 0.05;"
    ):
        started(tmp_path, lr=lr, batch=batch, epochs=40, dropout=0.0, save_every=None, schedule="constant").run()
    history = [json.loads(line) for line in (tmp_path / "history.jsonl").read_text().splitlines()]
    assert history[-1]["diverged"].startswith("got ")
    checkpoint = read(tmp_path / "checkpoint.npz")
    goes_on = replace(saved_settings(checkpoint), lr=0.01)
    training = Training.resume(checkpoint, goes_on, images(36), images(20, seed=1), tmp_path)
    training.run()
    assert training.history[-1]["train_loss"] < 0.9 * math.log(4)
    assert not recwarn.list


@pytest.mark.usefixtures("tiny")
def test_a_lower_rate_makes_the_velocity_smaller(tmp_path):
    started(tmp_path, epochs=1).run()
    before = read(tmp_path / "checkpoint.npz")
    for lr, factor in ((0.01, 0.2), (0.05, 1), (0.1, 1)):
        checkpoint = read(tmp_path / "checkpoint.npz")
        settings = replace(saved_settings(checkpoint), lr=lr, epochs=2)
        training = Training.resume(checkpoint, settings, images(36), images(20, seed=1), tmp_path)
        for name, v in training.optimizer.velocity.items():
            assert v.dtype == "float32"
            np.testing.assert_allclose(v, before.velocity[name] * factor, rtol=1e-6)


@pytest.mark.usefixtures("tiny")
def test_a_validation_loss_that_is_not_finite(tmp_path, monkeypatch):
    monkeypatch.setattr(validation, "scores", lambda *_: Scores(math.nan, 1.0, 1.0))
    with pytest.raises(DivergenceError, match="got a validation loss of nan in epoch 1, step 4: expected finite"):
        started(tmp_path).run()
    [line] = (tmp_path / "history.jsonl").read_text().splitlines()
    assert json.loads(line, parse_constant=pytest.fail)["epoch"] == 1
    assert read(tmp_path / "checkpoint.npz").training["history"] == []


def test_the_first_layer_whose_gradients_are_not_finite(place):
    """The first on the way back: those before it in the net got its NaN."""
    net, x, labels = small_net(devices=place)
    net.loss(x, labels, train=True)
    net.backward(net.criterion.backward())
    assert first_bad_gradient(net) is None
    w = to_numpy(net.params["fc6.w"]).copy()
    w[0, 0] = np.inf
    net.params["fc6.w"] = w
    with np.errstate(all="ignore"):
        net.loss(x, labels, train=True)
        dlogits = net.criterion.backward()
        dlogits[...] = 1
        net.backward(dlogits)
    bad = [name for name, g in net.grads.items() if not np.isfinite(to_numpy(g)).all()]
    assert first_bad_gradient(net) == bad[-1].split(".")[0]
    assert first_bad_gradient(net) in ("fc6", "fc7", "fc8")
