"""The generated data set: reproducible, balanced, varied, and solvable by the outline of the object only."""

from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from PIL import Image

from tinyalex.data.forms import FORMS
from tinyalex.data.shapes import CLASSES, TEXTURES, Shapes, central_square, paint, place, write_jpegs
from tinyalex.errors import DataError, UsageError

TRAIN, VAL = 1200, 400


@pytest.fixture(scope="module")
def sets():
    """Stored images and labels of both splits: (train images, train labels, val images, val labels)."""
    train, val = Shapes(TRAIN), Shapes(VAL, split="val")
    return train.read(np.arange(TRAIN)), train.labels, val.read(np.arange(VAL)), val.labels


# The data set's promises.


def test_names_and_sizes():
    shapes = Shapes(20, size=24)
    assert shapes.name == "shapes"
    assert len(shapes) == 20
    assert shapes.size == 24
    assert shapes.classes == CLASSES
    assert len(set(CLASSES)) == 10
    assert shapes.labels.dtype == np.int64
    images = shapes.read(np.array([3, 0, 3]))
    assert images.shape == (3, 24, 24, 3)
    assert images.dtype == np.uint8


def test_an_image_depends_on_seed_split_and_index_alone():
    few, many = Shapes(7), Shapes(30)
    assert np.array_equal(few.labels, many.labels[:7])
    backwards = many.read(np.arange(6, -1, -1))
    assert np.array_equal(few.read(np.arange(7)), backwards[::-1])
    assert np.array_equal(few.picture(5), many.picture(5))
    assert np.array_equal(few.picture(-1), few.picture(6))
    with pytest.raises(IndexError):
        few.picture(7)


def test_reading_from_several_threads_gives_the_same_images():
    alone, shared = Shapes(24), Shapes(24)
    with ThreadPoolExecutor(4) as pool:
        read = list(pool.map(lambda _: shared.read(np.arange(24)), range(4)))
    for images in read:
        assert np.array_equal(images, alone.read(np.arange(24)))


def test_stored_images_are_the_central_squares_of_the_pictures():
    shapes = Shapes(12)
    for index in range(12):
        picture = shapes.picture(index)
        height, width, _ = picture.shape
        side = min(height, width)
        top, left = (height - side) // 2, (width - side) // 2
        square = picture[top : top + side, left : left + side]
        expected = np.asarray(Image.fromarray(square).resize((36, 36), Image.Resampling.BOX), float)
        stored = shapes.read(np.array([index]))[0].astype(float)
        # Another filter, and half a pixel of the picture where the margin is odd: close, not equal.
        assert np.corrcoef(stored.ravel(), expected.ravel())[0, 1] > 0.97


def test_central_square_keeps_the_middle_of_a_wide_image():
    wide = np.zeros((4, 8, 3), np.uint8)
    wide[:, :2], wide[:, 2:6], wide[:, 6:] = 10, 200, 90
    assert np.all(np.asarray(central_square(Image.fromarray(wide), 4)) == 200)


def test_splits_and_seeds_share_no_image(sets):
    train, train_labels, val, val_labels = sets
    seen = {image.tobytes() for image in train}
    assert len(seen) == TRAIN
    assert seen.isdisjoint(image.tobytes() for image in val)
    assert not np.array_equal(train_labels[:VAL], val_labels)
    other = Shapes(50, seed=1)
    assert seen.isdisjoint(image.tobytes() for image in other.read(np.arange(50)))
    assert not np.array_equal(other.labels, train_labels[:50])


def test_backgrounds_are_not_shared_between_splits():
    # The same index in both splits would show the same leaves if only the label's stream differed.
    train, val = Shapes(10).picture(0), Shapes(10, split="val").picture(0)
    assert train.shape != val.shape or np.mean(train == val) < 0.1


def test_labels_are_balanced_and_shuffled():
    labels = Shapes(2000).labels
    assert np.all(np.bincount(labels) == 200)
    assert np.all(np.sort(labels.reshape(-1, 10), axis=1) == np.arange(10))
    # Each class comes at each place among the ten in about 20 of the 200 tens (deviation 4.2).
    places = np.zeros((10, 10), int)
    np.add.at(places, (labels, np.arange(2000) % 10), 1)
    assert places.min() > 3
    assert places.max() < 41


def test_each_label_is_painted_with_the_form_of_its_name(monkeypatch):
    asked = []

    def recorded(label):
        def form(rng):
            asked.append(CLASSES[label])
            return FORMS[label](rng)

        return form

    monkeypatch.setattr("tinyalex.data.shapes.FORMS", [recorded(label) for label in range(10)])
    shapes = Shapes(20)
    for index in range(20):
        shapes.picture(index)
    assert asked == [shapes.classes[label] for label in shapes.labels]
    assert [form.__name__ for form in FORMS] == list(CLASSES)


def test_pictures_vary_in_size():
    sizes = np.array([Shapes(40).picture(index).shape[:2] for index in range(40)])
    assert sizes.min() >= 64
    assert sizes.max() <= 160
    assert len({tuple(size) for size in sizes}) > 30
    assert np.sum(sizes[:, 0] > sizes[:, 1]) > 5
    assert np.sum(sizes[:, 0] < sizes[:, 1]) > 5


@pytest.mark.parametrize("settings", [{"split": "test"}, {"count": 0}, {"seed": -1}, {"size": 0}])
def test_wrong_settings_are_refused_in_one_line(settings):
    with pytest.raises(UsageError) as caught:
        Shapes(**{"count": 10, **settings})
    assert "\n" not in str(caught.value)


# Only the outline tells the class.


def test_classes_differ_in_the_object_alone():
    """With the same random numbers, ten classes share resolution and background: all but the object and its shadow."""
    for seed in range(5):
        pictures = np.stack([paint(label, np.random.default_rng(seed)) for label in range(10)])  # stack: one size
        assert np.all(pictures == pictures[0], axis=(0, 3)).mean() > 0.1
        corners = pictures[:, [0, 0, -1, -1], [0, -1, 0, -1]]
        assert np.all(corners == corners[0])
        different = {picture.tobytes() for picture in pictures}
        assert len(different) == 10
        # The middle lies inside a disc and inside a square: they share their colours, texture and light too.
        height, width = pictures.shape[1:3]
        middle = pictures[:, height // 2 - 1 : height // 2 + 2, width // 2 - 1 : width // 2 + 2]
        assert np.array_equal(middle[CLASSES.index("disc")], middle[CLASSES.index("square")])


def linear_accuracy(train, train_labels, val, val_labels, ridge):
    """The share of `val` that ridge regression onto one-hot labels gets right; features standardised."""
    train, val = (np.reshape(x, (len(x), -1)).astype(float) for x in (train, val))
    mean, deviation = train.mean(axis=0), train.std(axis=0) + 1e-9
    train, val = (train - mean) / deviation, (val - mean) / deviation
    gram = train.T @ train + ridge * np.eye(train.shape[1])
    weights = np.linalg.solve(gram, train.T @ (np.eye(10)[train_labels] - 0.1))
    return np.mean(np.argmax(val @ weights, axis=1) == val_labels)


def mean_colour(images):
    return images.mean(axis=(1, 2))


def corners(images):
    return images[:, [0, 0, -1, -1], [0, -1, 0, -1]]


def border(images):
    return np.concatenate([images[:, :2].reshape(len(images), -1), images[:, -2:].reshape(len(images), -1)], axis=1)


def histogram(images):
    return np.stack([[np.bincount(c.ravel() // 32, minlength=8) for c in image.transpose(2, 0, 1)] for image in images])


@pytest.mark.parametrize("features", [mean_colour, corners, border, histogram])
def test_colours_and_borders_hardly_tell_the_class(sets, features):
    """Guessing gets 10 % of 400 right, give or take 1.5 %. The histogram sees the object's size: a little more."""
    train, train_labels, val, val_labels = sets
    accuracy = linear_accuracy(features(train), train_labels, features(val), val_labels, ridge=100)
    assert accuracy < (0.2 if features is histogram else 0.16)  # 0.16: four deviations


def test_pixels_are_not_linearly_separable(sets):
    """A linear classifier on pixels stays poor: the net needs its layers. But it beats guessing: there is a signal."""
    train, train_labels, val, val_labels = sets
    smaller = [x.reshape(len(x), 18, 2, 18, 2, 3).mean(axis=(2, 4)) for x in (train, val)]
    accuracy = linear_accuracy(smaller[0], train_labels, smaller[1], val_labels, ridge=3000)
    assert 0.13 < accuracy < 0.35


def test_nearest_class_mean_is_poor(sets):
    train, train_labels, val, val_labels = sets
    means = np.stack([train[train_labels == label].mean(axis=0) for label in range(10)])
    distances = ((val[:, None] - means) ** 2).sum(axis=(2, 3, 4))
    assert np.mean(np.argmin(distances, axis=1) == val_labels) < 0.3


# What a picture is made of.


@pytest.mark.parametrize(("height", "width"), [(64, 85), (120, 90)])
def test_objects_lie_in_the_central_square_facing_either_way(height, width):
    side = min(height, width)
    facing = []
    for seed in range(60):
        matrix, centre, radius = place(np.random.default_rng(seed), height, width)
        assert np.all(np.abs(centre - [width / 2, height / 2]) + radius <= side / 2 + 1e-9)
        assert 0.75 * radius**2 < abs(np.linalg.det(matrix)) <= radius**2  # flattened a little, never stretched
        facing.append(np.linalg.det(matrix) > 0)
    assert 15 < sum(facing) < 45  # of 60, mirrored half the time: four deviations


@pytest.mark.parametrize("texture", TEXTURES)
def test_textures_show_both_colours(texture):
    uv = np.stack(np.meshgrid(np.linspace(-1, 1, 40), np.linspace(-1, 1, 30))).astype(np.float32)
    for seed in range(5):
        values = texture(uv, np.random.default_rng(seed))
        assert values.shape == (30, 40)
        assert values.dtype == np.float32
        assert values.min() < 0.35
        assert values.max() > 0.65


# JPEG files.


def test_jpegs_lie_in_class_folders_and_show_the_pictures(tmp_path):
    folder = tmp_path / "new" / "shapes"
    write_jpegs(folder, train=13, val=10, seed=3)
    for split, count in (("train", 13), ("val", 10)):
        assert sorted(path.name for path in (folder / split).iterdir()) == sorted(CLASSES)
        shapes = Shapes(count, split=split, seed=3)
        files = sorted((folder / split).glob("*/*"), key=lambda path: path.name)
        assert [path.name for path in files] == [f"{index:05d}.jpg" for index in range(count)]
        assert [path.parent.name for path in files] == [CLASSES[label] for label in shapes.labels]
        for index, path in enumerate(files):
            with Image.open(path) as image:
                assert image.format == "JPEG"
                decoded = np.asarray(image, float)
            picture = shapes.picture(index).astype(float)
            assert decoded.shape == picture.shape
            # JPEG halves the resolution of colour: the difference is that of fine grain, not of content.
            assert np.abs(decoded - picture).mean() < 12


def test_a_folder_that_holds_something_is_refused_and_left_alone(tmp_path):
    (tmp_path / "notes.txt").write_text("mine")
    with pytest.raises(DataError, match="which is not empty") as caught:
        write_jpegs(tmp_path, train=10, val=10)
    assert "\n" not in str(caught.value)
    assert [path.name for path in tmp_path.iterdir()] == ["notes.txt"]
    with pytest.raises(DataError, match="which is not empty"):
        write_jpegs(tmp_path / "notes.txt", train=10, val=10)


def test_an_empty_folder_is_accepted(tmp_path):
    write_jpegs(tmp_path, train=10, val=10)
    assert len(list(tmp_path.glob("*/*/*.jpg"))) == 20


@pytest.mark.parametrize("error", [KeyboardInterrupt(), OSError(28, "No space left on device")])
def test_half_a_data_set_is_not_left(tmp_path, monkeypatch, error):
    save = Image.Image.save

    def failing(image, path, **given):
        if path.name == "00007.jpg":
            raise error
        save(image, path, **given)

    monkeypatch.setattr(Image.Image, "save", failing)
    with pytest.raises(type(error)):
        write_jpegs(tmp_path / "shapes", train=10, val=10)
    assert list((tmp_path / "shapes").iterdir()) == []
    assert getattr(error, "filename", None) == (str(tmp_path / "shapes") if isinstance(error, OSError) else None)
    monkeypatch.undo()
    write_jpegs(tmp_path / "shapes", train=10, val=10)
