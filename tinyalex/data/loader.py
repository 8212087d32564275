"""Batches, prepared by threads while the net computes; the released code also loads the next batch ahead.

Threads read and decode the images. They also augment them, unless the net is on a GPU: then the GPU does.

Each batch has its own random numbers, seeded by (seed, epoch, batch): batch 57 of epoch 3 is the same whichever thread
prepares it, and in a run that was resumed.

Axes: n images of a batch, V views of one image, c height and width of a crop.
"""

import time
from collections.abc import Callable, Generator
from contextlib import closing
from typing import Self

import numpy as np
from numpy.typing import NDArray

from tinyalex.backend import Array, is_cpu, thread_count
from tinyalex.data.ahead import prepared_ahead
from tinyalex.data.augment import Augmenter, Views
from tinyalex.data.dataset import Dataset
from tinyalex.data.upload import Upload
from tinyalex.errors import UsageError, at_least

Batch = tuple[Array, NDArray[np.int64]]  # images, labels
Stored = tuple[NDArray[np.uint8], Views, NDArray[np.int64]]  # stored images, what is seen of them, labels

STREAM = 0x10AD  # separates the loader's random numbers from the others with the same seed


class Batches:
    """An iterator over batches that are prepared ahead; `with closing(...)` ends it early.

    waited: the seconds so far in which the consumer asked for a batch and did not have it yet.
    """

    def __init__(self, made: Generator[Batch, None, None]) -> None:
        self._made = made
        self.waited = 0.0

    def __iter__(self) -> Self:
        return self

    def __next__(self) -> Batch:
        began = time.perf_counter()
        try:
            return next(self._made)
        finally:
            self.waited += time.perf_counter() - began

    def close(self) -> None:
        """Drop the batches that are not used yet, and end the threads."""
        self._made.close()


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
    device: str | None = None,
    workers: int | None = None,
    depth: int | None = None,
) -> Batches:
    """The training batches of one epoch, in random order: x (n, 3, c, c) float32, labels (n,) int64.

    Images that do not fill a last batch are left out of this epoch, unless there is no full batch. The order differs
    from epoch to epoch, so they are used in others.

    start:   the number of the first batch: b gives the batches b, b + 1, ... of the same epoch.
    share:   maps n to the slice of a batch of n images that this rank prepares; the default is all of them.
    device:  a GPU, "cuda:0", "cuda:1", ..., where x is computed and stays; for the CPU and for None x is a NumPy array.
    workers: the number of threads; None: 1 on the CPU, which has a net to compute; for a GPU one for each core.
    depth:   the number of batches that are prepared ahead; None: two more than workers.
    Raises:  UsageError at once for wrong settings; an error in a thread, such as DataError, with the batch concerned.
    """
    workers, depth = _checked_settings(batch_size, device, workers, depth)
    at_least(0, start=start)
    order = _stream(seed, epoch).permutation(len(dataset))

    def read(number: int) -> Stored:
        indices = order[number * batch_size : (number + 1) * batch_size]
        own = share(len(indices))
        rng = _stream(seed, epoch, number)
        views = augmenter.draw(len(indices), rng, own)
        images = augmenter.enlarge(dataset.read(indices[own]), len(indices), rng, own)
        return images, views, dataset.labels[indices[own]]

    numbers = range(start, batch_count(len(dataset), batch_size))
    return Batches(_augmented(read, numbers, augmenter, device, workers, depth))


def evaluation_batches(
    dataset: Dataset,
    augmenter: Augmenter,
    batch_size: int,
    views: str = "centre",
    *,
    device: str | None = None,
    workers: int | None = None,
    depth: int | None = None,
) -> Batches:
    """All images once, in order: x (n, V, 3, c, c) float32, labels (n,) int64; the last batch may be smaller.

    views:  "centre", the central crop (V = 1), or "ten": the four corners, the centre and their mirror images (V = 10).
    device, workers, depth: as for `batches`.
    Raises: UsageError at once for wrong settings; an error in a thread, such as DataError, with the batch concerned.
    """
    workers, depth = _checked_settings(batch_size, device, workers, depth)
    if views not in ("centre", "ten"):
        raise UsageError(f"got views {views!r}: expected centre or ten")

    def read(first: int) -> Stored:
        indices = np.arange(first, min(first + batch_size, len(dataset)))
        seen = augmenter.ten_views(len(indices)) if views == "ten" else augmenter.centre_views(len(indices))
        return dataset.read(indices), seen, dataset.labels[indices]

    made = _augmented(read, range(0, len(dataset), batch_size), augmenter, device, workers, depth)
    return Batches(_by_image(made))


def _by_image(made: Generator[Batch, None, None]) -> Generator[Batch, None, None]:
    """The same batches, x (n*V, 3, c, c) as (n, V, 3, c, c)."""
    with closing(made):
        for x, labels in made:
            yield x.reshape(len(labels), -1, *x.shape[1:]), labels


def _stream(seed: int, *path: int) -> np.random.Generator:
    """The generator for one place in a run: `path` is (epoch,) for the order, (epoch, batch) for the augmentation.

    The path is a spawn key, as NumPy pads a plain list of numbers with zeros: [seed, 0] equals [seed, 0, 0].
    """
    return np.random.default_rng(np.random.SeedSequence(seed, spawn_key=(STREAM, *path)))


def _augmented(
    read: Callable[[int], Stored], numbers: range, augmenter: Augmenter, device: str | None, workers: int, depth: int
) -> Generator[Batch, None, None]:
    """The images and labels of read(number), for each number, augmented: by the threads, or on the GPU `device`."""
    if device is None or is_cpu(device):

        def make(number: int) -> Batch:
            images, views, labels = read(number)
            return augmenter.view(images, views), labels

        return prepared_ahead(make, numbers, workers, depth)
    return _augmented_on_gpu(read, numbers, augmenter, device, workers, depth)


def _augmented_on_gpu(
    read: Callable[[int], Stored], numbers: range, augmenter: Augmenter, device: str, workers: int, depth: int
) -> Generator[Batch, None, None]:
    """The same on a GPU: the threads fill pinned buffers, and the consumer's thread queues the rest."""
    with closing(Upload(augmenter, device)) as upload:

        def stage(number: int) -> Stored:
            images, views, labels = read(number)
            return upload.stage(images), views, labels

        with closing(prepared_ahead(stage, numbers, workers, depth)) as staged:
            for images, views, labels in staged:
                yield upload.augmented(images, views), labels


def _checked_settings(batch_size: int, device: str | None, workers: int | None, depth: int | None) -> tuple[int, int]:
    """The numbers of workers and of batches ahead, by default if they are None. Raises UsageError for a count below 1.

    Raises UsageError also for a name that no device can have.
    """
    if workers is None:
        workers = 1 if device is None or is_cpu(device) else thread_count()
    if depth is None:
        depth = workers + 2
    at_least(1, batch_size=batch_size, workers=workers, depth=depth)
    return workers, depth
