"""The training loop: its steps written out again, its schedules, what it refuses, and how it ends when it diverges."""

import json

import numpy as np
import pytest

import tinyalex
from runs import TINY, images, outcome, started
from tinyalex import AlexNet, spec
from tinyalex.backend import device_of
from tinyalex.data import Augmenter, batches, evaluation_batches, pixel_statistics
from tinyalex.data.loader import Batches
from tinyalex.errors import DivergenceError, UsageError
from tinyalex.training import evaluate, loop, validation
from tinyalex.training.evaluate import Scores
from tinyalex.training.loop import Progress, Training
from tinyalex.training.position import Position
from tinyalex.training.settings import saved_settings
from tinyalex.weights.checkpoint import read


@pytest.fixture(autouse=True)
def _tiny(monkeypatch):
    monkeypatch.setitem(spec.VARIANTS, "tiny", TINY)


def softmax(logits):
    exps = np.exp(logits - logits.max(axis=1, keepdims=True))
    return exps / exps.sum(axis=1, keepdims=True)


def test_a_run_is_the_loop_of_section_5(tmp_path):
    """36 images in batches of 8: 4 steps an epoch, the rate divided by 10 after the epochs 1 and 2."""
    training = started(tmp_path, seed=3, dropout=0.25, weight_decay=0.01, momentum=0.8)
    assert training.steps_left() == 12
    training.run()
    assert training.steps_left() == 0

    train, val = images(36), images(20, seed=1)
    net = AlexNet(TINY, num_classes=4, seed=3, dropout=0.25)
    v = {name: np.zeros_like(w) for name, w in net.params.items()}
    augmenter = Augmenter(pixel_statistics(train), 16, pixel_scale=64.0)
    for epoch, rate in enumerate([0.05, 0.005, 0.0005]):
        losses, wrong = [], []
        for x, labels in batches(train, augmenter, 8, seed=3, epoch=epoch):
            p = softmax(net.forward(x, train=True))
            losses += [-np.log(p[n, label]) for n, label in enumerate(labels)]
            wrong += [p[n].argmax() != label for n, label in enumerate(labels)]
            net.backward((p - np.eye(4, dtype=p.dtype)[labels]) / 8)
            for name, w in net.params.items():
                v[name] = 0.8 * v[name] - 0.01 * rate * w - rate * net.grads[name]
                net.params[name] = w + v[name]
        p = softmax(net.forward(augmenter.centre(val.images)))
        record = training.history[epoch]
        assert len(losses) == 32
        assert record["epoch"] == epoch + 1
        assert record["lr"] == pytest.approx(rate)
        assert record["train_loss"] == pytest.approx(np.mean(losses), rel=1e-4)
        assert record["train_top1_error"] == pytest.approx(np.mean(wrong))
        assert record["val_loss"] == pytest.approx(-np.log(p[range(20), val.labels]).mean(), rel=1e-4)
        assert record["val_top1_error"] == pytest.approx(np.mean(p.argmax(axis=1) != val.labels))
        assert record["val_top5_error"] == 0  # there are four classes
        assert record["images_per_s"] == pytest.approx(32 / record["seconds"])
    for name, w in net.params.items():
        np.testing.assert_allclose(training.net.params[name], w, rtol=1e-3, atol=1e-5)
    assert training.history[-1]["train_loss"] < 0.95 * training.history[0]["train_loss"]
    lines = (tmp_path / "history.jsonl").read_text().splitlines()
    assert [json.loads(line) for line in lines] == training.history


class Delayed(Batches):
    """Each batch is waited for a quarter of a second, or so it says."""

    def __next__(self):
        batch = super().__next__()
        self.arrived = getattr(self, "arrived", 0) + 1
        self.waited = self.arrived / 4
        return batch


def test_the_time_that_a_run_waits_for_images(tmp_path, monkeypatch):
    """In whole epochs and in one that is resumed: its record is of all its steps."""
    monkeypatch.setattr(loop, "batches", lambda *args, **given: Delayed(batches(*args, **given)))
    training = started(tmp_path, workers=2)
    training.position = Position(step=3, images=24, seconds=2.0, waited=0.75)
    training.run()
    assert [record["input_share"] * record["seconds"] for record in training.history] == pytest.approx([1.0, 1.0, 1.0])


@pytest.mark.parametrize("workers", [None, 3])
def test_a_run_prepares_batches_in_as_many_threads_as_its_settings_say(tmp_path, monkeypatch, workers):
    asked = []

    def noted(function):
        return lambda *args, **given: asked.append(given["workers"]) or function(*args, **given)

    monkeypatch.setattr(loop, "batches", noted(batches))
    monkeypatch.setattr(evaluate, "evaluation_batches", noted(evaluation_batches))
    started(tmp_path, epochs=1, workers=workers).run()
    assert asked == [workers, workers]


@pytest.mark.parametrize("given", [{"crops": False}, {"reflections": False}, {"colour": "off"}, {"zoom": 0.5}], ids=str)
def test_augmentation_is_by_the_settings(tmp_path, given):
    found = vars(started(tmp_path, **given).augmenter)
    usual = {"crops": True, "reflections": True, "colour": "paper", "zoom": 1.0, "crop": 16, "pixel_scale": 64.0}
    expected = usual | given
    assert {name: found[name] for name in expected} == expected


def test_the_net_is_by_the_settings(tmp_path):
    net = started(tmp_path, cross_columns=(2,), dropout=0.25, seed=7).net
    assert [net.params[name].shape for name in ("conv2.w", "conv3.w", "fc8.w")] == [(8, 8, 3, 3), (8, 4, 3, 3), (4, 16)]
    assert (net.layers["dropout6"].p, net.layers["dropout7"].p) == (0.25, 0.25)
    expected = np.random.default_rng(7).standard_normal(2, dtype="float32") * np.float32((2 / 27) ** 0.5)
    np.testing.assert_allclose(net.params["conv1.w"].ravel()[:2], expected, rtol=1e-6)


def test_a_net_begins_as_another_would(tmp_path):
    """conv1 and conv2 get what `mini` draws for them: N(0, 0.02**2) and N(0, 2 / fan-in); the others keep their own."""
    net = started(tmp_path, initial="mini", seed=7).net
    assert net.spec.name == "tiny"
    drawn = np.random.default_rng(7).standard_normal(2, dtype="float32")
    np.testing.assert_allclose(net.params["conv1.w"].ravel()[:2], 0.02 * drawn, rtol=1e-6)
    assert net.spec.layers["conv1"].kernels == 8
    assert net.spec.layers["fc8"].initial == spec.MINI.layers["fc8"].initial


def test_a_limited_run_measures_and_trains_on_its_images_only(tmp_path):
    training = started(tmp_path, limit=10, batch=4)
    first = images(36).images[:10].astype(np.float64)  # the classes come in turn, so the first ones of each
    assert len(training.train) == 10
    np.testing.assert_allclose(training.statistics.mean, first.mean(axis=0), rtol=1e-6)
    assert training.steps_left() == 3 * 2


@pytest.mark.parametrize(
    ("given", "rates"),
    [
        ({"schedule": "constant"}, [1, 1, 1, 1, 1, 1]),
        ({"drops": (1, 3)}, [1, 0.1, 0.1, 0.01, 0.01, 0.01]),
        ({"schedule": "linear"}, [1, 5 / 6, 4 / 6, 3 / 6, 2 / 6, 1 / 6]),
        # The rate is too low to change anything: after the first epoch no error is a new minimum.
        ({"schedule": "plateau", "patience": 1}, [1, 1, 0.1, 0.01, 0.001, 0.001]),
        ({"schedule": "plateau", "patience": 2}, [1, 1, 1, 0.1, 0.1, 0.01]),
        ({"schedule": "plateau", "patience": 1, "validate_every": 2}, [1, 1, 1, 1, 0.1, 0.1]),
    ],
)
def test_schedules(tmp_path, given, rates):
    training = started(tmp_path, epochs=6, lr=1e-12, limit=8, **given)
    training.run()
    assert [one["lr"] for one in training.history] == pytest.approx([1e-12 * rate for rate in rates], rel=1e-9)


def test_plateaus_are_of_the_validation_error(tmp_path, monkeypatch):
    """Patience 2: the fourth error is the second that is no new minimum, the eighth the second since the sixth."""
    errors = iter([0.5, 0.4, 0.4, 0.45, 0.42, 0.39, 0.39, 0.6, 0.3])
    monkeypatch.setattr(validation, "scores", lambda *_: Scores(1.0, next(errors), 0.0))
    training = started(tmp_path, epochs=9, schedule="plateau", patience=2, limit=8)
    training.run()
    rates = [1, 1, 1, 1, 0.1, 0.1, 0.1, 0.1, 0.01]
    assert [one["lr"] for one in training.history] == pytest.approx([0.05 * rate for rate in rates], rel=1e-9)


def test_validation_on_request_and_at_the_end(tmp_path):
    training = started(tmp_path, epochs=5, validate_every=2, limit=8)
    training.run()
    assert ["val_loss" in one for one in training.history] == [False, True, False, True, True]


def test_progress_is_told_of_every_step_and_epoch(tmp_path):
    told = []

    class Listening(Progress):
        def step(self, training, images):
            told.append((training.position.epoch, training.position.step, images, training.steps_left()))

        def epoch(self, training):
            told.append(len(training.history))

    started(tmp_path, epochs=2, batch=16, limit=34).run(Listening())
    assert told == [(0, 1, 16, 3), (0, 2, 16, 2), 1, (1, 1, 16, 1), (1, 2, 16, 0), 2]


# ---------------------------------------------------------------- runs that cannot start


@pytest.mark.parametrize(
    "given", [{"lr": -1.0}, {"momentum": 1.0}, {"dropout": 1.0}, {"colour": "sepia"}, {"limit": 37}]
)
def test_a_run_that_cannot_start_leaves_nothing(tmp_path, given):
    with pytest.raises(UsageError):
        started(tmp_path / "run", **given)
    assert not (tmp_path / "run").exists()


def test_a_folder_that_holds_a_run_is_refused(tmp_path):
    started(tmp_path)
    before = (tmp_path / "checkpoint.npz").read_bytes()
    with pytest.raises(UsageError, match="which holds a run: expected a new folder; use --resume"):
        started(tmp_path, seed=1)
    assert (tmp_path / "checkpoint.npz").read_bytes() == before


# ---------------------------------------------------------------- the loss leaves the numbers


@pytest.mark.parametrize("kernel", ["numba", "reference"])
def test_divergence_leaves_the_last_good_checkpoint(tmp_path, kernel):
    training = started(tmp_path, epochs=2, schedule="constant", save_every=1000)
    training.run()
    before = outcome(training), (tmp_path / "checkpoint.npz").read_bytes()

    checkpoint = read(tmp_path / "checkpoint.npz")
    saved = checkpoint.training["settings"]
    saved["lr"], saved["epochs"] = 1e30, 9
    with tinyalex.backend.use_kernels(kernel), pytest.raises(DivergenceError) as raised:
        Training.resume(checkpoint, saved_settings(checkpoint), images(36), images(20, seed=1), tmp_path).run()
    assert "\n" not in str(raised.value)
    assert str(raised.value).startswith("got a loss of ")
    assert "in epoch 3, step 2: expected finite numbers; use a lower learning rate" in str(raised.value)
    assert str(raised.value).endswith(f"{tmp_path / 'checkpoint.npz'} holds the last good state")
    assert (tmp_path / "checkpoint.npz").read_bytes() == before[1]
    *_, last = map(json.loads, (tmp_path / "history.jsonl").read_text().splitlines())
    assert last == {"epoch": 3, "step": 2, "diverged": str(raised.value)}

    checkpoint = read(tmp_path / "checkpoint.npz")
    assert all(np.isfinite(w).all() for w in checkpoint.net.params.values())
    assert (
        outcome(Training.resume(checkpoint, saved_settings(checkpoint), images(36), images(20, seed=1), tmp_path))
        == before[0]
    )


def test_parameters_that_are_not_finite_are_not_saved(tmp_path):
    training = started(tmp_path)
    before = (tmp_path / "checkpoint.npz").read_bytes()
    training.net.params["fc7.w"][3, 5] = np.inf
    with pytest.raises(DivergenceError, match=r"NaN or infinity in fc7\.w in epoch 1, step 1: expected finite"):
        training.save()
    assert (tmp_path / "checkpoint.npz").read_bytes() == before


def test_a_net_on_a_gpu_gets_its_images_there(tmp_path, gpu, monkeypatch):
    """In training and in validation: they were copied as bytes."""
    training, devices, forward = started(tmp_path, devices=gpu.two[:1], epochs=1), [], AlexNet.forward

    def watched(net, x, **given):
        devices.append(device_of(x))
        return forward(net, x, **given)

    monkeypatch.setattr(AlexNet, "forward", watched)
    training.run()
    assert len(devices) > 4
    assert set(devices) == {gpu.two[0]}
