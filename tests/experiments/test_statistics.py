"""Differences paired by image and seed, their intervals, and verdicts."""

import numpy as np
import pytest

from tinyalex.experiments.statistics import Effect, effect, interval


def wrong(rng, share, seeds, images):
    return (rng.random((seeds, images)) < share).astype(float)


def test_the_difference_is_that_of_the_means(rng):
    of, against = wrong(rng, 0.2, 3, 50), wrong(rng, 0.3, 3, 50)
    found = effect(of, against)
    assert found.difference == pytest.approx(of.mean() - against.mean())
    assert found.by_seed == pytest.approx(of.mean(axis=1) - against.mean(axis=1))
    assert found.over == "seeds and images"
    assert found == effect(of, against)  # the draws are seeded


def test_the_interval_of_a_mean_is_as_long_as_theory_says(rng):
    values = rng.normal(5, 2, 400)
    low, high = interval(values[None], rng)
    error = values.std() / 20
    assert low == pytest.approx(values.mean() - 1.96 * error, abs=0.15 * error)
    assert high == pytest.approx(values.mean() + 1.96 * error, abs=0.15 * error)


def test_the_interval_covers_the_truth_as_often_as_it_says(rng):
    inside = 0
    for seed in range(60):
        found = effect(wrong(rng, 0.3, 2, 300), wrong(rng, 0.4, 2, 300), seed=seed)
        inside += found.low <= -0.1 <= found.high
    assert 52 <= inside <= 60


def test_pairing_by_image_makes_the_interval_short(rng):
    hard = wrong(rng, 0.3, 1, 500)
    better = hard * (rng.random(hard.shape) > 0.1)  # right on a few images more
    paired, unpaired = effect(better, hard), effect(better, rng.permuted(hard, axis=1))
    assert paired.high - paired.low < 0.5 * (unpaired.high - unpaired.low)
    assert paired.high < 0


def test_images_are_drawn_for_all_seeds_together(rng):
    """Three seeds that say the same of each image are no more than one."""
    of, against = wrong(rng, 0.3, 1, 300), wrong(rng, 0.35, 1, 300)
    one, three = effect(of, against), effect(of.repeat(3, 0), against.repeat(3, 0))
    assert (three.low, three.high) == pytest.approx((one.low, one.high), abs=0.01)


def test_seeds_that_disagree_make_the_interval_long(rng):
    """Many images cannot say what another run would give: here runs differ by 0.1, and images by nothing."""
    rows = np.array([0.2, 0.3, 0.4, 0.3, 0.2, 0.4, 0.3, 0.3])[:, None].repeat(1000, axis=1)
    low, high = interval(rows, rng)
    error = rows[:, 0].std() / np.sqrt(8)
    assert low == pytest.approx(0.3 - 1.96 * error, abs=0.3 * error)
    assert high == pytest.approx(0.3 + 1.96 * error, abs=0.3 * error)


def test_one_row_stands_for_all_seeds(rng):
    """Five nets averaged give one row, each of them another."""
    found = effect(wrong(rng, 0.2, 1, 40), wrong(rng, 0.3, 5, 40))
    assert len(found.by_seed) == 5


def test_single_values_are_drawn_by_seed_and_ratios_are_logarithms():
    found = effect(np.array([[2.0], [4.0], [3.0]]), np.array([[8.0], [8.0], [12.0]]), ratio=True)
    assert found.over == "seeds"
    assert np.exp(found.by_seed) == pytest.approx([1 / 4, 1 / 2, 1 / 4])
    assert np.exp(found.low) == pytest.approx(1 / 4)
    assert np.exp(found.high) == pytest.approx(1 / 2)


@pytest.mark.parametrize(
    ("low", "high", "by_seed", "over", "sign", "verdict"),
    [
        (-3, -1, (-2, -1, -3), "seeds and images", -1, "same sign"),
        (-3, -1, (-2, -1, -3), "seeds and images", 1, "other sign"),
        (1, 3, (2, 1, 3), "seeds and images", 1, "same sign"),
        (1, 3, (2, 1, 3), "seeds and images", -1, "other sign"),
        (-3, -1, (-2, -2, -1), "seeds and images", None, "lower"),
        (1, 3, (2, 2, 1), "seeds and images", None, "higher"),
        (-3, 0.5, (-2, -1, -1), "seeds and images", -1, "not told apart"),  # 0 is inside
        (-3, -1, (-5, -5, 1), "seeds and images", -1, "not told apart"),  # a seed says otherwise
        (-3, -1, (-3, -3, 0), "seeds and images", -1, "not told apart"),
        (-3, -1, (-2, -2), "seeds and images", -1, "not told apart"),  # too few seeds
        (-3, -1, (-2,) * 4, "seeds", -1, "not told apart"),  # too few to draw from
        (-3, -1, (-2,) * 5, "seeds", -1, "same sign"),
    ],
)
def test_verdicts(low, high, by_seed, over, sign, verdict):
    assert Effect(sum(by_seed) / len(by_seed), low, high, by_seed, over).verdict(sign) == verdict
