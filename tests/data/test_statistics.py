"""The statistics are what their definitions say, exactly, in whatever parts the images are added."""

import numpy as np
import pytest

from tinyalex.data import ArrayDataset, PixelSums, pixel_statistics, statistics
from tinyalex.errors import DataError


def dataset(images):
    return ArrayDataset("test", images, np.zeros(len(images), np.int64), ("only",))


def test_statistics_by_hand():
    """Red is 0 or 1 with equal frequency, so its variance is 1/4; green and blue never vary."""
    images = np.array([[[[0, 40, 9]]], [[[255, 40, 9]]]], np.uint8)
    found = pixel_statistics(dataset(images))
    np.testing.assert_array_equal(found.mean, [[[127.5, 40, 9]]])
    np.testing.assert_allclose(found.eigenvalues, [0.25, 0, 0], atol=1e-15)
    np.testing.assert_allclose(found.eigenvectors[:, 0], [1, 0, 0], atol=1e-12)


def test_statistics_follow_their_definitions():
    rng = np.random.default_rng(3)
    images = rng.integers(0, 200, (11, 40, 40, 3), dtype=np.uint8)
    images[..., 2] = images[..., 0] // 2 + 30  # correlated, so that the components are no axes
    found = pixel_statistics(dataset(images))
    for row in range(0, 40, 3):
        for column in range(0, 40, 3):
            for colour in range(3):
                expected = sum(int(image[row, column, colour]) for image in images) / 11
                assert found.mean[row, column, colour] == np.float32(expected)
    pixels = images.reshape(-1, 3) / 255
    covariance = np.cov(pixels.T, bias=True)
    for value, vector in zip(found.eigenvalues, found.eigenvectors.T, strict=True):
        np.testing.assert_allclose(covariance @ vector, value * vector, atol=1e-12)
    np.testing.assert_allclose(found.eigenvectors.T @ found.eigenvectors, np.eye(3), atol=1e-12)
    assert found.eigenvalues[0] > found.eigenvalues[1] > found.eigenvalues[2] >= 0
    assert all(max(vector, key=abs) > 0 for vector in found.eigenvectors.T)
    assert (found.mean.dtype, found.eigenvalues.dtype, found.eigenvectors.dtype) == (np.float32, float, float)


def test_statistics_do_not_depend_on_the_batches(monkeypatch):
    data = dataset(np.random.default_rng(4).integers(0, 256, (23, 3, 3, 3), dtype=np.uint8))
    one = pixel_statistics(data)
    monkeypatch.setattr(statistics, "BATCH", 7)
    other = pixel_statistics(data)
    for field in ("mean", "eigenvalues", "eigenvectors"):
        np.testing.assert_array_equal(getattr(one, field), getattr(other, field))


def test_grey_images_have_one_component():
    grey = np.random.default_rng(5).integers(0, 256, (9, 4, 4, 1), dtype=np.uint8).repeat(3, axis=3)
    found = pixel_statistics(dataset(grey))
    np.testing.assert_allclose(found.eigenvalues, [3 * np.var(grey / 255), 0, 0], atol=1e-14)
    np.testing.assert_allclose(found.eigenvectors[:, 0], 3**-0.5, rtol=1e-9)
    assert (found.eigenvalues >= 0).all()  # their roots are taken


def test_progress_counts_every_image(monkeypatch):
    monkeypatch.setattr(statistics, "BATCH", 4)
    seen = []
    pixel_statistics(dataset(np.zeros((10, 2, 2, 3), np.uint8)), seen.append)
    assert seen == [4, 4, 2]


def test_statistics_of_nothing_are_refused():
    empty = dataset(np.zeros((1, 2, 2, 3), np.uint8))
    empty.labels = empty.labels[:0]
    with pytest.raises(DataError, match="no images"):
        pixel_statistics(empty)


# Sums of parts.


FIELDS = ("mean", "eigenvalues", "eigenvectors")


def random_images(count, size, seed=0):
    return np.random.default_rng(seed).integers(0, 256, (count, size, size, 3), dtype=np.uint8)


def test_sums_by_hand():
    sums = PixelSums(1)
    sums.add(np.array([[[[1, 2, 3]]], [[[255, 10, 0]]]], np.uint8))
    assert sums.count == 2
    assert sums.total.tolist() == [[[256, 12, 3]]]
    first, second = (1, 2, 3), (255, 10, 0)
    assert sums.products.tolist() == [[first[i] * first[j] + second[i] * second[j] for j in range(3)] for i in range(3)]
    assert sums.total.dtype == sums.products.dtype == np.int64


def test_parts_merged_in_any_order_give_the_same_bits():
    images = random_images(20, 5)
    whole = PixelSums(5)
    whole.add(images)
    merged = PixelSums(5)
    for part in (slice(13, 20), slice(0, 0), slice(4, 13), slice(0, 4)):
        sums = PixelSums(5)
        sums.add(images[part])
        merged.merge(sums)
    assert merged.count == 20
    for field in FIELDS:
        np.testing.assert_array_equal(getattr(merged.statistics(), field), getattr(whole.statistics(), field))


def test_sums_stay_exact_beyond_the_53_bits_of_a_float():
    """A million million white pixels and one that is not."""
    sums = PixelSums(1)
    sums.count, sums.total[:], sums.products[:] = 10**12, 255 * 10**12, 255**2 * 10**12
    sums.add(np.array([[[[1, 0, 0]]]], np.uint8))
    assert sums.total.tolist() == [[[255 * 10**12 + 1, 255 * 10**12, 255 * 10**12]]]
    assert sums.products[0].tolist() == [255**2 * 10**12 + 1, 255**2 * 10**12, 255**2 * 10**12]


def test_sums_are_stored_and_read(tmp_path):
    sums = PixelSums(3)
    sums.add(random_images(7, 3))
    np.savez(tmp_path / "sums.npz", **sums.arrays())
    with np.load(tmp_path / "sums.npz") as file:
        read = PixelSums.from_arrays(file, 3)
    read.add(random_images(2, 3, seed=1))
    sums.add(random_images(2, 3, seed=1))
    assert read.count == 9
    for field in FIELDS:
        np.testing.assert_array_equal(getattr(read.statistics(), field), getattr(sums.statistics(), field))


@pytest.mark.parametrize(
    ("name", "array", "message"),
    [
        ("total", np.zeros((2, 3, 3), np.int64), r"got int64 of shape \(2, 3, 3\) for the sums' total: expected int64"),
        ("products", np.zeros((3, 3)), "got float64 of shape"),
        ("count", None, "got nothing for the sums' count"),
    ],
)
def test_arrays_that_are_no_sums(name, array, message):
    arrays = {**PixelSums(3).arrays(), name: array}
    with pytest.raises(DataError, match=message):
        PixelSums.from_arrays({key: one for key, one in arrays.items() if one is not None}, 3)


def test_sums_of_nothing_have_no_statistics():
    with pytest.raises(DataError, match="got no images"):
        PixelSums(3).statistics()
