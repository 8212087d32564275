"""The images of a run are examined before its first step: what is bad is named at once, or left out on request."""

import csv
import shutil

import numpy as np
import pytest
from PIL import Image

from runs import outcome, settings
from tinyalex import cli
from tinyalex.cli import images as run_images
from tinyalex.cli.images import EXAMINED, REJECTED, Found, RunImages, examined, images_of
from tinyalex.data import examine, folder, pixel_statistics
from tinyalex.errors import DataError
from tinyalex.parallel.ranks import Ranks

TRAIN = "train --variant tiny --data images --epochs 1 --out new/run"
BAD = ("train/class1/5.png", "train/class2/6.png", "train/class3/7.png", "val/class0/4.png", "val/class1/5.png")


@pytest.fixture
def damaged(here):
    """Five damaged images, cut short, so that their beginnings look well."""
    for name in BAD:
        path = here / "images" / name
        path.write_bytes(path.read_bytes()[:-100])
    return here


def run(words, capsys):
    code = cli.main(words.split())
    return code, *capsys.readouterr()


def test_all_bad_images_are_told_before_the_first_step(damaged, capsys):
    code, out, err = run(TRAIN, capsys)
    assert code == 2
    assert out == ""
    assert "got 5 of 52 images that cannot be used: " in err
    assert [name in err for name in BAD] == [True, True, True, False, False]  # the first three
    assert err.count("truncated") == 3
    assert "--skip-bad" in err
    assert err.count("\n") == 1
    assert not (damaged / "new" / "run" / "checkpoint.npz").exists()


def test_one_bad_image_of_the_validation_set_is_told(damaged, capsys):
    for name in BAD[:4]:
        (damaged / "images" / name).unlink()
    code, _, err = run(TRAIN, capsys)
    assert code == 2
    assert f"got 1 of 48 images that cannot be used: images/{BAD[4]} (" in err


def test_bad_images_are_left_out_on_request(damaged, capsys):
    code, out, err = run(f"{TRAIN} --skip-bad", capsys)
    assert (code, err) == (0, "")
    assert "left out 5 images that cannot be used: images/train/class1/5.png (" in out
    with (damaged / "new" / "run" / REJECTED).open() as file:
        header, *rows = csv.reader(file)
    assert header == ["path", "reason"]
    assert [path for path, _ in rows] == [f"images/{name}" for name in BAD]
    assert all("truncated" in reason for _, reason in rows)
    assert "on 14 images that it never saw" in out
    assert "1 epochs of 33 images" in out


def test_a_run_without_its_bad_images_is_one_on_the_others(damaged, monkeypatch):
    """The same parameters, bit for bit."""
    monkeypatch.setattr(cli.runs, "_finish", lambda _: None)
    trained = []
    original = cli.runs.Training.run
    monkeypatch.setattr(cli.runs.Training, "run", lambda self, *given: (original(self, *given), trained.append(self)))
    assert cli.main([*TRAIN.split(), "--skip-bad"]) == 0
    for name in BAD:
        (damaged / "images" / name).unlink()
    assert cli.main(TRAIN.replace("new/run", "new/other").split()) == 0
    one, other = map(outcome, trained)
    assert one["arrays"] == other["arrays"]


def test_a_run_without_its_bad_images_is_resumed(damaged, capsys):
    assert run(f"{TRAIN} --skip-bad", capsys)[0] == 0
    code, out, _ = run("train --resume new/run --epochs 2", capsys)
    assert code == 0
    assert "left out 5 images" in out
    for name in BAD:
        (damaged / "images" / name).unlink()  # what was left out may go
    code, out, _ = run("train --resume new/run --epochs 3", capsys)
    assert (code, "left out" in out) == (0, False)


def test_a_class_without_an_image_that_can_be_used(damaged, capsys):
    for path in (damaged / "images" / "val" / "class2").iterdir():
        path.write_bytes(b"")
    code, _, err = run(f"{TRAIN} --skip-bad", capsys)
    assert code == 2
    assert "got class class2 without an image that can be used: expected one or more" in err


def test_only_the_chosen_images_are_looked_at(damaged, capsys, monkeypatch):
    """Of 36 images the 8 chosen ones are among the first of their classes; the bad ones are not."""
    read = []
    original = folder.read_image
    monkeypatch.setattr(folder, "read_image", lambda path, **kw: read.append(path) or original(path, **kw))
    for name in BAD[3:]:
        shutil.copy(damaged / "images" / "val" / "class0" / "0.png", damaged / "images" / name)
    monkeypatch.setattr(cli.runs, "_finish", lambda _: None)
    assert run(f"{TRAIN} --limit 4 --batch 4", capsys)[0] == 0
    assert len([path for path in read if "/train/" in path]) == 4  # once each: they stay in memory


@pytest.mark.usefixtures("damaged")
def test_a_limit_with_bad_images_left_out(capsys):
    code, out, _ = run(f"{TRAIN} --limit 35 --skip-bad", capsys)
    assert code == 0
    assert "1 epochs of 33 images" in out
    assert run("train --resume new/run --epochs 2", capsys)[0] == 0


def counted(monkeypatch):
    calls = []
    original = examine.examine
    monkeypatch.setattr(examine, "examine", lambda data, **kw: calls.append(kw["decode"]) or original(data, **kw))
    return calls


@pytest.mark.parametrize("words", ["--out new/other", "--resume new/run --epochs 2"])
def test_the_next_run_on_the_same_images_starts_at_once(here, capsys, monkeypatch, words):
    assert run(TRAIN, capsys)[0] == 0
    assert len(list((here / "new" / EXAMINED).iterdir())) == 2
    monkeypatch.setattr(examine, "examine", None)
    assert run(f"{TRAIN.replace('--out new/run', '')} {words}", capsys)[0] == 0


def test_of_validation_images_the_beginning_may_do(damaged, capsys, monkeypatch):
    """What is damaged further on is found by the first validation, which names it."""
    calls = counted(monkeypatch)
    for name in BAD[:3]:
        (damaged / "images" / name).unlink()
    code, _, err = run(f"{TRAIN} --check header", capsys)
    assert calls == [True, False]
    assert code == 2
    assert f"images/{BAD[3]} (" in err
    assert (damaged / "new" / "run" / "checkpoint.npz").exists()


def test_the_same_image_in_two_classes_is_told(here, capsys):
    of = here / "images" / "train"
    shutil.copy(of / "class0" / "0.png", of / "class3" / "3.png")
    code, _, err = run(TRAIN, capsys)
    assert code == 0
    assert "got 1 images in two classes: images/train/class0/0.png is the same as images/train/class3/3.png" in err
    assert err.count("\n") == 1


def given(where):
    chosen = settings(data=str(where), input_size=16)
    return *images_of(chosen), chosen


def test_the_statistics_are_those_of_the_training_images(here):
    train, val, chosen = given("images")
    found = examined(train, val, chosen, here / "new" / "run", Ranks())
    expected = pixel_statistics(images_of(chosen)[0])
    np.testing.assert_array_equal(found.statistics.mean, expected.mean)
    np.testing.assert_array_equal(found.statistics.eigenvectors, expected.eigenvectors)
    assert found[:2] == (train, val)


class Second(Ranks):
    """A rank that is told what rank 0 has found."""

    rank, size = 1, 2

    def __init__(self, told):
        self.told = told

    def agree(self, value):
        assert value is None
        return self.told


def test_the_other_ranks_are_told(here, monkeypatch):
    monkeypatch.setattr(run_images, "kept_or_examined", None)
    train, val, chosen = given("images")
    statistics = pixel_statistics(train)
    found = examined(train, val, chosen, here / "run", Second(Found({}, {}, statistics)))
    assert found == RunImages(train, val, statistics, [])
    with pytest.raises(DataError, match=r"got 1 of 52 images .*class0/12\.png \(torn\)"):
        examined(train, val, chosen, here / "run", Second(Found({1: "torn"}, {}, statistics)))


def test_images_that_are_generated_are_not_examined(here):
    train, val, chosen = given("shapes")
    assert examined(train, val, chosen, here / "new" / "run", Ranks()) == RunImages(train, val)
    assert not (here / "new" / EXAMINED).exists()


def test_a_square_of_noise_is_an_image(here):
    """The damage of these tests is damage: the whole file can be read."""
    Image.open(here / "images" / BAD[0]).load()
