"""Validation during a run: the errors on images that the net does not learn from, measured by all ranks together."""

import time

import numpy as np

from tinyalex.data import Augmenter, Dataset, Subset
from tinyalex.net import AlexNet
from tinyalex.parallel.ranks import Ranks
from tinyalex.training.evaluate import probabilities, scores


class Validation:
    """The validation images of a run, shared out to its ranks.

    workers: the number of threads that prepare batches, as for `tinyalex.data.batches`.

    Raises UsageError if there are fewer images than ranks.
    """

    def __init__(self, val: Dataset, ranks: Ranks, workers: int | None = None) -> None:
        self._share = Subset(val, np.arange(len(val))[ranks.share(len(val))])  # the images of this rank
        self._part = len(self._share) / len(val)
        self._ranks, self._workers = ranks, workers

    def record(self, net: AlexNet, augmenter: Augmenter) -> dict[str, float]:
        """The scores of the net on the central crops of all images, by their names in the history of a run."""
        began = time.perf_counter()
        own = scores(probabilities(net, self._share, augmenter, workers=self._workers), self._share.labels)
        parts = [self._part * score for score in (own.loss, own.top1_error, own.top5_error)]
        loss, top1, top5 = self._ranks.sum(parts)
        return {
            "val_loss": loss,
            "val_top1_error": top1,
            "val_top5_error": top5,
            "validation_seconds": time.perf_counter() - began,
        }
