"""Batches, prepared by threads while the net computes; the released code also loads the next batch ahead.

Each batch has its own random numbers, seeded by (seed, epoch, batch): batch 57 of epoch 3 is the same whichever thread
prepares it, and in a run that was resumed.

Axes: n images of a batch, V views of one image, c height and width of a crop.
"""

from collections import deque
from collections.abc import Callable, Generator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from tinyalex.data.augment import Augmenter
from tinyalex.data.dataset import Dataset
from tinyalex.errors import UsageError

Batch = tuple[NDArray[np.float32], NDArray[np.int64]]  # images, labels
Made = TypeVar("Made")

STREAM = 0x10AD  # separates the loader's random numbers from the others with the same seed


def batch_count(images: int, batch_size: int) -> int:
    """The number of training batches in an epoch: the full ones, or one smaller batch if the images fill none."""
    return images // batch_size or min(images, 1)


def batches(
    dataset: Dataset,
    augmenter: Augmenter,
    batch_size: int,
    *,
    seed: int,
    epoch: int,
    start: int = 0,
    share: Callable[[int], slice] = slice,
    workers: int = 1,
    depth: int = 3,
) -> Generator[Batch, None, None]:
    """The training batches of one epoch, in random order: x (n, 3, c, c) float32, labels (n,) int64.

    Images that do not fill a last batch are left out of this epoch, unless there is no full batch. The order differs
    from epoch to epoch, so they are used in others.

    start:   the number of the first batch: b gives the batches b, b + 1, ... of the same epoch.
    share:   maps n to the slice of a batch of n images that this rank prepares; the default is all of them.
    workers: the number of threads.   depth: the number of batches that are prepared ahead.
    Raises:  UsageError at once for wrong settings; an error in a thread, such as DataError, with the batch concerned.
    """
    _check_settings(batch_size, workers, depth)
    if start < 0:
        raise UsageError(f"got start={start}: expected 0 or more")
    order = _stream(seed, epoch).permutation(len(dataset))

    def make(number: int) -> Batch:
        indices = order[number * batch_size : (number + 1) * batch_size]
        own = share(len(indices))
        read = dataset.read(indices[own])
        images = augmenter.train_batch(read, _stream(seed, epoch, number), first=own.start or 0, batch=len(indices))
        return images, dataset.labels[indices[own]]

    return _prepared_ahead(make, range(start, batch_count(len(dataset), batch_size)), workers, depth)


def evaluation_batches(
    dataset: Dataset,
    augmenter: Augmenter,
    batch_size: int,
    views: str = "centre",
    *,
    workers: int = 1,
    depth: int = 3,
) -> Generator[Batch, None, None]:
    """All images once, in order: x (n, V, 3, c, c) float32, labels (n,) int64; the last batch may be smaller.

    views:  "centre", the central crop (V = 1), or "ten": the four corners, the centre and their mirror images (V = 10).
    workers, depth: as for `batches`.
    Raises: UsageError at once for wrong settings; an error in a thread, such as DataError, with the batch concerned.
    """
    _check_settings(batch_size, workers, depth)
    if views not in ("centre", "ten"):
        raise UsageError(f"got views {views!r}: expected centre or ten")

    def make(first: int) -> Batch:
        indices = np.arange(first, min(first + batch_size, len(dataset)))
        images = dataset.read(indices)
        seen = augmenter.ten_crops(images) if views == "ten" else augmenter.centre(images)[:, None]
        return seen, dataset.labels[indices]

    return _prepared_ahead(make, range(0, len(dataset), batch_size), workers, depth)


def _stream(seed: int, *path: int) -> np.random.Generator:
    """The generator for one place in a run: `path` is (epoch,) for the order, (epoch, batch) for the augmentation.

    The path is a spawn key, as NumPy pads a plain list of numbers with zeros: [seed, 0] equals [seed, 0, 0].
    """
    return np.random.default_rng(np.random.SeedSequence(seed, spawn_key=(STREAM, *path)))


def _prepared_ahead(
    make: Callable[[int], Made], numbers: range, workers: int, depth: int
) -> Generator[Made, None, None]:
    """Yield make(number) for each number, in order; threads compute up to `depth` of them ahead of the consumer.

    Threads, not processes: decoding and NumPy's loops release the interpreter lock, and nothing has to be copied.
    Closing the generator early cancels the pending calls and ends the threads.
    """
    pool = ThreadPoolExecutor(workers, thread_name_prefix="batches")
    pending: deque[Future[Made]] = deque()
    try:
        for number in numbers:
            pending.append(pool.submit(make, number))
            if len(pending) > depth:
                yield pending.popleft().result()
        while pending:
            yield pending.popleft().result()
    finally:
        pool.shutdown(cancel_futures=True)


def _check_settings(batch_size: int, workers: int, depth: int) -> None:
    """Raise UsageError for a count below 1."""
    for name, value in (("batch_size", batch_size), ("workers", workers), ("depth", depth)):
        if value < 1:
            raise UsageError(f"got {name}={value}: expected 1 or more")
