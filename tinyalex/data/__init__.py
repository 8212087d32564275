"""Images for the nets: where they come from (section 2), how they are augmented (4.1), and batches of them."""

from pathlib import Path

from tinyalex.data.augment import Augmenter
from tinyalex.data.cifar import cache_folder, download_cifar10, load_cifar10
from tinyalex.data.dataset import ArrayDataset, Dataset
from tinyalex.data.folder import FolderDataset, load_folder
from tinyalex.data.loader import batch_count, batches, evaluation_batches
from tinyalex.data.prepare import PixelStatistics, pixel_statistics, prepare_image, read_image
from tinyalex.data.subset import Subset, subset
from tinyalex.errors import DataError

__all__ = [
    "ArrayDataset",
    "Augmenter",
    "Dataset",
    "FolderDataset",
    "PixelStatistics",
    "Subset",
    "batch_count",
    "batches",
    "download_cifar10",
    "evaluation_batches",
    "load_cifar10",
    "load_folder",
    "open_data",
    "pixel_statistics",
    "prepare_image",
    "read_image",
    "subset",
]


def open_data(
    source: str, *, size: int, seed: int = 0, smallest: int = 1, train_count: int = 6000, val_count: int = 1000
) -> tuple[Dataset, Dataset]:
    """The data sets (train, validation) that `source` names, their images stored as size x size.

    source: "shapes", generated: train_count and val_count images from `seed`;
            "cifar10", from the folder that `download_cifar10` fills, or "cifar10:DIR", from that folder;
            anything else: a folder of class folders (see `load_folder`), whose images must have at least
            `smallest` x `smallest` pixels. A leading ~ is the home folder.
    Raises: DataError where the source is none of these or cannot be read.
    """
    kind, colon, folder = source.partition(":")
    if source == "shapes":
        from tinyalex.data.shapes import Shapes  # only this source needs the generator

        return (
            Shapes(train_count, split="train", seed=seed, size=size),
            Shapes(val_count, split="val", seed=seed, size=size),
        )
    if kind == "cifar10":
        if not colon and not cache_folder().is_dir():
            raise DataError(
                f"CIFAR-10 is not in {cache_folder()}: name its folder as cifar10:DIR, or run tinyalex prepare "
                "cifar10, which downloads it (170 MB)"
            )
        where = folder if colon else cache_folder()
        return load_cifar10(where, "train", size=size), load_cifar10(where, "val", size=size)
    if not source or not Path(source).expanduser().is_dir():
        raise DataError(f"no data {source!r}; expected shapes, cifar10[:DIR], or a folder of class folders")
    return load_folder(source, size=size, smallest=smallest)
