"""Batches, prepared while the net computes (the released code too loads the next batch during this one).

Every batch has random numbers of its own, made from (seed, epoch, batch): batch 57 of epoch 3 comes out the same
whichever thread prepares it and wherever a run was resumed.

Axes: n images of a batch, V views of one image, c the crop's height and width.
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

STREAM = 0x10AD  # keeps the loader's random numbers apart from all others that are made from a run's seed


def batch_count(images: int, batch_size: int) -> int:
    """How many training batches an epoch has: the full ones, or one that is not full if there is no full one."""
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

    The images that are left after the last full batch are not used in this epoch (unless there is no full batch):
    the order differs from epoch to epoch, so that they get their turn.

    start:   the number of the first batch; resuming at b gives the batches b, b + 1, ... of the whole epoch.
    share:   which of n images to prepare: all, or one of several processes its own; (n, ...) then are those.
    workers: threads that prepare batches; depth: how many batches are prepared ahead.
    Raises:  UsageError at once; what goes wrong in a thread, DataError say, when its batch is asked for.
    """
    _check_settings(batch_size, workers, depth)
    if start < 0:
        raise UsageError(f"start is {start}; expected 0 or more")
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
    """All images once, in their order, the last batch as small as it comes: x (n, V, 3, c, c) float32, labels (n,).

    views: "centre", the central crop (V = 1), or "ten", the four corners, the centre and their mirror images (V = 10).
    Raises UsageError at once on unknown views; what goes wrong in a thread, when its batch is asked for.
    """
    _check_settings(batch_size, workers, depth)
    if views not in ("centre", "ten"):
        raise UsageError(f"unknown views {views!r}; expected centre or ten")

    def make(first: int) -> Batch:
        indices = np.arange(first, min(first + batch_size, len(dataset)))
        images = dataset.read(indices)
        seen = augmenter.ten_crops(images) if views == "ten" else augmenter.centre(images)[:, None]
        return seen, dataset.labels[indices]

    return _prepared_ahead(make, range(0, len(dataset), batch_size), workers, depth)


def _stream(seed: int, *path: int) -> np.random.Generator:
    """Random numbers of one place in a run, independent of every other's: (epoch,) orders, (epoch, batch) augments.

    A spawn key, since a plain list of numbers is filled up with zeros: [seed, 0] would draw what [seed, 0, 0] draws.
    """
    return np.random.default_rng(np.random.SeedSequence(seed, spawn_key=(STREAM, *path)))


def _prepared_ahead(
    make: Callable[[int], Made], numbers: range, workers: int, depth: int
) -> Generator[Made, None, None]:
    """make(number) for each number, in order, `depth` of them under way in threads while the consumer works.

    Threads, not processes: decoding and NumPy's loops release the interpreter lock, and nothing has to be copied.
    Closing the generator, at its end or before, drops what is waiting and ends the threads.
    """
    pool = ThreadPoolExecutor(workers, thread_name_prefix="batches")
    under_way: deque[Future[Made]] = deque()
    try:
        for number in numbers:
            under_way.append(pool.submit(make, number))
            if len(under_way) > depth:
                yield under_way.popleft().result()
        while under_way:
            yield under_way.popleft().result()
    finally:
        pool.shutdown(cancel_futures=True)


def _check_settings(batch_size: int, workers: int, depth: int) -> None:
    """Raise UsageError where a count is below 1."""
    for name, value in (("batch_size", batch_size), ("workers", workers), ("depth", depth)):
        if value < 1:
            raise UsageError(f"{name} is {value}; expected 1 or more")
