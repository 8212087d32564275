"""Validation during a run: the errors on images that the net does not learn from, measured by all ranks together."""

import time
from collections.abc import Callable

import numpy as np

from tinyalex.data import Augmenter, Dataset, Subset
from tinyalex.net import AlexNet
from tinyalex.parallel.ranks import Ranks
from tinyalex.training.evaluate import probabilities, scores
from tinyalex.training.history import Record
from tinyalex.training.watch import UnitsAlive


class Validation:
    """The validation images of a run, shared out to its ranks.

    workers: the number of threads that prepare batches, as for `tinyalex.data.batches`.
    Raises UsageError if there are fewer images than ranks.
    """

    def __init__(self, val: Dataset, ranks: Ranks, workers: int | None = None) -> None:
        self._share = Subset(val, np.arange(len(val))[ranks.share(len(val))])  # the images of this rank
        self._part = len(self._share) / len(val)
        self._ranks, self._workers = ranks, workers

    def record(self, net: AlexNet, augmenter: Augmenter, stop: Callable[[], bool]) -> Record | None:
        """What the history of a run says of the net on the central crops of all images: scores, and dead units.

        stop: whether this rank has been asked to stop; it is asked after each batch. If any rank has, the result is
        None on all of them.
        """
        began, units = time.perf_counter(), UnitsAlive(net, self._ranks)

        def go_on(_: int) -> None:
            if stop():
                raise _Asked

        try:
            p = probabilities(net, self._share, augmenter, workers=self._workers, progress=go_on, seen=units.look)
            own = scores(p, self._share.labels)
            parts = [self._part * score for score in (own.loss, own.top1_error, own.top5_error)]
        except _Asked:
            parts = [0.0, 0.0, 0.0]
        loss, top1, top5, asked = self._ranks.sum([*parts, float(stop())])
        if asked:
            return None
        return {
            "val_loss": loss,
            "val_top1_error": top1,
            "val_top5_error": top5,
            "dead_units": units.dead(),
            "validation_seconds": time.perf_counter() - began,
        }


class _Asked(Exception):
    """Ends the validation of a rank that has been asked to stop."""
