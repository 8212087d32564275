"""The trained net that comes with the package."""

import numpy as np

import tinyalex
from tinyalex.data.shapes import CLASSES, Shapes
from tinyalex.training.evaluate import augmenter_for, probabilities, scores
from tinyalex.training.settings import saved_settings
from tinyalex.weights import example
from tinyalex.weights.checkpoint import read, write


def test_it_knows_images_that_it_never_saw():
    loaded = tinyalex.load_example()
    assert loaded.classes == CLASSES
    val = Shapes(300, split="val", size=36)
    result = scores(probabilities(loaded.net, val, augmenter_for(loaded)), val.labels)
    assert result.top1_error < 0.08
    assert result.top5_error < 0.01


def test_it_says_how_it_was_made():
    loaded = tinyalex.load_example()
    settings = saved_settings(loaded)
    assert (settings.variant, settings.data, settings.epochs, settings.seed) == ("mini", "shapes", 30, 0)
    assert len(loaded.training["history"]) == 30
    assert loaded.velocity == {}


def test_it_is_small_and_of_the_nets_dtype():
    assert example.EXAMPLE.stat().st_size < 2_000_000
    net = tinyalex.load_example().net
    assert {w.dtype for w in net.params.values()} == {np.dtype("float32")}


def test_each_call_gives_a_net_of_its_own():
    one, two = tinyalex.load_example(), tinyalex.load_example()
    one.net.params["conv1.w"][...] = 0
    assert two.net.params["conv1.w"].any()


def test_it_is_what_a_run_left_rounded(tmp_path):
    left = tinyalex.load_example()
    left.velocity = {name: np.ones_like(w) for name, w in left.net.params.items()}
    for w in left.net.params.values():
        w += np.random.default_rng(0).normal(0, 0.01, w.shape).astype("float32")
    write(left, tmp_path / "run.npz")
    example.keep_as_example(tmp_path / "run.npz", tmp_path / "kept.npz")

    kept = read(tmp_path / "kept.npz")
    assert kept.velocity == {}
    assert (kept.classes, kept.training) == (left.classes, left.training)
    for name, w in left.net.params.items():
        assert kept.net.params[name].tobytes() == w.astype("float16").astype("float32").tobytes()
    assert (tmp_path / "kept.npz").stat().st_size < 0.26 * (tmp_path / "run.npz").stat().st_size
