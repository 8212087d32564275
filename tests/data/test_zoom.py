"""Random parts of images, enlarged: which parts, and what they look like."""

import numpy as np
import pytest

from tinyalex.data import ArrayDataset, Augmenter, batches, pixel_statistics
from tinyalex.data.zoom import zoomed
from tinyalex.errors import UsageError

RNG = np.random.default_rng


def images(count, size):
    """(count, size, size, 3) uint8: red tells the row, green the column, each 4 a pixel; blue the image."""
    steps = np.arange(size, dtype=np.uint8)
    made = np.zeros((count, size, size, 3), np.uint8)
    made[..., 0], made[..., 1] = 4 * steps[:, None], 4 * steps
    made[..., 2] = np.arange(count)[:, None, None]
    return made


def test_a_part_is_stretched_over_the_whole_image():
    """Along each axis the pixels rise evenly, and by less the smaller the part; the other axis does not matter."""
    least, size = 0.5, 40
    found = zoomed(images(250, size), least, 250, RNG(0)).astype(int)
    assert found.shape == (250, size, size, 3)
    assert (found[..., 2] == np.arange(250)[:, None, None]).all()
    for colour, axis in ((0, 1), (1, 2)):
        ramps = np.moveaxis(found[..., colour], axis, -1)
        assert (ramps == ramps[:, :1]).all()
        rises = (ramps[:, 0, 30] - ramps[:, 0, 10]) / (4 * 20)  # the share of the side that is seen
        assert least - 0.02 <= rises.min() < least + 0.05
        assert 0.95 < rises.max() <= 1.02
        assert rises.mean() == pytest.approx(0.75, abs=0.03)
    rows, columns = found[:, 30, 0, 0] - found[:, 10, 0, 0], found[:, 0, 30, 1] - found[:, 0, 10, 1]
    assert abs(np.corrcoef(rows, columns)[0, 1]) < 0.15  # height and width are independent


def test_parts_lie_everywhere():
    """Parts of half a side begin at each of 0 ... 20 pixels, and none reaches over the border."""
    found = zoomed(images(2000, 40), 0.5, 2000, RNG(1)).astype(int)
    for ends in (found[..., 0], found[..., 1].transpose(0, 2, 1)):
        assert ends.min() == 0
        assert ends.max() == 4 * 39
        middles = (ends[:, 0, 0] + ends[:, -1, 0]) / 8
        assert middles.mean() == pytest.approx(19.5, abs=0.5)  # as many to the one side as to the other


def test_the_whole_image_stays_as_it_is():
    made = RNG(0).integers(0, 256, (5, 9, 9, 3)).astype(np.uint8)
    np.testing.assert_array_equal(zoomed(made, 1.0, 5, RNG(0)), made)
    rng = RNG(3)
    assert (
        Augmenter(pixel_statistics(ArrayDataset("a", made, np.zeros(5, int), ("a",))), 6).enlarge(made, 5, rng) is made
    )
    assert rng.random() == RNG(3).random()


def test_a_rank_gets_its_part_of_the_batch():
    made = images(8, 20)
    whole = zoomed(made, 0.4, 8, RNG(5))
    np.testing.assert_array_equal(zoomed(made[2:5], 0.4, 8, RNG(5), slice(2, 5)), whole[2:5])


def test_numbers_stay_as_they_are():
    """A run that goes on tomorrow sees the same parts: by seed 11 the rows 7 to 17, the columns 4 to 14."""
    (found,) = zoomed(images(1, 20), 0.5, 1, RNG(11))
    assert found[[0, -1], 0, 0].tolist() == pytest.approx([4 * 7, 4 * 17], abs=1)
    assert found[0, [0, -1], 1].tolist() == pytest.approx([4 * 4, 4 * 14], abs=1)


def test_training_batches_are_enlarged_and_the_others_are_not():
    made = images(6, 20)
    dataset = ArrayDataset("ramps", made, np.arange(6) % 2, ("a", "b"))
    augmenter = Augmenter(pixel_statistics(dataset), 16, colour="off", zoom=0.5, crops=False, reflections=False)
    plain = Augmenter(pixel_statistics(dataset), 16, colour="off", crops=False, reflections=False)
    ((x, _),) = batches(dataset, augmenter, 6, seed=2, epoch=1)
    ((y, _),) = batches(dataset, plain, 6, seed=2, epoch=1)
    assert np.abs(x - y).max() > 10
    np.testing.assert_array_equal(x, next(iter(batches(dataset, augmenter, 6, seed=2, epoch=1)))[0])
    np.testing.assert_array_equal(
        augmenter.train_batch(made, RNG(4)), plain.view(zoomed(made, 0.5, 6, RNG(4)), plain.centre_views(6))
    )
    np.testing.assert_array_equal(augmenter.centre(made), plain.centre(made))


@pytest.mark.parametrize("share", [0.0, -1.0, 1.1, np.nan])
def test_shares_that_make_no_sense(share):
    dataset = ArrayDataset("ramps", images(2, 20), np.arange(2), ("a", "b"))
    with pytest.raises(UsageError, match=f"got zoom={share}: expected a share above 0, 1 at most"):
        Augmenter(pixel_statistics(dataset), 16, zoom=share)
