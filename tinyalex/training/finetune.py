"""Fine-tuning: a net that has learned from many images learns new classes from a few dozen images of each.

First only a new last layer is trained, on the features that the layers below give; see `tinyalex.training.head`. Then,
if that is wanted, all layers are: those below at a small rate, as they are nearly right already.
"""

import math
import time
from collections.abc import Callable
from contextlib import AbstractContextManager, closing, nullcontext
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from tinyalex.backend import to_numpy
from tinyalex.data import Augmenter, Dataset, batches, subset
from tinyalex.errors import CheckpointError, UsageError
from tinyalex.net import AlexNet
from tinyalex.optim import SGD
from tinyalex.parallel.ranks import Ranks
from tinyalex.training.evaluate import augmenter_for, probabilities, scores
from tinyalex.training.head import Head, HeadSettings, check_loss, head_of, view_features, with_new_head
from tinyalex.training.history import Record, epoch_record, validation_errors, write_history
from tinyalex.training.position import Position
from tinyalex.training.saves import Saves, holds_run
from tinyalex.weights.checkpoint import Checkpoint

Counting = Callable[[int, str], AbstractContextManager[Callable[[int], object]]]


@dataclass(frozen=True)
class Settings:
    """How a net is fine-tuned.

    features: the layer that the new one reads; None: the last hidden layer.   views: of each training image, "centre"
    or "ten".   limit: the training images, as many of each class; None: all.   head: how the new layer is trained.
    whole: the epochs after that in which all layers are trained.   below: the learning rate of the layers that were
    there already in these epochs, as a share of the rate at which their net was trained.
    Raises UsageError for numbers out of range.
    """

    features: str | None = None
    views: str = "ten"
    limit: int | None = None
    head: HeadSettings = field(default_factory=HeadSettings)
    whole: int = 0
    below: float = 0.1

    def __post_init__(self) -> None:
        if self.whole < 0 or not self.below > 0:
            raise UsageError(f"got whole={self.whole}, below={self.below}: expected 0 or more, and a share above 0")


def _uncounted(_: int, __: str) -> AbstractContextManager[Callable[[int], object]]:
    return nullcontext(lambda _: None)


class FineTuning:
    """A net that learns other classes.

    trained: the net to begin with.   train, val: the images, prepared as `preparation_for(trained)` says.
    features: the layer that the new one reads.   checkpoint: the net with its new layer.
    history: a record for each epoch, see `EpochRecord`.
    Raises UsageError for a single class, or one without images; the errors of `with_new_head`, and CheckpointError as
    `augmenter_for` does.
    """

    def __init__(self, trained: Checkpoint, train: Dataset, val: Dataset, settings: Settings) -> None:
        self.train = train if settings.limit is None else subset(train, settings.limit)
        found, K = len(np.unique(self.train.labels)), len(train.classes)
        if found < max(2, K):
            raise UsageError(
                f"{train.name}: got {len(self.train):,} training images, of {found} out of {K} classes: expected "
                "images of each class, and two classes or more"
            )
        self.val, self.settings = val, settings
        self.features = settings.features or trained.net.last_hidden
        self.checkpoint = with_new_head(trained, self.features, tuple(train.classes))
        self.net: AlexNet = self.checkpoint.net
        self.augmenter: Augmenter = augmenter_for(self.checkpoint, colour="off")
        self.history: list[Record] = []

    def run(
        self, folder: Path, counting: Counting = _uncounted, told: Callable[[Record], object] = lambda _: None
    ) -> None:
        """Train the new layer, then all of them if the settings say so; leave checkpoints and history in `folder`.

        counting: shows how many images of a pass over them are done.   told: called with the record of each epoch.
        Raises UsageError if the folder holds a run, CheckpointError if all features are 0, DivergenceError if a loss is
        no longer finite.
        """
        if holds_run(folder):
            raise UsageError(f"got {folder}, which holds a run: expected a new folder; use another --out")
        saves = Saves(folder, math.inf)
        squared_length = self._train_head(counting, told)
        self._save(saves, folder)
        sgd = self._optimizer(squared_length)
        for epoch in range(self.settings.whole):
            with counting(len(self.train), "training all layers") as progress:
                record = self._whole_epoch(sgd, epoch, progress)
            self._note(record, told)
            self._save(saves, folder)

    def _train_head(self, counting: Counting, told: Callable[[Record], object]) -> float:
        """Train the new layer, put its parameters into the net -> the mean squared length of the features."""
        made = []
        for what, dataset, views in (
            ("reading the training images", self.train, self.settings.views),
            ("reading the validation images", self.val, "centre"),
        ):
            with counting(len(dataset), what) as progress:
                made.append(view_features(self.net, self.augmenter, dataset, views, progress))
        train, val = made
        if not train.any():
            raise CheckpointError(
                f"got features of {self.features} that are all 0: expected a layer with a signal; use --features of an "
                "earlier layer, or another net"
            )
        head = Head(train, self.train.labels, self.net.num_classes, self.settings.head)
        with self.net.computing():
            for record in head.epochs(val[:, 0], self.val.labels):
                self._note(record, told)
        w, b = head.parameters
        self.net.params[f"{head_of(self.net)}.w"], self.net.params[f"{head_of(self.net)}.b"] = w, b
        return head.squared_length

    def _optimizer(self, squared_length: float) -> SGD:
        """For all layers. The new one goes on at its last rate, which was told for features of length 1."""
        recipe, head = self.net.spec.recipe, self.settings.head
        below = self.settings.below * recipe.lr
        rates = {head_of(self.net): self.history[-1]["lr"] / squared_length / below}
        return SGD(self.net, lr=below, momentum=head.momentum, weight_decay=recipe.weight_decay, rates=rates)

    def _whole_epoch(self, sgd: SGD, epoch: int, progress: Callable[[int], object]) -> Record:
        """One pass over the training images, in random crops and mirrored or not; then the errors."""
        net, head = self.net, self.settings.head
        batch = min(head.batch, len(self.train))
        position, began = Position(epoch=len(self.history), lr=sgd.lr), time.perf_counter()
        made = batches(self.train, self.augmenter, batch, seed=head.seed, epoch=epoch, device=net.device)
        with closing(made):
            for x, labels in made:
                logits = net.forward(x, train=True)
                loss = float(net.criterion.forward(logits, labels))
                check_loss(loss, position.epoch)
                net.backward(net.criterion.backward(), input_gradient=False)
                sgd.step()
                position.add(len(labels), loss, float(np.count_nonzero(to_numpy(logits).argmax(axis=1) != labels)))
                progress(len(labels))
        position.seconds, position.waited = time.perf_counter() - began, made.waited
        found = scores(probabilities(net, self.val, self.augmenter), self.val.labels)
        check_loss(found.loss, position.epoch)
        return epoch_record(position, Ranks()) | {f"val_{name}": value for name, value in vars(found).items()}

    def _note(self, record: Record, told: Callable[[Record], object]) -> None:
        self.history.append(record)
        told(record)

    def _save(self, saves: Saves, folder: Path) -> None:
        """Write the checkpoint; it is the best one too if no other that was written has fewer errors."""
        errors = validation_errors(self.history[self.settings.head.epochs - 1 :])
        saves.write(self.checkpoint, best=errors[-1] == min(errors))
        write_history(self.history, folder)
