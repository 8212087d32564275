"""Images that a net cannot learn from are refused before anything is computed."""

import numpy as np
import pytest

from runs import TINY, images, settings
from tinyalex import spec
from tinyalex.data import ArrayDataset
from tinyalex.errors import LabelError, UsageError
from tinyalex.training.images import images_to_train_on
from tinyalex.training.loop import Training


@pytest.fixture(autouse=True)
def _tiny(monkeypatch):
    monkeypatch.setitem(spec.VARIANTS, "tiny", TINY)


@pytest.mark.parametrize(
    ("train", "val", "given", "error", "told"),
    [
        (images(36), images(20, classes=3), {}, UsageError, "got validation images of other classes"),
        (images(8, classes=1), images(8, classes=1), {}, UsageError, "got training images of one class: expected two"),
        (images(36), images(20), {"limit": 1}, UsageError, "got training images of one class: expected two"),
        (images(36), images(20), {"limit": 37}, UsageError, "got limit=37: expected 1 ... 36"),
    ],
    ids=["other classes", "one class", "one image", "limit"],
)
def test_images_that_nothing_can_be_learnt_from(tmp_path, train, val, given, error, told):
    with pytest.raises(error, match=told):
        Training.start(settings(**given), train, val, tmp_path)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("label", [-1, 4])
@pytest.mark.parametrize("broken", ["train", "val"])
def test_labels_that_do_not_fit(label, broken):
    """A data set of one's own may have any."""
    sets = {"train": images(36), "val": images(20)}
    sets[broken].labels = np.where(np.arange(len(sets[broken])) == 7, label, sets[broken].labels)
    with pytest.raises(LabelError, match=f"got label {label}: expected 0 ... 3"):
        images_to_train_on(sets["train"], sets["val"], settings())


def test_bad_images_may_leave_fewer_than_the_limit():
    assert len(images_to_train_on(images(36), images(20), settings(limit=40, skip_bad=True))) == 36
    assert len(images_to_train_on(images(36), images(20), settings(limit=12, skip_bad=True))) == 12


def test_a_class_may_have_no_training_image():
    """Two others have."""
    whole = images(36)
    two = ArrayDataset("two", whole.images[:2], whole.labels[:2], whole.classes)
    assert images_to_train_on(two, images(20), settings()) is two
