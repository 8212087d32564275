"""What a run says when it goes wrong: dead units counted by hand, losses that stay, each told once."""

import json
import math
from dataclasses import replace

import numpy as np
import pytest

from cases import small_net
from runs import TINY, images, outcome, settings, started
from tinyalex import AlexNet, spec
from tinyalex.backend import to_numpy
from tinyalex.errors import DivergenceError
from tinyalex.parallel.ranks import Ranks
from tinyalex.plan import is_relu
from tinyalex.training import loop, watch
from tinyalex.training.loop import Progress, Training
from tinyalex.training.position import Position
from tinyalex.training.watch import UnitsAlive, dying, guess, stuck, stuck_within
from tinyalex.weights.checkpoint import read


@pytest.fixture(autouse=True)
def _tiny(monkeypatch):
    monkeypatch.setitem(spec.VARIANTS, "tiny", TINY)


@pytest.fixture(params=["cpu", "two of the cpu", "gpu", "two"])
def place(request, gpu):
    """Devices for a net, of which a GPU may be a stand-in."""
    return {"cpu": None, "two of the cpu": ("cpu:0", "cpu:1"), "gpu": gpu.two[:1], "two": gpu.two}[request.param]


# ---------------------------------------------------------------- units


def killed(net, rng):
    """Kill some units by biases far below 0; the rest get biases that leave some of them without a signal too."""
    for name in net.params:
        if name.endswith("b") and name != "fc8.b":
            b = rng.normal(scale=0.3, size=net.params[name].shape).astype(net.dtype)
            b[rng.random(b.shape) < 0.3] = -100
            net.params[name] = b


def test_dead_units_are_those_without_a_signal_in_any_image(place, rng):
    net, x, _ = small_net(devices=place)
    killed(net, rng)
    units = UnitsAlive(net, Ranks())
    for n in range(len(x)):  # image by image: one alive in any is alive
        net.predict(x[n : n + 1], seen=units.look)
    expected = {}
    for row in net.rows:
        if is_relu(row):
            y = to_numpy(net.forward(x, upto=row.name))
            dead = [not (y[:, unit] > 0).any() for unit in range(y.shape[1])]
            expected[row.name] = round(sum(dead) / len(dead), 4)
    assert units.dead() == expected
    assert min(expected.values()) > 0
    assert max(expected.values()) < 1


def test_a_unit_is_alive_if_it_is_on_any_rank(rng):
    net, x, _ = small_net()
    killed(net, rng)
    sent = []

    class Sender(Ranks):
        def sum(self, values):
            sent.append(values)
            return values

    class Receiver(Ranks):
        def sum(self, values):
            return [one + other for one, other in zip(values, sent[0], strict=True)]

    first, second, both = UnitsAlive(net, Sender()), UnitsAlive(net, Receiver()), UnitsAlive(net, Ranks())
    net.predict(x[:1], seen=first.look)
    net.predict(x[1:], seen=second.look)
    net.predict(x, seen=both.look)
    first.dead()
    assert second.dead() == both.dead()


def test_a_net_without_relu_has_no_dead_units():
    layers = {
        name: spec.Activation("tanh") if isinstance(layer, spec.Activation) else layer
        for name, layer in TINY.layers.items()
    }
    net = AlexNet(replace(TINY, layers=layers), num_classes=4)
    x = np.zeros((2, 3, 16, 16), "float32")
    units = UnitsAlive(net, Ranks())
    net.predict(x, seen=units.look)
    assert units.dead() == {}


# ---------------------------------------------------------------- losses


def test_the_loss_of_a_guess():
    assert guess(np.array([0, 1, 2, 3, 0, 1, 2, 3])) == pytest.approx(math.log(4))
    assert guess(np.array([0, 0, 0, 2])) == pytest.approx(-0.75 * math.log(0.75) - 0.25 * math.log(0.25))


@pytest.mark.parametrize(
    ("losses", "steps", "told"),
    [
        ([2.3, 2.3], 100, 200),
        ([2.3, 2.3], 99, None),  # too few steps
        ([2.3], 2000, None),  # one epoch only
        ([1.9, 2.29, 2.4], 100, 200),  # from the second on
        ([2.3, 2.3, 2.27], 1000, None),  # it has left
        ([2.3] * 10, 20, 200),
        ([2.3] * 9, 20, None),
        ([], 100, None),
    ],
)
def test_a_loss_that_stays(losses, steps, told):
    found = stuck(losses, math.log(10), steps)
    if told is None:
        assert found == {}
    else:
        assert list(found) == ["loss"]
        assert found["loss"].startswith(f"the loss has stayed at {losses[-1]:.3f} for {told:,} steps, where guessing ")


def test_a_loss_that_stays_within_an_epoch():
    assert list(stuck_within(Position(step=3000, images=30, loss=30 * 2.3, seconds=1), math.log(10))) == ["loss"]
    assert stuck_within(Position(step=3000, images=30, loss=30 * 2.2, seconds=1), math.log(10)) == {}


def test_a_layer_that_dies():
    assert list(dying({"relu1": 0.9, "relu2": 0.9001, "relu6": 1.0})) == ["relu2", "relu6"]
    assert dying({"relu6": 0.975})["relu6"].startswith("98% of the units of relu6 are dead")


# ---------------------------------------------------------------- runs


class Told(Progress):
    def __init__(self):
        self.texts = []

    def warning(self, text):
        self.texts.append(text)


def dead_run(folder, **given):
    """A run whose second convolution is dead."""
    training = started(folder, **given)
    training.net.params["conv2.b"][:] = -100
    training.save()
    return training


def test_a_run_tells_each_thing_once(tmp_path, monkeypatch):
    monkeypatch.setattr(watch, "STUCK_STEPS", 8)
    training, told = dead_run(tmp_path, epochs=4, schedule="constant"), Told()
    training.run(told)
    dead = [text for text in told.texts if text.startswith("100% of the units of relu2 are dead")]
    assert len(dead) == 1
    assert len([text for text in told.texts if text.startswith("the loss has stayed at ")]) == 1
    warnings = [record.get("warnings", {}) for record in training.history]
    assert warnings[0]["relu2"] == dead[0]
    assert "loss" in warnings[1]
    assert not any("relu2" in later for later in warnings[1:])
    assert not any("loss" in later for later in (warnings[0], *warnings[2:]))
    lines = (tmp_path / "history.jsonl").read_text().splitlines()
    assert [json.loads(line) for line in lines] == training.history
    assert training.history[0]["dead_units"]["relu2"] == 1


def test_a_net_that_died_before_it_diverged(tmp_path):
    """Its last state may not learn at any rate."""
    training = dead_run(tmp_path, epochs=3)
    training.run()
    training.net.params["fc8.b"][0] = np.inf
    with pytest.raises(DivergenceError, match=r"all units of a layer are dead: if it does not learn, begin a new run$"):
        training.save()


def test_a_resumed_run_does_not_tell_it_again(tmp_path):
    told = Told()
    dead_run(tmp_path, epochs=2).run(told)
    assert any("relu2" in text for text in told.texts)
    again = Told()
    goes_on = settings(epochs=4, drops=(1, 2))
    Training.resume(read(tmp_path / "checkpoint.npz"), goes_on, images(36), images(20, seed=1), tmp_path).run(again)
    assert not any("relu2" in text for text in again.texts)


def test_within_a_long_epoch(tmp_path, monkeypatch):
    """It is told after these steps, and is in the checkpoints and the record of the epoch."""
    monkeypatch.setattr(loop, "LONG_STUCK", 2)
    monkeypatch.setattr(watch, "CLOSE", 0.5)
    training, told = started(tmp_path, epochs=1), Told()
    training.run(told)
    assert [text for text in told.texts if "for 2 steps" in text] == [training.history[0]["warnings"]["loss"]]


def test_a_run_that_learns_tells_nothing(tmp_path):
    told = Told()
    training = started(tmp_path, epochs=20, lr=0.02, dropout=0.0, schedule="constant")
    training.run(told)
    assert training.history[-1]["train_loss"] < 1.0
    assert told.texts == []
    assert outcome(training)["history"][-1]["dead_units"].keys() == {"relu1", "relu2", "relu3", "relu6", "relu7"}
