"""The backgrounds: sizes by the power law, and the statistics of photographs."""

import math

import numpy as np
import pytest

from tinyalex.data.dead_leaves import COLOUR_AXES, colours_around, dead_leaves, power_law_radii


def test_radii_follow_the_power_law():
    """Of density r^-3 between 1 and 50: P(radius > r) = (r^-2 - 50^-2) / (1 - 50^-2)."""
    radii = power_law_radii(np.random.default_rng(0), 200_000, 1, 50)
    assert radii.min() >= 1
    assert radii.max() <= 50
    for r in (1.5, 2, 4, 8):
        expected = (r**-2 - 50**-2) / (1 - 50**-2)
        assert np.mean(radii > r) == pytest.approx(expected, abs=4 * math.sqrt(expected / 200_000))


def spectral_slope(images):
    """The slope of log amplitude against log frequency, from 2 to 16 cycles a picture; images (N, 128, 128) gray."""
    window = np.hanning(128)[:, None] * np.hanning(128)
    flat = (images - images.mean(axis=(1, 2), keepdims=True)) * window
    power = np.mean(np.abs(np.fft.fft2(flat)) ** 2, axis=0)
    cycles = np.hypot(*np.meshgrid(np.fft.fftfreq(128, 1 / 128), np.fft.fftfreq(128, 1 / 128)))
    rings = np.arange(2, 17)
    amplitude = [math.sqrt(power[np.abs(cycles - ring) < 0.5].mean()) for ring in rings]
    return np.polyfit(np.log(rings), np.log(amplitude), 1)[0]


def test_the_spectrum_falls_like_that_of_photographs():
    """Amplitude ~ 1 / frequency, as is reported of photographs (slopes of about -0.8 to -1.4).

    Noise has slope 0, discs of one size rise to their size and then fall, the edges of large discs alone have -1.5.
    """
    rng = np.random.default_rng(0)
    leaves = np.stack([dead_leaves(rng, 128, 128).mean(axis=2) for _ in range(60)])
    assert -1.3 < spectral_slope(leaves) < -0.9
    assert abs(spectral_slope(rng.normal(size=(60, 128, 128)))) < 0.1


def test_brightness_varies_more_than_colour():
    rng = np.random.default_rng(1)
    pixels = np.concatenate([dead_leaves(rng, 40, 60).reshape(-1, 3) for _ in range(40)]).astype(float)
    deviations = ((pixels - pixels.mean(axis=0)) @ COLOUR_AXES.T).std(axis=0) / np.linalg.norm(COLOUR_AXES, axis=1)
    assert deviations[0] > 1.5 * deviations[1] > 1.5 * deviations[2]


def test_dead_leaves_have_the_size_asked_for_and_no_grid():
    leaves = dead_leaves(np.random.default_rng(2), 50, 80)
    assert leaves.shape == (50, 80, 3)
    assert leaves.dtype == np.uint8
    assert len(np.unique(leaves.reshape(-1, 3), axis=0)) > 100


def test_colours_around_have_the_mean_and_spread_asked_for():
    centre = np.array([100.0, 120.0, 140.0])
    colours = colours_around(np.random.default_rng(0), centre, (10, 0, 0), 4000)
    assert colours.mean(axis=0) == pytest.approx(centre, abs=1)
    assert colours.std(axis=0) == pytest.approx([10, 10, 10], abs=0.6)
    extreme = colours_around(np.random.default_rng(0), centre, (500, 0, 0), 100)
    assert extreme.min() >= 0
    assert extreme.max() <= 255
