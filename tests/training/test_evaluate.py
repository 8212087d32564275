"""Errors against plain loops, ten crops against crops cut by hand, and nets averaged."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from runs import TINY, images
from tinyalex import AlexNet
from tinyalex.data import Augmenter, pixel_statistics
from tinyalex.errors import CheckpointError, UsageError
from tinyalex.training.evaluate import augmenter_for, averaged, probabilities, scores, top_error
from tinyalex.weights.checkpoint import Checkpoint

# ---------------------------------------------------------------- errors


def credit(row, label, k):
    """What an image counts for: the classes that tie with the label share the places that the better ones leave."""
    better = sum(value > row[label] for value in row)
    tied = sum(value == row[label] for value in row)
    places = k - better
    if places <= 0:
        return 0.0
    return 1.0 if tied <= places else places / tied


@given(st.data())
def test_top_error_against_loops(data):
    classes, k = data.draw(st.integers(1, 8)), data.draw(st.integers(1, 6))
    count = data.draw(st.integers(1, 6))
    values = st.lists(st.sampled_from([0.0, 0.1, 0.2, 0.3]), min_size=classes, max_size=classes)
    p = [data.draw(values) for _ in range(count)]
    labels = [data.draw(st.integers(0, classes - 1)) for _ in range(count)]
    expected = 1 - sum(credit(row, label, k) for row, label in zip(p, labels, strict=True)) / count
    assert top_error(np.array(p), np.array(labels), k) == pytest.approx(expected, abs=1e-12)


@pytest.mark.parametrize("k", [1, 5])
def test_what_is_no_number_is_wrong(k):
    """A net that overflows gives NaN for every class."""
    p = np.full((3, 6), np.nan)
    p[2] = [0.5, 0.1, 0.1, 0.1, 0.1, 0.1]
    assert top_error(p, np.array([0, 5, 0]), k) == pytest.approx(2 / 3)


def test_errors_by_hand():
    """Six classes; the labels are 1st, 2nd, 5th and 6th of them."""
    p = np.array([[0.3, 0.25, 0.2, 0.15, 0.06, 0.04]] * 4)
    labels = np.array([0, 1, 4, 5])
    found = scores(p, labels)
    assert (found.top1_error, found.top5_error) == (0.75, 0.25)
    assert found.loss == pytest.approx(-(math.log(0.3) + math.log(0.25) + math.log(0.06) + math.log(0.04)) / 4)


def test_a_net_that_knows_nothing_is_right_by_chance_only():
    p = np.full((3, 10), 0.1)
    found = scores(p, np.array([0, 4, 9]))
    assert (found.top1_error, found.top5_error) == (pytest.approx(0.9), pytest.approx(0.5))
    assert found.loss == pytest.approx(math.log(10))


def test_a_probability_of_zero_has_a_finite_loss():
    p = np.array([[1.0, 0.0]], np.float32)
    assert 80 < scores(p, np.array([1])).loss < 100


# ---------------------------------------------------------------- probabilities


@pytest.fixture(scope="module")
def trained():
    """A net, its augmenter for crops of 16 in 21, and images of 21 x 21; logits far from 0."""
    data = images(7, size=21)
    net = AlexNet(TINY, num_classes=4, seed=1)
    net.params["fc8.w"] = net.params["fc8.w"] * 100
    return net, Augmenter(pixel_statistics(data), 16, pixel_scale=64.0), data


def by_hand(net, crop):
    """The softmax of one crop (16, 16, 3) already less its mean and scaled, in plain numbers."""
    logits = net.forward(crop.transpose(2, 0, 1)[None].astype(np.float32))[0].tolist()
    exps = [math.exp(value - max(logits)) for value in logits]
    return [value / sum(exps) for value in exps]


@pytest.mark.parametrize("batch", [1, 3, 100])
def test_centre_crops(trained, batch):
    net, augmenter, data = trained
    done = []
    p = probabilities(net, data, augmenter, batch=batch, progress=done.append)
    assert sum(done) == 7
    assert len(done) == math.ceil(7 / batch)
    mean = data.images.astype(np.float64).mean(axis=0)
    for image, found in zip(data.images, p, strict=True):
        crop = ((image - mean) / 64)[2:18, 2:18]
        np.testing.assert_allclose(found, by_hand(net, crop), rtol=1e-4, atol=1e-6)
    assert p.dtype == np.float32


def test_ten_crops_average_probabilities(trained):
    """Not logits: the two differ where a crop is surer than another."""
    net, augmenter, data = trained
    p = probabilities(net, data, augmenter, views="ten", batch=3)
    mean = data.images.astype(np.float64).mean(axis=0)
    spread = 0.0
    for image, found in zip(data.images, p, strict=True):
        less = (image - mean) / 64
        crops = [less[top : top + 16, left : left + 16] for top, left in [(0, 0), (0, 5), (5, 0), (5, 5), (2, 2)]]
        views = np.array([by_hand(net, view) for crop in crops for view in (crop, crop[:, ::-1])])
        np.testing.assert_allclose(found, views.mean(axis=0), rtol=1e-4, atol=1e-6)
        spread = max(spread, np.ptp(views, axis=0).max())
    assert spread > 0.05  # the views do differ


def test_unknown_views(trained):
    with pytest.raises(UsageError, match="got views 'nine'"):
        probabilities(*[trained[i] for i in (0, 2, 1)], views="nine")


def test_nets_are_averaged():
    first, second, third = np.array([[0.6, 0.4]]), np.array([[0.1, 0.9]]), np.array([[0.2, 0.8]])
    np.testing.assert_allclose(averaged([first, second, third]), [[0.3, 0.7]])
    assert averaged([first]).tolist() == first.tolist()
    with pytest.raises(UsageError, match=r"got nets with \[2, 3\] classes: expected the same number"):
        averaged([first, np.ones((1, 3)) / 3])


# ---------------------------------------------------------------- augmenters


def test_the_augmenter_is_that_of_the_net():
    net = AlexNet(TINY, num_classes=4, input_size=20)
    statistics = pixel_statistics(images(5, size=22))
    found = augmenter_for(Checkpoint(net, statistics=statistics), crops=False)
    assert (found.crop, found.margin, found.pixel_scale, found.crops, found.reflections) == (20, 2, 64.0, False, True)
    np.testing.assert_array_equal(found.mean, statistics.mean)


def test_a_net_without_its_mean_image():
    with pytest.raises(
        CheckpointError, match="got a checkpoint without a mean image: expected one that a training run"
    ):
        augmenter_for(Checkpoint(AlexNet(TINY, num_classes=4)))
