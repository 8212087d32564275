"""Augmentation against its definition in loops, and by hand on images that say where they come from."""

import numpy as np
import pytest

from tinyalex.backend import device_scope, to_device, to_numpy, use_kernels
from tinyalex.data import Augmenter, PixelStatistics
from tinyalex.data.augment import augment
from tinyalex.errors import ShapeError, UsageError
from twins import stored_images


def rotation():
    """Three orthonormal columns, not symmetric: a transposed matrix is noticed."""
    return np.linalg.qr(np.random.default_rng(8).normal(size=(3, 3)))[0]


def statistics(size, *, mean=None, eigenvalues=(0.2, 0.05, 0.01), eigenvectors=None):
    if mean is None:
        mean = np.zeros((size, size, 3), np.float32)
    vectors = rotation() if eigenvectors is None else np.asarray(eigenvectors, float)
    return PixelStatistics(mean, np.asarray(eigenvalues, float), vectors)


def random_mean(size):
    return np.random.default_rng(9).uniform(50, 200, (size, size, 3)).astype(np.float32)


def random_images(count, size):
    return np.random.default_rng(10).integers(0, 256, (count, size, size, 3), dtype=np.uint8)


def map_images(count, size):
    """Pixel (row, column) of image i is (row, column, i)."""
    images = np.empty((count, size, size, 3), np.uint8)
    images[..., 0] = np.arange(size)[:, None]
    images[..., 1] = np.arange(size)
    images[..., 2] = np.arange(count)[:, None, None]
    return images


def by_loops(images, stats, crop, colour, pixel_scale, seed):
    """The documented formula and order of random numbers, one pixel at a time, in float64."""
    rng = np.random.default_rng(seed)
    count, size = images.shape[:2]
    tops = rng.integers(0, size - crop + 1, count)
    lefts = rng.integers(0, size - crop + 1, count)
    mirrored = rng.random(count) < 0.5
    alphas = rng.normal(0, 0.1, (count, 3)) if colour != "off" else np.zeros((count, 3))
    out = np.empty((count, 3, crop, crop))
    for n in range(count):
        for k in range(3):
            noise = 0.0
            for i in range(3):
                length = stats.eigenvalues[i] if colour == "paper" else stats.eigenvalues[i] ** 0.5
                noise += 255 * alphas[n, i] * length * stats.eigenvectors[k, i]
            for y in range(crop):
                for x in range(crop):
                    row, column = tops[n] + y, lefts[n] + (crop - 1 - x if mirrored[n] else x)
                    value = float(images[n, row, column, k]) - float(stats.mean[row, column, k]) + noise
                    out[n, k, y, x] = value / pixel_scale / (1.1 if colour == "cuda-convnet" else 1)
    return out


@pytest.mark.parametrize("colour", ["paper", "cuda-convnet", "off"])
@pytest.mark.parametrize(("size", "crop", "pixel_scale"), [(9, 6, 1.0), (7, 4, 50.0), (5, 5, 1.0)])
def test_training_batches_follow_the_definition(colour, size, crop, pixel_scale):
    stats = statistics(size, mean=random_mean(size))
    images = random_images(12, size)
    found = Augmenter(stats, crop, colour=colour, pixel_scale=pixel_scale).train_batch(images, np.random.default_rng(5))
    expected = by_loops(images, stats, crop, colour, pixel_scale, seed=5)
    np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-4 / pixel_scale)


def test_every_crop_and_reflection_is_equally_likely():
    """Of 6 x 6 pixels 3 * 3 crops of 4 x 4, both ends included, each mirrored or not: 18 kinds."""
    count = 9000
    images = np.broadcast_to(map_images(1, 6), (count, 6, 6, 3))
    batch = Augmenter(statistics(6), 4, colour="off").train_batch(images, np.random.default_rng(0))
    kinds = {}
    for view in batch:
        left_column, right_column = view[1, 0, 0], view[1, 0, -1]
        kind = (view[0, 0, 0], min(left_column, right_column), left_column > right_column)
        kinds[kind] = kinds.get(kind, 0) + 1
    assert set(kinds) == {(t, left, m) for t in (0, 1, 2) for left in (0, 1, 2) for m in (False, True)}
    spread = (count * (1 / 18) * (17 / 18)) ** 0.5
    assert all(abs(times - count / 18) < 5 * spread for times in kinds.values())


def test_a_reflection_swaps_left_and_right_only():
    images = np.broadcast_to(map_images(1, 5), (64, 5, 5, 3))
    batch = Augmenter(statistics(5), 5, colour="off").train_batch(images, np.random.default_rng(1))
    rows, columns = batch[:, 0, :, 0], batch[:, 1, 0, :]
    assert (rows == np.arange(5)).all()
    assert {tuple(c) for c in columns.tolist()} == {(0, 1, 2, 3, 4), (4, 3, 2, 1, 0)}


def test_each_pixel_loses_its_own_mean():
    """An image equal to the mean becomes zero wherever it is cropped and whether or not it is mirrored."""
    mean = random_images(1, 8)[0]
    augmenter = Augmenter(statistics(8, mean=mean.astype(np.float32)), 5, colour="off")
    images = np.broadcast_to(mean, (50, 8, 8, 3))
    assert not augmenter.train_batch(images, np.random.default_rng(2)).any()
    assert not augmenter.centre(images[:2]).any()
    assert not augmenter.ten_crops(images[:2]).any()


def noise_of(colour, eigenvalues, eigenvectors, count=20_000):
    """The noise of grey images, each 2 x 2 -> (count, 3), checked to be one colour over the image."""
    images = np.full((count, 2, 2, 3), 100, np.uint8)
    stats = statistics(2, mean=np.full((2, 2, 3), 100, np.float32), eigenvalues=eigenvalues, eigenvectors=eigenvectors)
    batch = Augmenter(stats, 2, colour=colour).train_batch(images, np.random.default_rng(3))
    assert (batch == batch[:, :, :1, :1]).all()
    return batch[:, :, 0, 0].astype(float)


def test_the_papers_noise_by_hand():
    """Eigenvalue 0.2 along red, pixels in 0 ... 1: a standard deviation of 0.1 * 0.2 * 255 = 5.1 grey levels."""
    noise = noise_of("paper", (0.2, 0.04, 0.0), np.eye(3))
    np.testing.assert_allclose(noise.std(axis=0), [5.1, 1.02, 0], rtol=0.03)
    np.testing.assert_allclose(noise.mean(axis=0), 0, atol=0.15)


def test_the_released_codes_noise_by_hand():
    """Eigenvalue 0.25 has root 0.5: 0.1 * 0.5 * 255 / 1.1 = 11.59 grey levels; 0.04 has 0.2: 4.64."""
    noise = noise_of("cuda-convnet", (0.25, 0.04, 0.0), np.eye(3))
    np.testing.assert_allclose(noise.std(axis=0), [11.59, 4.636, 0], rtol=0.03)


@pytest.mark.parametrize("colour", ["paper", "cuda-convnet"])
def test_noise_runs_along_the_eigenvectors(colour):
    values, vectors = np.array([0.2, 0.05, 0.01]), rotation()
    noise = noise_of(colour, values, vectors)
    variances = (25.5 * values) ** 2 if colour == "paper" else 25.5**2 * values / 1.21
    expected = sum(variances[i] * np.outer(vectors[:, i], vectors[:, i]) for i in range(3))
    np.testing.assert_allclose(np.cov(noise.T), expected, atol=0.05 * variances[0])


def test_the_released_code_divides_training_images_only():
    stats = statistics(4, eigenvalues=(0, 0, 0))
    images = random_images(3, 4)
    augmenter = Augmenter(stats, 4, reflections=False, colour="cuda-convnet")
    channels_first = images.transpose(0, 3, 1, 2)
    np.testing.assert_allclose(augmenter.train_batch(images, np.random.default_rng(0)), channels_first / 1.1, rtol=1e-6)
    np.testing.assert_array_equal(augmenter.centre(images), channels_first)


@pytest.mark.parametrize(("size", "crop", "first"), [(8, 4, 2), (9, 4, 2), (36, 32, 2), (5, 5, 0)])
def test_the_centre(size, crop, first):
    views = Augmenter(statistics(size), crop).centre(map_images(2, size))
    assert views.shape == (2, 3, crop, crop)
    for image in range(2):
        for y in range(crop):
            for x in range(crop):
                assert views[image, :, y, x].tolist() == [first + y, first + x, image]


def test_ten_crops_in_their_order():
    views = Augmenter(statistics(9), 4, pixel_scale=2.0).ten_crops(map_images(3, 9))
    assert views.shape == (3, 10, 3, 4, 4)
    corners = [(0, 0), (0, 5), (5, 0), (5, 5), (2, 2)]  # top, left
    for image in range(3):
        for view, (top, left) in enumerate(corners):
            for y in range(4):
                for x in range(4):
                    expected = [(top + y) / 2, (left + x) / 2, image / 2]
                    assert views[image, view, :, y, x].tolist() == expected
                    assert views[image, 5 + view, :, y, 3 - x].tolist() == expected


def test_everything_off_is_the_centre_and_draws_nothing():
    stats = statistics(7, mean=random_mean(7))
    images = random_images(4, 7)
    augmenter = Augmenter(stats, 4, crops=False, reflections=False, colour="off")
    rng = np.random.default_rng(6)
    np.testing.assert_array_equal(augmenter.train_batch(images, rng), augmenter.centre(images))
    assert rng.bit_generator.state == np.random.default_rng(6).bit_generator.state


def test_crops_off_leaves_reflections_on():
    images = np.broadcast_to(map_images(1, 6), (40, 6, 6, 3))
    batch = Augmenter(statistics(6), 4, crops=False, colour="off").train_batch(images, np.random.default_rng(0))
    assert (batch[:, 0, 0, 0] == 1).all()
    assert set(batch[:, 1, 0, 0].tolist()) == {1.0, 4.0}


def test_reflections_off():
    images = np.broadcast_to(map_images(1, 6), (40, 6, 6, 3))
    batch = Augmenter(statistics(6), 4, reflections=False, colour="off").train_batch(images, np.random.default_rng(0))
    assert (np.diff(batch[:, 1], axis=2) == 1).all()


def test_float32_and_channels_last_in_memory():
    images = random_images(3, 8)
    before = images.copy()
    augmenter = Augmenter(statistics(8), 5)
    batch = augmenter.train_batch(images, np.random.default_rng(0))
    for views in (batch, augmenter.centre(images), augmenter.ten_crops(images)[:, 0], augmenter.ten_crops(images)):
        assert views.dtype == np.float32
        assert np.moveaxis(views, -3, -1).strides[-2:] == (12, 4)
    assert batch.transpose(0, 2, 3, 1).flags.c_contiguous
    assert np.moveaxis(augmenter.ten_crops(images), 2, -1).flags.c_contiguous
    np.testing.assert_array_equal(images, before)


def test_mistakes_are_named():
    with pytest.raises(ShapeError, match=r"got crop=9: expected 1 ... 8"):
        Augmenter(statistics(8), 9)
    with pytest.raises(ShapeError, match="got crop=0"):
        Augmenter(statistics(8), 0)
    with pytest.raises(UsageError, match="'strong': expected one of paper, cuda-convnet, off"):
        Augmenter(statistics(8), 4, colour="strong")
    with pytest.raises(UsageError, match="got pixel_scale=0"):
        Augmenter(statistics(8), 4, pixel_scale=0.0)
    with pytest.raises(UsageError, match=r"got pixel_scale=\(1, nan, 1\)"):
        Augmenter(statistics(8), 4, pixel_scale=(1, np.nan, 1))
    augmenter = Augmenter(statistics(8), 4)
    for call in (lambda x: augmenter.train_batch(x, np.random.default_rng(0)), augmenter.centre, augmenter.ten_crops):
        with pytest.raises(ShapeError, match=r"expected \(n, 8, 8, 3\)"):
            call(random_images(2, 7))


# ---------------------------------------------------------------- the kernel


def one_by_one(mean, images, tops, lefts, mirrored, noise, crop, scale):
    """The formula of `augment`, a number at a time in float32: every operation rounds as the definition's does."""
    views = len(tops) // len(images)
    y = np.empty((len(tops), 3, crop, crop), np.float32)
    for k in range(len(tops)):
        for c in range(3):
            for i in range(crop):
                for j in range(crop):
                    row = tops[k] + i
                    column = lefts[k] + crop - 1 - j if mirrored[k] else lefts[k] + j
                    value = np.float32(images[k // views, row, column, c]) - mean[row, column, c]
                    y[k, c, i, j] = (value + noise[k, c]) / np.float32(scale)
    return y


KERNEL_CASES = {  # images, views of each, S, crop, scale
    "one image": (1, 1, 6, 4, 1.0),
    "several images": (5, 1, 7, 4, 1.1),
    "an odd crop": (3, 1, 8, 5, 50.0),
    "the whole image": (3, 1, 5, 5, 0.3),
    "one pixel": (4, 2, 3, 1, 3.0),
    "three views": (3, 3, 6, 4, 64.0),
    "more numbers in a line than a block has threads": (1, 2, 130, 120, 7.0),
}


@pytest.fixture(params=KERNEL_CASES)
def seen(request):
    """The arguments of `augment` for a case: offsets at both ends, mirrored or not, noise that differs in each view."""
    count, views, size, crop, scale = KERNEL_CASES[request.param]
    mean, images, tops, lefts, mirrored, noise = stored_images("float32", count, views, size, size - crop)
    tops[0], lefts[0], mirrored[0] = size - crop, 0, True
    tops[-1], lefts[-1], mirrored[-1] = (0, size - crop, False) if len(tops) > 1 else (size - crop, 0, True)
    return mean, images, tops, lefts, mirrored, noise, crop, scale


def check_kernel(seen, found):
    expected = one_by_one(*seen)
    assert found.dtype == np.float32
    assert found.transpose(0, 2, 3, 1).flags.c_contiguous
    np.testing.assert_array_equal(to_numpy(found), expected)


@pytest.mark.usefixtures("kernels")
def test_the_kernel_against_its_formula(seen):
    """Bit for bit, by the definition and by its compiled twin."""
    check_kernel(seen, augment(*seen))


@pytest.mark.parametrize("choice", ["reference", "auto"])
def test_the_kernel_on_a_gpu_against_its_formula(gpu, choice, seen):
    """Bit for bit, by the definition with CuPy's arrays and by the CUDA kernel."""
    with use_kernels(choice), device_scope(gpu.two[0]):
        check_kernel(seen, augment(*(to_device(a, gpu.two[0]) if isinstance(a, np.ndarray) else a for a in seen)))


@pytest.mark.usefixtures("kernels")
def test_no_noise_changes_no_bit():
    """Adding 0 and dividing by 1 keep every bit, so that one kernel serves training and tests."""
    stats, images = statistics(9, mean=random_mean(9)), random_images(3, 9)
    found = Augmenter(stats, 6).centre(images)
    np.testing.assert_array_equal(
        found.view(np.uint32), (images - stats.mean)[:, 1:7, 1:7].transpose(0, 3, 1, 2).view(np.uint32)
    )


@pytest.mark.usefixtures("kernels")
@pytest.mark.parametrize("zoom", [1, 0.5])
def test_no_images(zoom):
    augmenter = Augmenter(statistics(6), 4, zoom=zoom)
    assert augmenter.train_batch(random_images(0, 6), np.random.default_rng(0)).shape == (0, 3, 4, 4)


# ---------------------------------------------------------------- the random numbers


def test_random_numbers_stay_as_they_are():
    """What a run that was begun with an earlier version draws when it is resumed."""
    stats = statistics(256)
    drawn = Augmenter(stats, 224, colour="cuda-convnet").draw(4, np.random.default_rng(7))
    assert drawn.tops.tolist() == [31, 20, 22, 29]
    assert drawn.lefts.tolist() == [19, 25, 27, 7]
    assert drawn.mirrored.tolist() == [True, False, True, False]
    noise = [[4.72824, 4.56148, 1.55587], [-2.44046, -2.49614, -3.22004], [1.4009, -5.06122, 0.01749]]
    np.testing.assert_allclose(drawn.noise[:3], noise, atol=1e-5)
    assert drawn.scale == pytest.approx(1.1)
    assert [array.dtype for array in drawn.arrays] == ["int32", "int32", "bool", "float32"]


def test_a_part_of_the_images_has_its_part_of_the_numbers():
    augmenter = Augmenter(statistics(9), 6)
    whole, part = (augmenter.draw(7, np.random.default_rng(3), own) for own in (slice(None), slice(2, 5)))
    for all_of_them, some in zip(whole.arrays, part.arrays, strict=True):
        np.testing.assert_array_equal(some, all_of_them[2:5])


@pytest.mark.parametrize("method", ["centre", "ten_crops", "train_batch"])
def test_each_colour_has_its_own_scale(method):
    """As torchvision divides by three standard deviations."""
    images, scales = map_images(3, 9), (58.395, 57.12, 0.5)
    given = [np.random.default_rng(5)] if method == "train_batch" else []
    found = getattr(Augmenter(statistics(9), 4, pixel_scale=scales), method)(images, *given)
    given = [np.random.default_rng(5)] if method == "train_batch" else []
    plain = getattr(Augmenter(statistics(9), 4), method)(images, *given)
    np.testing.assert_allclose(found, plain / np.array(scales)[:, None, None], rtol=1e-5)
    assert found.dtype == np.float32
