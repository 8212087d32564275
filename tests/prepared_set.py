"""A small prepared set for tests, written shard by shard."""

import io

import numpy as np
from PIL import Image

from tinyalex.data import PixelStatistics
from tinyalex.data.shards.index import Index, write_index
from tinyalex.data.shards.measured import write_statistics
from tinyalex.data.shards.shard import new_shard

CLASSES = ("ant", "bee", "cat")
COUNTS = {"train": (4, 0, 3), "val": (2,)}  # images in each shard; one shard lost all of its images


def statistics_of(size):
    rng = np.random.default_rng(size)
    mean = rng.uniform(0, 255, (size, size, 3)).astype(np.float32)
    return PixelStatistics(mean, np.array([0.2, 0.01, 0.002]), np.linalg.qr(rng.normal(size=(3, 3)))[0])


def jpeg_of(image, quality=90):
    file = io.BytesIO()
    Image.fromarray(image).save(file, "JPEG", quality=quality)
    return file.getvalue()


def write_set(folder, form="raw", size=8, counts=COUNTS):
    """Write a set of random images -> {split: (images (N, S, S, 3) as they are read back, labels (N,))}."""
    rng, written, shards = np.random.default_rng(7), {}, {}
    for split, sizes in counts.items():
        images = rng.integers(0, 256, (sum(sizes), size, size, 3), np.uint8)
        labels = rng.integers(0, len(CLASSES), len(images))
        labels[0] = len(CLASSES) - 1
        stored = list(images) if form == "raw" else [jpeg_of(image) for image in images]
        entries, todo = [], iter(zip(stored, labels.tolist(), strict=True))
        for number, count in enumerate(sizes):
            with new_shard(folder, split, number, form, size) as shard:
                for _ in range(count):
                    shard.add(*next(todo))
            entries.append(shard.entry)
        read = images if form == "raw" else np.stack([np.array(Image.open(io.BytesIO(file))) for file in stored])
        written[split], shards[split] = (read, labels), tuple(entries)
    settings = {"seed": 3, "form": form, "nested": {"list": [1, 2.5, None]}}
    wnids = tuple(f"n{number:08}" for number in range(len(CLASSES)))
    sha256 = write_statistics(folder, statistics_of(size))
    write_index(folder, Index("tiny", form, size, CLASSES, wnids, settings, sha256, shards))
    return written
