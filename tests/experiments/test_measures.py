"""What is measured of finished runs."""

from pathlib import Path

import numpy as np
import pytest

from runs import TINY, images
from tinyalex import spec
from tinyalex.experiments.measures import (
    BY_FEATURES,
    BY_PIXELS,
    CHANCE_GAP,
    COLOUR_GAP,
    EPOCHS,
    ERROR,
    TRAIN_ERROR,
    Finished,
    colourfulness,
    gap,
    gap_by_chance,
)
from tinyalex.experiments.store import RunRecord
from tinyalex.experiments.trial import Trial
from tinyalex.training.settings import settings_for


@pytest.fixture(autouse=True)
def tiny(monkeypatch):
    monkeypatch.setitem(spec.VARIANTS, "tiny", TINY)


def ended(errors, diverged=None):
    """A run of 9 epochs at most, which ends at a training error of 25 %."""
    trial = Trial(TINY, settings_for("tiny", data="patterns", epochs=9), goal=0.25)
    record = RunRecord("key", 0, {}, errors, 1.0, diverged)
    return Finished(record, trial, Path("none"), images(36), images(20, seed=1))


def test_colourfulness_is_what_is_not_grey(rng):
    grey = rng.normal(size=(1, 1, 3, 3)).repeat(3, axis=1)
    colour = rng.normal(size=(1, 3, 3, 3))
    colour -= colour.mean(axis=1, keepdims=True)
    red = np.zeros((1, 3, 2, 2))
    red[:, 0] = 1
    assert colourfulness(grey) == pytest.approx([0])
    assert colourfulness(colour) == pytest.approx([1])
    assert colourfulness(red) == pytest.approx([2 / 3])
    mixed = (grey / np.linalg.norm(grey) + colour / np.linalg.norm(colour)).astype(np.float16)
    assert colourfulness(mixed) == pytest.approx([0.5], abs=0.01)
    assert gap(np.concatenate([grey, grey, colour, grey])) == pytest.approx([0.5])
    assert gap(np.concatenate([colour, grey, grey, colour])) == pytest.approx([0])
    assert gap_by_chance(np.concatenate([grey, grey, colour, grey])) == pytest.approx([0.5])  # however they are split
    of_three = gap_by_chance(np.concatenate([grey, grey, colour, colour]))  # of three splits one has the gap 1
    assert of_three == pytest.approx([1 / 3], abs=0.05)


@pytest.mark.parametrize(
    ("errors", "epochs"),
    [
        ([0.6, 0.4, 0.25], 3),
        ([0.6, 0.45, 0.05], 2.5),
        ([0.2], 1),
        ([0.9, 0.8, 0.7, 0.6, 0.6, 0.5, 0.5, 0.4, 0.4], 9),  # at least: it never came so far
    ],
)
def test_epochs_to_the_goal(errors, epochs):
    assert EPOCHS.make([ended(errors)]) == pytest.approx([epochs])


def test_a_run_that_diverged_has_nothing_right():
    run = ended([0.9], diverged="got NaN")
    assert ERROR.make([run]).tolist() == [1] * 20
    assert TRAIN_ERROR.make([run]).tolist() == [1] * 36
    assert BY_FEATURES.read(BY_FEATURES.make([run])).tolist() == [1] * 20
    assert COLOUR_GAP.read(COLOUR_GAP.make([run])) == CHANCE_GAP.make([run]) == [0]
    for errors in ([], [0.2]):
        assert EPOCHS.make([ended(errors, diverged="got NaN")]) == [9], "never the fewest"


def test_neighbours_by_pixels():
    """The patterns of a class are near to each other: by hand, the six nearest of all training images."""
    run = ended([])
    queries = np.random.default_rng(0).permutation(20)
    train, val = (one.images.reshape(len(one), -1).astype(float) for one in (run.train, run.val))
    expected = []
    for query in queries:
        nearest = np.argsort(np.linalg.norm(train - val[query], axis=1))[:6]
        expected.append((run.train.labels[nearest] != run.val.labels[query]).sum())
    assert BY_PIXELS.make([run]).tolist() == expected
