"""A new last layer: the net below is the old one, the features are those of each view, training is by the rule."""

import math
from dataclasses import replace

import numpy as np
import pytest

from runs import TINY, images
from tinyalex import AlexNet
from tinyalex.data import PixelStatistics
from tinyalex.errors import CheckpointError, DivergenceError, UsageError
from tinyalex.layers.loss import softmax
from tinyalex.training import head as module
from tinyalex.training.evaluate import augmenter_for
from tinyalex.training.head import Head, HeadSettings, head_of, view_features, with_new_head
from tinyalex.weights.checkpoint import Checkpoint, read, write

MEAN = np.random.default_rng(0).uniform(100, 150, (18, 18, 3)).astype("float32")
STATISTICS = PixelStatistics(MEAN, np.ones(3), np.eye(3))


def trained(**settings):
    net = AlexNet(TINY, **{"num_classes": 6, "seed": 3, **settings})
    return Checkpoint(net, tuple("abcdef"), STATISTICS)


def pixels_in(net, count=3):
    return np.random.default_rng(1).normal(size=(count, 3, net.input_size, net.input_size)).astype(net.dtype)


@pytest.mark.parametrize(
    ("layer", "above"),
    [
        ("relu7", ["fc8"]),
        ("dropout6", ["fc7"]),
        ("fc6", ["fc7"]),
        ("flatten", ["fc4"]),
        ("pool3", ["flatten", "fc4"]),
        ("norm1", ["flatten", "fc2"]),
        ("fc8", ["fc9"]),
    ],
)
def test_the_net_below_is_the_old_one(layer, above):
    old = trained(dtype="float64", dropout=0.25)
    x = pixels_in(old.net)
    before = {name: array.copy() for name, array in old.net.params.items()}
    new = with_new_head(old, layer, tuple("xyz"))
    names = list(old.net.layers)
    assert list(new.net.layers) == [*names[: names.index(layer) + 1], *above]
    assert head_of(new.net) == above[-1]
    np.testing.assert_array_equal(new.net.forward(x, upto=layer), old.net.forward(x, upto=layer))
    assert new.net.forward(x).tolist() == np.zeros((3, 3)).tolist()
    assert (new.net.dtype, new.net.dropout, new.classes, new.statistics) == ("float64", 0.25, tuple("xyz"), STATISTICS)
    for name in new.net.params:
        new.net.params[name][...] = 7
    for name, array in before.items():
        np.testing.assert_array_equal(old.net.params[name], array)


def test_it_goes_into_a_file(tmp_path):
    """The net of a net that had none of the usual layers left is a checkpoint like any other."""
    new = with_new_head(trained(), "relu1", ("one", "two"))
    write(new, tmp_path / "net.npz")
    found = read(tmp_path / "net.npz")
    assert (found.classes, found.net.spec) == (("one", "two"), new.net.spec)
    x = pixels_in(new.net)
    np.testing.assert_array_equal(found.net.forward(x), new.net.forward(x))


def test_layers_that_the_net_does_not_have():
    with pytest.raises(UsageError, match=r"got features=fc9: expected one of conv1, .*, fc8$"):
        with_new_head(trained(), "fc9", ("x",))


@pytest.mark.parametrize(
    ("missing", "layer", "advice"),
    [
        (("fc6.w",), "relu7", "use --features pool3"),
        (("fc6.w", "fc7.w"), "fc6", "use --features pool3"),
        (("fc7.b",), "fc8", "use --features dropout6"),
        (("conv1.w",), "pool3", "use a file that has them"),
    ],
)
def test_a_part_of_a_net(missing, layer, advice):
    part = replace(trained(), missing=missing)
    with pytest.raises(CheckpointError, match=f"without {missing[0]}.* up to {layer}; {advice}$"):
        with_new_head(part, layer, ("x", "y"))
    if "--features" in advice:
        assert with_new_head(part, advice.split()[-1], ("x", "y")).missing == ()


@pytest.mark.parametrize(("views", "V"), [("centre", 1), ("ten", 10)])
def test_features_of_each_view(monkeypatch, views, V):
    """Image by image, in batches that do not come out even; dropout is off."""
    monkeypatch.setattr(module, "CROPS", 20)
    new = with_new_head(trained(), "dropout6", tuple("xy"))
    augmenter, data, done = augmenter_for(new), images(25), []
    found = view_features(new.net, augmenter, data, views, done.append)
    assert (found.shape, found.dtype, sum(done)) == ((25, V, 16), np.float32, 25)
    for number in range(25):
        image = data.images[[number]]
        crops = augmenter.ten_crops(image)[0] if V == 10 else augmenter.centre(image)
        np.testing.assert_allclose(found[number], new.net.forward(crops, upto="dropout6"), rtol=1e-5, atol=1e-6)


def test_features_that_are_too_many(monkeypatch):
    monkeypatch.setattr(module, "MEMORY", 25 * 10 * 16 * 4 - 1)
    new = with_new_head(trained(), "relu7", tuple("xy"))
    with pytest.raises(UsageError, match=r"got 25 images: the features of 10 views .*use --views centre, --limit or"):
        view_features(new.net, augmenter_for(new), images(25), "ten")
    assert view_features(new.net, augmenter_for(new), images(25)).shape == (25, 1, 16)


def test_features_that_are_not_finite():
    new = with_new_head(trained(), "relu7", tuple("xy"))
    new.net.params["fc7.b"][0] = np.inf
    with pytest.raises(CheckpointError, match="NaN or infinity"):
        view_features(new.net, augmenter_for(new), images(3))


# ---------------------------------------------------------------- training


def clouds(N=30, V=2, K=3, D=5, scale=100.0):
    """Features around a point for each class, far from zero: (N, V, D) float64 and labels (N,)."""
    rng = np.random.default_rng(5)
    labels = np.arange(N) % K
    return scale * (3 + rng.normal(size=(K, D))[labels][:, None] + rng.normal(0, 0.3, (N, V, D))), labels


def by_the_rule(x, labels, K, settings, view):
    """The paper's rule on z, for one batch an epoch -> w (K, D), b (K,) for x, and the loss of each epoch."""
    (N, _, D), mean = x.shape, x.mean(axis=(0, 1))
    size = np.sqrt(((x - mean) ** 2).sum(axis=2).mean())
    params, losses = np.zeros((K, D + 1)), []
    velocity = np.zeros_like(params)
    for epoch in range(settings.epochs):
        lr = settings.lr * (0.1 if epoch >= 3 else 1) * (0.1 if epoch >= 4 else 1)  # 0.6 and 0.85 of 5 epochs
        z = np.concatenate([(x[np.arange(N), view[epoch]] - mean) / size, np.ones((N, 1))], axis=1)
        p = softmax(z @ params.T)
        losses.append(-np.log(p[np.arange(N), labels]).mean())
        gradient = (p - np.eye(K)[labels]).T @ z / N
        velocity = settings.momentum * velocity - lr * (gradient + settings.weight_decay * params)
        params = params + velocity
    w = params[:, :D] / size
    return w, params[:, D] - w @ mean, losses


def test_training_is_the_rule_on_scaled_features():
    x, labels = clouds(V=1)
    settings = HeadSettings(epochs=5, batch=30, lr=0.7, weight_decay=0.1)
    head = Head(x, labels, 3, settings)
    records = list(head.epochs(x[:, 0], labels))
    w, b, losses = by_the_rule(x, labels, 3, settings, np.zeros((5, 30), int))
    np.testing.assert_allclose(head.parameters[0], w, rtol=1e-9)
    np.testing.assert_allclose(head.parameters[1], b, rtol=1e-9)
    assert [record["train_loss"] for record in records] == pytest.approx(losses)
    assert [record["lr"] for record in records] == pytest.approx([0.7, 0.7, 0.7, 0.07, 0.007])
    p = softmax(x[:, 0] @ w.T + b)
    assert records[-1]["val_loss"] == pytest.approx(-np.log(p[np.arange(30), labels]).mean())
    assert records[-1]["val_top1_error"] == pytest.approx(np.mean(p.argmax(axis=1) != labels))


def test_the_scale_of_the_features_does_not_matter():
    """One rate suits large and small features: the logits are the same."""
    found = []
    for scale in (1e-3, 1e4):
        x, labels = clouds(scale=scale)
        head = Head(x, labels, 3, HeadSettings(epochs=10))
        errors = [record["train_loss"] for record in head.epochs(x[:, 0], labels)]
        assert errors[-1] < 0.6 * errors[0]
        w, b = head.parameters
        found.append(x[:, 0] @ w.T + b)
    np.testing.assert_allclose(*found, rtol=1e-6, atol=1e-9)


def test_an_epoch_is_each_image_in_one_of_its_views():
    """Views that differ all over: what was seen is written down by the layer itself."""
    x = np.arange(7 * 3, dtype=float).reshape(7, 3, 1)
    head = Head(x, np.arange(7) % 2, 2, HeadSettings(epochs=3, batch=3))
    seen, forward = [], head._linear.forward
    head._linear.forward = lambda z, train: seen.append(z * head.size + head.mean) or forward(z, train=train)
    list(head.epochs(x[:, 0], np.arange(7) % 2))
    assert [len(z) for z in seen] == [3, 2, 2] * 3
    epochs = [np.rint(np.concatenate(seen[i : i + 3])).astype(int).ravel() for i in (0, 3, 6)]
    for one in epochs:
        assert sorted(one // 3) == list(range(7))
    assert set(np.concatenate(epochs) % 3) == {0, 1, 2}
    assert len({tuple(one) for one in epochs}) == 3


def test_the_seed_decides():
    x, labels = clouds()

    def trained_with(seed):
        head = Head(x, labels, 3, HeadSettings(epochs=2, batch=8, seed=seed))
        list(head.epochs(x[:, 0], labels))
        return head.parameters[0].tobytes()

    assert trained_with(1) == trained_with(1) != trained_with(2)


def test_features_that_are_all_the_same():
    """Nothing is divided by zero."""
    x, labels = np.full((6, 1, 4), 2.0, "float32"), np.arange(6) % 2
    head = Head(x, labels, 2, HeadSettings(epochs=2, batch=6))
    assert [record["train_loss"] for record in head.epochs(x[:, 0], labels)] == pytest.approx([np.log(2)] * 2)
    assert all(array.dtype == "float32" for array in head.parameters)


@np.errstate(all="ignore")
def test_a_rate_that_is_too_high():
    x, labels = clouds()
    with pytest.raises(
        DivergenceError, match=r"got a loss of .* in epoch .*: expected finite numbers; use a lower --lr"
    ):
        list(Head(x, labels, 3, HeadSettings(lr=1e300)).epochs(x[:, 0], labels))


@pytest.mark.parametrize(
    "given",
    [
        {"epochs": 0},
        {"batch": 0},
        {"seed": -1},
        {"lr": -1.0},
        {"lr": math.nan},
        {"lr": math.inf},
        {"momentum": 1.0},
        {"weight_decay": -1e-4},
    ],
)
def test_settings_out_of_range(given):
    with pytest.raises(UsageError, match=f"got {next(iter(given))}="):
        HeadSettings(**given)
