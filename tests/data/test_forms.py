"""The ten outlines: drawn where they should be, varied, and never one another in another pose."""

import math

import numpy as np
import pytest

from tinyalex.data.forms import FORMS, circle, draw_mask, rectangle

CLASSES = [form.__name__ for form in FORMS]
IDENTITY = np.eye(2)


def test_a_mask_covers_the_area_of_its_form():
    scale, centre = 20 * IDENTITY, np.array([30.0, 25.0])
    rectangle_mask = np.asarray(draw_mask([(rectangle(0.5, 0.8), True)], scale, centre, 50, 60)) / 255
    assert rectangle_mask.shape == (50, 60)
    # 20 x 32 pixels around x 30, y 25; a polygon's border counts as inside, so it grows by up to a third of a pixel.
    assert 640 <= rectangle_mask.sum() <= (20 + 1 / 3) * (32 + 1 / 3) + 1
    assert np.all(rectangle_mask[10:40, 21:39] == 1)
    assert np.all(rectangle_mask[:8] == 0)
    assert np.all(rectangle_mask[:, :19] == 0)
    ring = [(circle(1), True), (circle(0.5), False)]
    ring_mask = np.asarray(draw_mask(ring, scale, centre, 50, 60)) / 255
    assert ring_mask.sum() == pytest.approx(math.pi * (400 - 100), rel=0.03)
    assert ring_mask[25, 30] == 0
    assert ring_mask[25, 45] == 1


def test_a_mask_is_turned_and_moved_by_the_matrix_and_the_centre():
    # A quarter turn takes x to y (downwards): a bar to the right of the origin then stands below the centre (12, 20).
    quarter = 10 * np.array([[0.0, -1.0], [1.0, 0.0]])
    bar = np.add(rectangle(0.5, 0.2), (0.5, 0))
    rows, columns = np.nonzero(np.asarray(draw_mask([(bar, True)], quarter, np.array([12.0, 20.0]), 40, 30)) > 127)
    assert (rows.min(), columns.min()) == pytest.approx((20, 10), abs=1)
    assert (rows.max(), columns.max()) == pytest.approx((29, 13), abs=1)


@pytest.mark.parametrize("form", FORMS, ids=CLASSES)
def test_forms_fill_their_circle_and_vary(form):
    masks = []
    for seed in range(6):
        polygons = form(np.random.default_rng(seed))
        assert max(np.abs(points).max() for points, filled in polygons if filled) <= 1.1
        masks.append(np.asarray(draw_mask(polygons, 20 * IDENTITY, np.array([25.0, 25.0]), 50, 50)) / 255)
    share = np.mean(masks, axis=0).sum() / (math.pi * 20**2)
    assert 0.2 < share < 0.85  # no class is a dot or fills all
    assert np.ptp(masks, axis=0).max() > 0.5


def test_forms_differ_in_any_pose():
    """No form, turned in steps of 10 degrees and mirrored, covers another: at most 90 % of their union is shared."""

    def pose(form, turn, mirror):
        cos, sin = math.cos(turn), math.sin(turn)
        matrix = 14 * np.array([[cos, -sin], [sin, cos]]) @ np.diag([mirror, 1])
        polygons = form(np.random.default_rng(0))
        return np.asarray(draw_mask(polygons, matrix, np.array([18.0, 18.0]), 36, 36)) > 127

    turns = np.arange(0, 2 * math.pi, math.pi / 18)
    upright = [pose(form, 0, 1) for form in FORMS]
    for label, form in enumerate(FORMS):
        poses = np.stack([pose(form, turn, mirror) for turn in turns for mirror in (1, -1)])
        for other in set(range(10)) - {label}:
            shared = (poses & upright[other]).sum(axis=(1, 2)) / (poses | upright[other]).sum(axis=(1, 2))
            assert shared.max() < 0.9, (CLASSES[label], CLASSES[other])
