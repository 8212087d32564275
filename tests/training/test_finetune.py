"""Fine-tuning: the layers below keep their bytes, or move a little with --whole; what is left in the folder."""

import json
from dataclasses import replace

import numpy as np
import pytest

from runs import TINY, images
from tinyalex import AlexNet
from tinyalex.data import PixelStatistics, Subset
from tinyalex.errors import CheckpointError, DivergenceError, UsageError
from tinyalex.training.evaluate import augmenter_for, probabilities, scores
from tinyalex.training.finetune import FineTuning, Settings
from tinyalex.training.head import HeadSettings, head_of
from tinyalex.training.saves import BEST, CHECKPOINT, PREVIOUS, read_newest
from tinyalex.weights.checkpoint import Checkpoint, read

MEAN = np.random.default_rng(0).uniform(100, 150, (18, 18, 3)).astype("float32")
HEAD = HeadSettings(epochs=6, batch=12, lr=3.0)


def trained():
    net = AlexNet(TINY, num_classes=6, seed=3)
    return Checkpoint(net, tuple("abcdef"), PixelStatistics(MEAN, np.ones(3), np.eye(3)))


def tuning(**settings):
    return FineTuning(trained(), images(36), images(20, seed=1), Settings(**{"head": HEAD, **settings}))


def test_the_layers_below_keep_their_bytes(tmp_path):
    begun = tuning(features="pool3")
    below = {name: array.tobytes() for name, array in begun.net.params.items() if name[:3] != "fc4"}
    told = []
    begun.run(tmp_path, told=told.append)
    assert len(below) == 6
    for name, array in below.items():
        assert begun.net.params[name].tobytes() == array, name
    assert told == begun.history
    assert [record["epoch"] for record in told] == [1, 2, 3, 4, 5, 6]
    assert told[-1]["train_loss"] < 0.5 * told[0]["train_loss"]
    assert told[-1]["val_top1_error"] < 0.3  # of four classes


def test_what_the_history_says_is_so_of_the_net_in_the_folder(tmp_path):
    """The new layer was trained on scaled features; the net reads them as they are."""
    begun = tuning()
    begun.run(tmp_path)
    found, _ = read_newest(tmp_path, pytest.fail)
    assert found.classes == ("class0", "class1", "class2", "class3")
    val = begun.val
    p = probabilities(found.net, val, augmenter_for(found))
    last = json.loads((tmp_path / "history.jsonl").read_text().splitlines()[-1])
    measured = scores(p, val.labels)
    assert measured.loss == pytest.approx(last["val_loss"], rel=1e-4)
    assert measured.top1_error == last["val_top1_error"]
    assert (tmp_path / BEST).exists()


def test_all_layers_learn_afterwards(tmp_path):
    begun = tuning(features="pool3", whole=3, below=0.02)
    before = {name: array.copy() for name, array in begun.net.params.items()}
    begun.run(tmp_path)
    assert [record["epoch"] for record in begun.history] == list(range(1, 10))
    head = head_of(begun.net)
    for name, array in before.items():
        assert (begun.net.params[name] != array).any(), name
    assert begun.history[-1]["lr"] == 0.02 * 0.05  # a fiftieth of the rate of tiny's recipe
    ends = [read(tmp_path / name).net for name in (PREVIOUS, CHECKPOINT)]
    step = max(np.abs(ends[0].params[name] - ends[1].params[name]).max() for name in before if head not in name)
    assert 0 < step < 0.1
    assert begun.history[-1]["train_loss"] < 1.2 * begun.history[5]["train_loss"]


def test_the_rates_of_all_layers():
    """The new layer goes on at its own rate: lr for z = x / size is lr / size**2 for x, here lr / 400."""
    begun = tuning(whole=1)
    begun.history.append({"lr": 0.03})
    sgd = begun._optimizer(400.0)
    before = {name: array.copy() for name, array in begun.net.params.items()}
    for layer in begun.net.layers.values():
        layer.grads = {key: np.ones_like(array) for key, array in layer.params.items()}
    sgd.step()
    for name, array in before.items():
        rate = 0.03 / 400 if name.startswith("fc8") else 0.1 * 0.05
        np.testing.assert_allclose(array - begun.net.params[name], rate * (1 + 0.0005 * array), rtol=1e-3)


def test_the_best_is_kept(tmp_path, monkeypatch):
    begun = tuning(whole=3)
    errors = iter([0.5, 0.1, 0.3])
    epoch = begun._whole_epoch
    monkeypatch.setattr(begun, "_whole_epoch", lambda *given: epoch(*given) | {"val_top1_error": next(errors)})
    monkeypatch.setattr(begun, "_train_head", lambda *_: begun._note({"val_top1_error": 0.2, "lr": 1.0}, str) or 1.0)
    monkeypatch.setattr(begun, "settings", replace(begun.settings, head=replace(HEAD, epochs=1)))
    kept = []
    begun.run(tmp_path, told=lambda _: kept.append((tmp_path / BEST).read_bytes()))
    best = (tmp_path / BEST).read_bytes()
    assert kept[0] == kept[1] != best  # the new layer alone was better than the first epoch; the second was the best
    assert best != (tmp_path / CHECKPOINT).read_bytes()
    assert best == (tmp_path / PREVIOUS).read_bytes()


def test_the_same_again(tmp_path):
    found = []
    for run in "ab":
        begun = tuning(whole=1)
        (tmp_path / run).mkdir()
        begun.run(tmp_path / run)
        found.append({name: array.tobytes() for name, array in begun.net.params.items()})
    assert found[0] == found[1]


def test_a_limit():
    assert np.bincount(tuning(limit=8).train.labels).tolist() == [2, 2, 2, 2]


def test_classes_without_images():
    with pytest.raises(UsageError, match="got 3 training images, of 3 out of 4 classes: expected images of each class"):
        tuning(limit=3)
    one = images(8, classes=1)
    with pytest.raises(UsageError, match=r"of 1 out of 1 classes: .* two classes or more"):
        FineTuning(trained(), one, one, Settings())


def test_a_folder_that_holds_a_run(tmp_path):
    tuning().run(tmp_path)
    with pytest.raises(UsageError, match="which holds a run: expected a new folder; use another --out"):
        tuning().run(tmp_path)


@np.errstate(all="ignore")
def test_a_rate_below_that_is_too_high(tmp_path):
    begun = tuning(whole=5, below=1e30)
    with pytest.raises(DivergenceError, match=r"in epoch [78]: expected finite numbers"):
        begun.run(tmp_path)
    assert np.isfinite(read(tmp_path / CHECKPOINT).net.params["conv1.w"]).all()
    assert len((tmp_path / "history.jsonl").read_text().splitlines()) == 6


def test_a_last_step_that_is_too_far_keeps_the_net_before_it(tmp_path):
    """One step an epoch: its own loss is fine, that of validation is not."""
    begun = tuning(whole=1, below=1e30, head=replace(HEAD, batch=36))
    with pytest.raises(DivergenceError, match=r"in epoch 7: expected finite numbers"):
        begun.run(tmp_path)
    assert np.isfinite(read(tmp_path / CHECKPOINT).net.params["conv1.w"]).all()


def test_features_that_are_all_0_are_refused(tmp_path):
    begun = tuning(whole=1)
    for name, array in begun.net.params.items():
        array[:] = -1 if name.endswith("b") else 0  # so every unit is dead
    with pytest.raises(CheckpointError, match="that are all 0: expected a layer with a signal; use --features"):
        begun.run(tmp_path)


@pytest.mark.parametrize("given", [{"whole": -1}, {"below": 0.0}, {"below": float("nan")}])
def test_settings_out_of_range(given):
    with pytest.raises(UsageError, match="got whole="):
        Settings(**given)


def test_images_as_a_part_of_a_set(tmp_path):
    """A data set of any kind will do."""
    data = images(40)
    begun = FineTuning(
        trained(), Subset(data, np.arange(24)), Subset(data, np.arange(24, 40)), Settings(head=HEAD, views="centre")
    )
    begun.run(tmp_path)
    assert begun.history[-1]["val_top1_error"] < 0.3
