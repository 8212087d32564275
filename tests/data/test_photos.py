"""Photographs in files and folders: which are found, in what order, and that a bad one does not stop the others."""

import os
import threading
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from tinyalex.data import photos as module
from tinyalex.data import prepare_image, read_image
from tinyalex.data.photos import image_files, in_batches, photos, small_picture, with_outputs
from tinyalex.data.prepare import Preparation
from tinyalex.errors import DataError

EIGHT = Preparation(8)


def picture(path, width=20, height=16, seed=0):
    """Write a picture of noise; returns its path."""
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(np.random.default_rng(seed).integers(0, 256, (height, width, 3), "uint8")).save(path)
    return path


# ---------------------------------------------------------------- which files


def test_files_and_folders(tmp_path):
    """Of a folder its images by name, before those of its subfolders; a file of any name that is given itself."""
    for name in ("b.png", "a.PNG", "note.txt", ".hidden.png", "z/1.jpg", "c/2.gif", "c/d/3.png", ".git/4.png"):
        (tmp_path / "all" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "all" / name).touch()
    (tmp_path / "outside").mkdir()
    (tmp_path / "outside" / "5.png").touch()
    (tmp_path / "all" / "link").symlink_to(tmp_path / "outside")
    found = image_files([tmp_path / "nothing", tmp_path / "all", tmp_path / "all" / "note.txt"])
    names = [str(path.relative_to(tmp_path)) for path in found]
    below = ["all/a.PNG", "all/b.png", "all/c/2.gif", "all/c/d/3.png", "all/z/1.jpg"]
    assert names == ["nothing", *below, "all/note.txt"]


def test_a_folder_without_images(tmp_path):
    (tmp_path / "note.txt").touch()
    with pytest.raises(DataError, match=r"a folder without images: expected files that end in \.bmp, "):
        list(image_files([tmp_path]))


def test_a_folder_that_cannot_be_read(tmp_path, monkeypatch):
    picture(tmp_path / "1.png")
    (tmp_path / "secret").mkdir()
    scandir = os.scandir

    def refused(folder):
        if Path(folder).name == "secret":
            raise PermissionError(13, "Permission denied", str(folder))
        return scandir(folder)

    monkeypatch.setattr(os, "scandir", refused)
    with pytest.raises(DataError, match=r"secret, a folder that cannot be read \(Permission denied\)"):
        list(image_files([tmp_path]))


def test_a_name_that_is_too_long_for_a_file(tmp_path):
    [photo] = photos(image_files([tmp_path / ("x" * 5000)]), EIGHT)
    assert "too long" in photo.error


# ---------------------------------------------------------------- what is read


def test_in_order_with_the_reasons_of_the_bad_ones(tmp_path):
    paths = [picture(tmp_path / f"{i}.png", seed=i) for i in range(40)]
    paths[7].write_text("Dear all")
    paths[30] = tmp_path / "nothing.png"
    found = list(photos(paths, EIGHT, pictures=2))
    assert [photo.path for photo in found] == paths
    for number, photo in enumerate(found):
        if number in (7, 30):
            assert (photo.stored, photo.picture) == (None, None)
            assert str(paths[number]) in photo.error
            continue
        image = read_image(paths[number])
        np.testing.assert_array_equal(photo.stored, prepare_image(image, 8))
        assert photo.error == ""
        if number < 2:  # so small a picture is not reduced
            np.testing.assert_array_equal(photo.picture, np.array(image))
        else:
            assert photo.picture is None


@pytest.mark.parametrize("rule", ["square", "scale", "warp"])
def test_as_the_net_wants_them(tmp_path, rule):
    path, preparation = picture(tmp_path / "1.png", 31, 20), Preparation(12, rule, "bilinear")
    [photo] = photos([path], preparation)
    np.testing.assert_array_equal(photo.stored, prepare_image(read_image(path), preparation))
    assert (photo.stored != prepare_image(read_image(path), 12)).any()


def test_a_picture_alone(tmp_path):
    path = picture(tmp_path / "wide.png", 2048, 100)
    assert small_picture(path).shape == (25, 512, 3)
    with pytest.raises(DataError, match="nothing"):
        small_picture(tmp_path / "nothing.png")


def test_a_reduced_copy_keeps_the_proportions(tmp_path):
    [photo] = photos([picture(tmp_path / "wide.png", 2048, 100)], EIGHT, pictures=1)
    assert photo.picture.shape == (25, 512, 3)


def test_a_small_image_is_refused(tmp_path):
    [photo] = photos([picture(tmp_path / "1.png", 20, 10)], EIGHT, smallest=11)
    assert "20 x 10 pixels" in photo.error


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="no pipes with names")
def test_a_pipe_does_not_hang(tmp_path):
    os.mkfifo(tmp_path / "pipe.png")
    [photo] = photos(image_files([tmp_path]), EIGHT)
    assert "pipe.png" in photo.error


def test_few_are_in_memory(tmp_path, monkeypatch):
    """Of a million files those are read that somebody is about to use."""
    read, path = [], picture(tmp_path / "1.png")

    def note(path, *, smallest):
        read.append(path)
        return read_image(path, smallest=smallest)

    monkeypatch.setattr(module, "read_image", note)
    stream = photos((path for _ in range(10**6)), EIGHT)
    for _ in range(3):
        next(stream)
    stream.close()
    assert 3 <= len(read) <= 3 + module.AHEAD + module.MOST_THREADS
    assert closed("ahead")


def closed(threads_of):
    return not [thread for thread in threading.enumerate() if thread.name.startswith(threads_of)]


def test_with_the_outputs_of_a_net(tmp_path):
    """A row for each that could be read, in batches; one of which nothing could be read is not given to the net."""
    paths = [picture(tmp_path / f"{i}.png", seed=i) for i in range(8)]
    for bad in (1, 3, 4, 5):
        paths[bad].write_text("Dear all")
    sizes = []

    def outputs(images):
        sizes.append(len(images))
        return images.mean(axis=(1, 2, 3))

    seen = list(with_outputs(photos(paths, EIGHT), outputs, 3))
    assert [photo.path for photo, _ in seen] == paths
    assert sizes == [2, 2]  # of 0, 1 2; of 3, 4, 5 none; of 6, 7
    for (photo, row), bad in zip(seen, (0, 1, 0, 1, 1, 1, 0, 0), strict=True):
        assert (row is None) == bool(bad)
        assert bad or row == photo.stored.mean()
    assert closed("ahead")


def test_after_an_error_no_thread_is_left(tmp_path):
    def outputs(images):
        raise ValueError(images.shape)

    with pytest.raises(ValueError, match="3, 8, 8, 3") as caught:
        list(with_outputs(photos([picture(tmp_path / "1.png")] * 500, EIGHT), outputs, 3))
    assert closed("ahead"), caught  # while somebody still looks at the error


def test_in_batches():
    assert list(in_batches(range(7), 3)) == [[0, 1, 2], [3, 4, 5], [6]]
    assert list(in_batches([], 3)) == []
