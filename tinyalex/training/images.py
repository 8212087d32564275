"""The images of a run, checked before anything is computed."""

import numpy as np

from tinyalex.data import Dataset, subset
from tinyalex.data.dataset import check_labels
from tinyalex.errors import UsageError
from tinyalex.training.settings import Settings


def images_to_train_on(train: Dataset, val: Dataset, settings: Settings) -> Dataset:
    """The training images that settings.limit allows; all where fewer are left, as bad ones have been left out.

    val: the validation images.
    Raises LabelError for labels that do not fit the classes, UsageError for a limit that there are not enough images
    for, for validation images of other classes, and for training images of one class, from which there is nothing to
    learn.
    """
    if settings.limit is not None and not (settings.skip_bad and len(train) < settings.limit):
        train = subset(train, settings.limit)
    if tuple(train.classes) != tuple(val.classes):
        raise UsageError(f"{val.name}: got validation images of other classes than the training images")
    for dataset in (train, val):
        check_labels(dataset.name, dataset.labels, len(dataset), len(train.classes))
    if len(np.unique(train.labels)) < 2:
        raise UsageError(f"{train.name}: got training images of one class: expected two classes or more to tell apart")
    return train
