"""Images for the nets: their sources (section 2), their augmentation (section 4.1), and batches."""

from pathlib import Path

from tinyalex.data.augment import Augmenter
from tinyalex.data.cifar import CIFARS, load_cifar, load_cifar10, load_cifar100
from tinyalex.data.cifar_download import cache_folder, download_cifar10, download_cifar100
from tinyalex.data.dataset import ArrayDataset, Dataset
from tinyalex.data.folder import FolderDataset, load_folder
from tinyalex.data.loader import batch_count, batches, evaluation_batches
from tinyalex.data.prepare import Preparation, prepare_image, read_image
from tinyalex.data.shards.index import is_prepared
from tinyalex.data.statistics import PixelStatistics, PixelSums, pixel_statistics
from tinyalex.data.subset import Subset, subset
from tinyalex.errors import DataError
from tinyalex.files import at_home

__all__ = [
    "ArrayDataset",
    "Augmenter",
    "Dataset",
    "FolderDataset",
    "PixelStatistics",
    "PixelSums",
    "Preparation",
    "Subset",
    "batch_count",
    "batches",
    "download_cifar10",
    "download_cifar100",
    "evaluation_batches",
    "load_cifar10",
    "load_cifar100",
    "load_folder",
    "open_data",
    "pixel_statistics",
    "prepare_image",
    "read_image",
    "subset",
]


def open_data(
    source: str,
    *,
    size: int,
    seed: int = 0,
    smallest: int = 1,
    preparation: Preparation | None = None,
    train_count: int = 6000,
    val_count: int = 1000,
) -> tuple[Dataset, Dataset]:
    """The data sets (train, validation) that `source` names, with images stored as size x size.

    source: "shapes": train_count and val_count images, generated from `seed`;
            "cifar10" or "cifar100": from the folder of `download_cifar10` or `download_cifar100`;
            "cifar10:DIR" or "cifar100:DIR": from the folder DIR;
            a folder that `tinyalex prepare` wrote: the prepared set in it, whose images must be size x size;
            any other folder: one of class folders (see `load_folder`), whose images must have at least
            `smallest` x `smallest` pixels. A leading ~ stands for the home folder.
    preparation: how the images of class folders become size x size, if not as `Preparation(size)`; those of other
            sources are stored already.
    Raises: DataError if the source is unknown or cannot be read; UsageError for a size that it cannot have.
    """
    kind, colon, folder = source.partition(":")
    if source == "shapes":
        from tinyalex.data.shapes import Shapes  # only this source needs the generator

        return (
            Shapes(train_count, split="train", seed=seed, size=size),
            Shapes(val_count, split="val", seed=seed, size=size),
        )
    if kind in CIFARS:
        where = Path(folder) if colon else cache_folder(CIFARS[kind])
        if not colon and not where.is_dir():
            raise DataError(
                f"got {kind}: expected its files in {where}; name their folder as {kind}:DIR, or run "
                f"tinyalex prepare {kind}, which downloads them (170 MB)"
            )
        return load_cifar(CIFARS[kind], where, "train", size), load_cifar(CIFARS[kind], where, "val", size)
    if not source or not at_home(source).is_dir():
        raise DataError(
            f"got data {source!r}: expected shapes, cifar10[:DIR], cifar100[:DIR], or a folder of class folders"
        )
    if is_prepared(at_home(source)):
        from tinyalex.data.shards.dataset import load_prepared  # as for Shapes

        return load_prepared(source, size=size)
    return load_folder(source, size=size, smallest=smallest, preparation=preparation)
