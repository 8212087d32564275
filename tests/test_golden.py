"""Nets and training against numbers that PyTorch computed in float64; see golden/make_golden.py for how.

In float64 the two agree to some 1e-15, so that 1e-9 leaves room for any machine. In float32 rounding alone changes a
loss or a logit by some 5e-7. But where a unit lies so near a kink (a ReLU at 0, two equal maxima of a pool) that
rounding takes it to the other side, a gradient changes by up to 5e-3 of its largest entry, and each further step of
training multiplies the difference by about three: with eight other sets of images the first losses differed by up to
3e-7, the last by up to 1e-2. Hence the two tolerances. Winograd's convolution rounds ten times as coarsely as the
direct sum, and meets such a kink sooner: with it the first losses have to agree to 1e-4 only.
"""

import functools
import json
import runpy
from pathlib import Path

import numpy as np
import pytest

from tinyalex import SGD, AlexNet

FOLDER = Path(__file__).parent / "golden"
GOLDEN = json.loads((FOLDER / "golden.json").read_text())
INPUTS = runpy.run_path(str(FOLDER / "inputs.py"))


def ten_steps(dropout, dtype):
    """The loss before each step and, as the eleventh number, that of the first batch after them, as when testing."""
    net = AlexNet("mini", num_classes=10, seed=0, dtype=dtype, dropout=dropout)
    optimizer = SGD(net, lr=0.01, momentum=0.9, weight_decay=0.0005)
    batches = [(x.astype(dtype), labels) for x, labels in INPUTS["training_batches"]()]
    losses = []
    for x, labels in batches:
        losses.append(net.loss(x, labels, train=True))
        net.backward(net.criterion.backward())
        optimizer.step()
    return [*losses, net.loss(*batches[0])]


@pytest.mark.parametrize(("kind", "dropout"), [("plain", 0.0), ("dropout", 0.5)])
@pytest.mark.parametrize(
    ("algorithm", "dtype", "first", "all_of_them"),
    [
        ("direct", "float64", 1e-9, 1e-9),
        ("direct", "float32", 1e-5, 3e-2),
        ("winograd", "float64", 1e-9, 1e-9),
        ("winograd", "float32", 1e-4, 3e-2),
    ],
)
def test_ten_steps_of_mini_give_the_stored_losses(monkeypatch, kind, dropout, algorithm, dtype, first, all_of_them):
    if algorithm == "direct":
        monkeypatch.setattr("tinyalex.backend.cpu.winograd.plan", lambda *_: None)
    stored = GOLDEN["mini"][kind]
    found, expected = ten_steps(dropout, dtype), [*stored["losses"], stored["tested"]]
    np.testing.assert_allclose(found[:3], expected[:3], rtol=first)
    np.testing.assert_allclose(found, expected, rtol=all_of_them)


def test_the_stored_losses_fall():
    assert all(GOLDEN["mini"][kind]["losses"][-1] < 0.9 * GOLDEN["mini"][kind]["losses"][0] for kind in GOLDEN["mini"])


@functools.lru_cache(maxsize=1)  # a net in float64 fills half a gigabyte, its gradients as much again
def one_pass(variant, dtype):
    """The net after a forward and a backward of two images, its loss and its logits."""
    net = AlexNet(variant, num_classes=1000, seed=0, dtype=dtype, dropout=0.0)
    x, labels = INPUTS["two_images"](64 if variant == "torchvision" else 1)
    logits = net.forward(x.astype(dtype), train=True)
    loss = net.criterion.forward(logits, labels)
    net.backward(net.criterion.backward(), input_gradient=False)
    return net, loss, logits


@pytest.mark.parametrize(
    ("variant", "dtype", "forward", "backward"),
    [
        ("paper", "float32", 3e-6, 1e-2),
        ("paper", "float64", 1e-9, 1e-9),
        ("cuda-convnet", "float64", 1e-9, 1e-9),
        ("torchvision", "float64", 1e-9, 1e-9),
    ],
)
def test_full_size_nets_give_the_stored_logits_and_gradients(variant, dtype, forward, backward):
    net, loss, logits = one_pass(variant, dtype)
    stored = GOLDEN[variant]
    assert loss == pytest.approx(stored["loss"], rel=forward)
    for k, values in stored["logits"].items():
        np.testing.assert_allclose(logits[:, int(k)], values, rtol=0, atol=forward * np.abs(logits).max())
    assert list(net.grads) == list(stored["grads"])
    for name, digest in stored["grads"].items():
        grad = net.grads[name]
        assert grad.dtype == dtype
        largest = abs(digest["entries"][0][1])
        for index, value in digest["entries"]:
            assert grad[tuple(index)] == pytest.approx(value, abs=backward * largest), name
        assert np.linalg.norm(grad.ravel()) == pytest.approx(digest["norm"], rel=backward), name
        # A sum of n entries that are each wrong by a share e of the norm / sqrt(n) is wrong by at most e sqrt(n) norm.
        slack = backward * digest["norm"] * grad.size**0.5
        assert grad.sum(dtype="float64") == pytest.approx(digest["sum"], abs=slack), name
