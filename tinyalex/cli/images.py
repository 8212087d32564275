"""The images of a run, examined before its first step, and the smallest image that a net can read."""

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np

from tinyalex import spec as nets
from tinyalex.cli.terminal import complain, counting
from tinyalex.data import Dataset, FolderDataset, PixelStatistics, Subset, open_data, subset
from tinyalex.data.examine import Examination, in_two_classes, kept_or_examined, write_rejected
from tinyalex.data.shards.dataset import PreparedDataset
from tinyalex.errors import DataError
from tinyalex.files import legible
from tinyalex.parallel.ranks import Ranks
from tinyalex.training.settings import Settings

EXAMINED = ".examined"  # the folder, beside the runs, of what was found in images
REJECTED = "rejected.csv"  # the list, in the folder of a run, of the images that were left out
NAMED = 3  # of several images, those that a message names


def images_of(settings: Settings) -> tuple[Dataset, Dataset]:
    """The training and the validation images of a run, in the size that crops are taken from."""
    smallest = first_kernel(nets.variant(settings.variant))
    return open_data(settings.data, size=settings.stored_size, seed=0, smallest=smallest)


def first_kernel(spec: nets.Spec) -> int:
    """Height and width in pixels of conv1's kernels: an image must be at least as large."""
    first = spec.layers["conv1"]
    assert isinstance(first, nets.Conv)
    return first.size


class RunImages(NamedTuple):
    """The images that a run trains on and is validated on.

    statistics: of the training images; None if they are still to be measured.
    rejected:   the path of each image that was left out, and the reason.
    """

    train: Dataset
    val: Dataset
    statistics: PixelStatistics | None = None
    rejected: Sequence[tuple[str, str]] = ()


class Found(NamedTuple):
    """What rank 0 tells the others: the bad images of both sets, as in Examination, and the training statistics."""

    train: dict[int, str]
    val: dict[int, str]
    statistics: PixelStatistics | None


def examined(train: Dataset, val: Dataset, settings: Settings, folder: Path, ranks: Ranks) -> RunImages:
    """The images of the run in `folder`. Those in files are looked at first, on rank 0.

    What is found is kept in a folder beside the run's, for the next run on the same images.
    Raises DataError if images cannot be used, unless settings.skip_bad leaves them out; then if a class has none left.
    """
    train = subset(train, settings.limit) if settings.limit else train
    if not isinstance(train, FolderDataset) or not isinstance(val, FolderDataset):
        return RunImages(train, val, train.statistics if isinstance(train, PreparedDataset) else None)
    found: Found = ranks.agree(
        _found(settings, train, val, folder.resolve().with_name(EXAMINED)) if ranks.writes else None
    )
    both = ((train, found.train), (val, found.val))
    rejected = [(dataset.paths[index], reason) for dataset, bad in both for index, reason in bad.items()]
    if rejected and not settings.skip_bad:
        raise DataError(
            f"got {len(rejected):,} of {len(train) + len(val):,} images that cannot be used: "
            f"{_some(rejected)}; replace or remove them, or leave them out with --skip-bad"
        )
    return RunImages(_without(train, found.train), _without(val, found.val), found.statistics, rejected)


def _found(settings: Settings, train: FolderDataset, val: FolderDataset, kept: Path) -> Found:
    """Look at the images. Those of the training set are decoded in any case: their mean is needed."""
    with counting(len(train) + len(val), "looking at the images") as progress:
        of_train = kept_or_examined(train, kept, progress=progress)
        of_val = kept_or_examined(val, kept, decode=settings.check == "decode", progress=progress)
    _warn_of_twins(((train, of_train), (val, of_val)))
    sums = of_train.sums
    return Found(of_train.bad, of_val.bad, sums.statistics() if sums is not None and sums.count else None)


def _warn_of_twins(both: Sequence[tuple[FolderDataset, Examination]]) -> None:
    if twins := in_two_classes(both):
        one, other = map(legible, twins[0])
        complain(f"got {len(twins):,} images in two classes: {one} is the same as {other}; remove one of each two")


def _without(dataset: FolderDataset, bad: dict[int, str]) -> Dataset:
    """The set without its bad images. Raises DataError if a class has no other."""
    if not bad:
        return dataset
    good = np.delete(np.arange(len(dataset)), list(bad))
    for label in np.setdiff1d(dataset.labels, dataset.labels[good]):
        raise DataError(f"got class {dataset.classes[label]} without an image that can be used: expected one or more")
    return Subset(dataset, good)


def report_rejected(images: RunImages, folder: Path) -> None:
    """Say which images were left out, if any, and list them all in the run's folder."""
    if images.rejected:
        write_rejected(folder / REJECTED, images.rejected)
        print(
            f"left out {len(images.rejected):,} images that cannot be used: {_some(images.rejected)}; "
            f"all are in {folder / REJECTED}"
        )


def _some(rejected: Sequence[tuple[str, str]]) -> str:
    """The first few images with their reasons."""
    named = [f"{legible(path)} ({reason})" for path, reason in rejected[:NAMED]]
    return ", ".join(named) + (", ..." if len(rejected) > NAMED else "")
