"""What training needs of memory, how fast it is from images in memory to parameters, and whether it repeats itself."""

import hashlib
import math
import tempfile
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from tinyalex import spec as nets
from tinyalex.backend import to_numpy
from tinyalex.cost.accounting import free_gpu_pools, measured
from tinyalex.cost.gpu.rows import GPU, TWO, Row, Sizes
from tinyalex.cost.memory import predicted
from tinyalex.cost.speed import Bench
from tinyalex.count import count
from tinyalex.data import ArrayDataset
from tinyalex.data.shapes import CLASSES, Shapes
from tinyalex.training.loop import Training
from tinyalex.training.settings import settings_for

NEAR = 0.1  # the prediction of memory may be wrong by so much
DRAWN = 250  # different images; the data set repeats them, as to draw one takes 10 ms
RATE = 0.001  # the paper's 0.01 can kill the units of a net that trains on few images


def memory(sizes: Sizes) -> Iterator[Row]:
    """Predicted and measured bytes of training. Two columns on one GPU share a pool, so theirs has no verdict."""
    rows = count(nets.variant(sizes.variant))
    for batch in sizes.batches:
        for what, devices in (("one net", (GPU,)), ("two columns", TWO)):
            expected = sum(part.total for part in predicted(rows, batch, devices)) / 1e6
            found = measured(sizes.variant, batch, devices)[GPU] / 1e6
            free_gpu_pools(devices)
            row: Row = {"what": f"{what}, {batch} images", "predicted MB": expected, "measured MB": found}
            row["measured / predicted"] = found / expected
            yield row | ({"right": abs(found / expected - 1) <= NEAR} if devices == (GPU,) else {})


def training(sizes: Sizes) -> Iterator[Row]:
    """Epochs of training from stored images, on one device and on two columns; and whether steps repeat bit for bit."""
    yield from same_bits(sizes)
    batch = sizes.batches[0]
    bench = Bench(sizes.variant, "train", batch, devices=GPU)
    alone = bench.pace(sizes.steps).median_images_per_s
    del bench
    yield {"what": "steps alone, one net", "images/s": alone}
    images = stored_images(sizes)
    yield from run("one net", images, sizes.variant, batch, sizes.epochs, (GPU,), alone)
    yield from run("two columns", images, sizes.variant, batch, 2, TWO)


def stored_images(sizes: Sizes) -> ArrayDataset:
    """Images of the stored size as bytes in memory, as the loader reads them from a prepared folder."""
    drawn = min(DRAWN, sizes.images)
    shapes = Shapes(drawn, size=nets.stored_size(nets.variant(sizes.variant).input_size))
    numbers = np.arange(sizes.images) % drawn
    return ArrayDataset("shapes", shapes.read(np.arange(drawn))[numbers], shapes.labels[numbers], CLASSES)


def run(
    what: str,
    images: ArrayDataset,
    variant: str,
    batch: int,
    epochs: int,
    devices: tuple[str, ...],
    alone: float | None = None,
) -> Iterator[Row]:
    """A training run, a row for its first epoch and one for the others.

    alone: the images a second of steps without a loader; the rest of the time goes on waiting for input.
    """
    settings = settings_for(
        variant, epochs=epochs, batch=batch, lr=RATE, devices=devices, schedule="constant", validate_every=epochs
    )
    few = ArrayDataset("shapes", images.images[:batch], images.labels[:batch], CLASSES)
    with tempfile.TemporaryDirectory() as folder:
        history = _history(Training.start(settings, images, few, Path(folder) / "run"))
    free_gpu_pools(devices)
    for name, records in (("epoch 1", history[:1]), (f"epochs 2 to {epochs}", history[1:])):
        pace = len(records) / sum(1 / record["images_per_s"] for record in records)
        row: Row = {"what": f"{what}, {name}", "images/s": pace, "loss": records[-1]["train_loss"]}
        if alone is not None:
            row["waiting for input"] = max(0.0, 1 - pace / alone)
        yield row | {"right": math.isfinite(records[-1]["train_loss"])}


def _history(training: Training) -> list[dict[str, float]]:
    training.run()
    return training.history


def same_bits(sizes: Sizes) -> Iterator[Row]:
    """A few steps, twice from the same start: the same parameters, bit for bit."""
    found = []
    for _ in range(2):
        bench = Bench(sizes.variant, "train", sizes.batches[0], devices=GPU)
        for _ in range(sizes.repeated):
            bench.step()
        sums = [hashlib.sha256(to_numpy(array).tobytes()).hexdigest() for array in bench.net.params.values()]
        found.append(sums)
        del bench
    free_gpu_pools([GPU])
    yield {"what": f"{sizes.repeated} steps twice, the same bits", "right": found[0] == found[1]}
