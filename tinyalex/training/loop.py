"""The training loop (section 5): batches, steps, schedule, validation, and checkpoints to resume from.

A run that was killed and resumed ends with the same parameters, bit for bit, as one that never stopped: every random
number either belongs to one place in the run (an epoch's order, a batch's crops; see `tinyalex.data.loader`) or comes
from a generator whose state the checkpoint keeps (the dropout masks).
"""

import math
import time
from collections.abc import Callable
from contextlib import closing
from dataclasses import asdict
from pathlib import Path
from typing import Any, NoReturn

import numpy as np

from tinyalex.backend import beside, device_of, to_device
from tinyalex.data import Dataset, PixelStatistics, batch_count, batches, pixel_statistics, subset
from tinyalex.errors import CheckpointError, DivergenceError, UsageError
from tinyalex.files import remove_leftovers
from tinyalex.net import AlexNet
from tinyalex.optim import SGD
from tinyalex.parallel.masks import split_masks
from tinyalex.parallel.ranks import Ranks
from tinyalex.training.evaluate import augmenter_for
from tinyalex.training.finite import not_finite
from tinyalex.training.history import Record, epoch_record, validation_errors, write_history
from tinyalex.training.losses import UnreadLosses
from tinyalex.training.position import Position
from tinyalex.training.schedule import learning_rate
from tinyalex.training.settings import Settings, check_unchanged, saved_settings
from tinyalex.training.validation import Validation
from tinyalex.weights.checkpoint import Checkpoint, write

CHECKPOINT = "checkpoint.npz"  # its name in the folder of a run


class Training:
    """One training run: a net, its optimiser, the data, and how far it has come.

    `start` begins a run, `resume` continues one from its checkpoint, `run` trains to the last epoch.
    batch: the images of a step, over all ranks.
    history: a record for each finished epoch, as in the folder's `history.jsonl`.
    """

    def __init__(
        self,
        settings: Settings,
        train: Dataset,
        val: Dataset,
        folder: Path,
        checkpoint: Checkpoint,
        ranks: Ranks | None = None,
    ) -> None:
        self.settings, self.train, self.val, self.folder = settings, train, val, folder
        self.batch = min(settings.batch, len(train))
        self.ranks = Ranks() if ranks is None else ranks
        self._validation = Validation(val, self.ranks, settings.workers)
        self.net, self.statistics = checkpoint.net, checkpoint.statistics
        self.net.place(self.ranks.devices(settings.devices))
        if self.ranks.size > 1:
            split_masks(self.net, self.ranks.share(self.batch), self.batch)
        self.optimizer = SGD(self.net, lr=settings.lr, momentum=settings.momentum, weight_decay=settings.weight_decay)
        for name, velocity in checkpoint.velocity.items():
            self.optimizer.velocity[name] = to_device(velocity, self.net.device or "cpu")
        self.position = Position(**checkpoint.training.get("position", {}))
        self._losses = UnreadLosses(self.ranks)
        self.history: list[Record] = checkpoint.training.get("history", [])
        self.augmenter = augmenter_for(
            checkpoint, crops=settings.crops, reflections=settings.reflections, colour=settings.colour
        )

    @classmethod
    def start(
        cls,
        settings: Settings,
        train: Dataset,
        val: Dataset,
        folder: Path,
        progress: Callable[[int], object] | None = None,
        ranks: Ranks | None = None,
        *,
        statistics: PixelStatistics | None = None,
    ) -> "Training":
        """A new run in `folder`; its first checkpoint is written at once.

        progress: as for `pixel_statistics`.   ranks: the processes that train together.
        statistics: of the training images; None: they are measured.
        Raises UsageError if the folder already holds a run.
        """
        ranks = Ranks() if ranks is None else ranks
        check_new(folder, ranks)
        train = _limited(train, settings)
        net = _new_net(settings, len(train.classes))
        statistics = statistics or pixel_statistics(train, progress)
        training = cls(settings, train, val, folder, Checkpoint(net, tuple(train.classes), statistics), ranks)
        training.save()
        return training

    @classmethod
    def resume(
        cls,
        checkpoint: Checkpoint,
        settings: Settings,
        train: Dataset,
        val: Dataset,
        folder: Path,
        ranks: Ranks | None = None,
    ) -> "Training":
        """Continue the run whose `checkpoint` was read from `folder`.

        settings: as in the checkpoint, except for those named in CHANGEABLE; epochs may only grow.
        Raises CheckpointError for other settings, or if the training images are not those of the run.
        """
        train = _limited(train, settings)
        check_unchanged(saved_settings(checkpoint), settings, folder)
        if checkpoint.classes != tuple(train.classes) or checkpoint.training["images"] != len(train):
            raise CheckpointError(f"got other images from {settings.data}: expected those that {folder} began with")
        return cls(settings, train, val, folder, checkpoint, ranks)

    # ------------------------------------------------------------ the loop

    def run(self, progress: "Progress | None" = None) -> None:
        """Train to the last epoch. Raises DivergenceError if the loss becomes NaN or infinite."""
        if self.ranks.writes:
            remove_leftovers(self.folder)
            write_history(self.history, self.folder)  # a kill may have come between the checkpoint and this file
        with np.errstate(over="ignore", invalid="ignore"):  # the DivergenceError reports them, in one line
            while self.position.epoch < self.settings.epochs:
                self._epoch(progress)

    def _epoch(self, progress: "Progress | None") -> None:
        """Train from the current position to the end of the epoch."""
        settings, position = self.settings, self.position
        self.optimizer.lr = learning_rate(settings, position.epoch, validation_errors(self.history))
        made = batches(
            self.train,
            self.augmenter,
            settings.batch,
            seed=settings.seed,
            epoch=position.epoch,
            start=position.step,
            share=self.ranks.share,
            device=self.net.device,
            workers=settings.workers,
        )
        self.ranks.waited, waited_before = 0.0, position.waited
        began = time.perf_counter()
        with closing(made):
            for x, labels in made:
                self._step(x, labels)
                position.step += 1
                now = time.perf_counter()
                position.seconds += now - began
                position.waited = waited_before + made.waited
                began = now
                if progress:
                    progress.step(self, self.batch)
                if position.step % settings.save_every == 0:
                    self.save()
        self._read_losses()
        position.seconds += time.perf_counter() - began
        self._end_epoch(progress)

    def _step(self, x: Any, labels: Any) -> None:
        """One step of SGD. On the CPU its loss is read and checked before the update.

        x, labels: this rank's share of the batch.
        """
        logits = self.net.forward(x, train=True)
        part = len(labels) / self.batch  # the loss, a mean over this share, counts this much in the batch's mean
        loss = self.net.criterion.forward(logits, labels)
        device = device_of(logits)
        with beside(logits):
            wrong = (logits.argmax(axis=1) != to_device(labels, device)).sum()
            self._losses.note(self.position.step + 1, part * loss, wrong)
            if self._losses.due(device):
                self._read_losses()
            dlogits = self.net.criterion.backward()
            if part < 1:
                dlogits *= part
        self.net.backward(dlogits, input_gradient=False, done=self.ranks.begin_sums)
        self.ranks.end_sums()
        self.optimizer.step()

    def _read_losses(self) -> None:
        """Add the losses of the last steps to the position. Waits for a GPU. Raises DivergenceError."""
        for step, loss, wrong in self._losses.read():
            if not math.isfinite(loss):
                self._diverged(f"a loss of {loss}", step)
            self.position.add(self.batch, loss, wrong)

    def _end_epoch(self, progress: "Progress | None") -> None:
        """Validate if it is due, add the epoch's record to the history, move to the next epoch, save."""
        record = epoch_record(self.position, self.optimizer.lr, self.ranks)
        if record["epoch"] % self.settings.validate_every == 0 or record["epoch"] == self.settings.epochs:
            record |= self._validation.record(self.net, self.augmenter)
        self.history.append(record)
        self.position = Position(epoch=record["epoch"])
        self.save()
        if self.ranks.writes:
            write_history(self.history, self.folder)
        if progress:
            progress.epoch(self)

    # ------------------------------------------------------------ checkpoints

    @property
    def checkpoint(self) -> Checkpoint:
        """Everything that is needed to continue from here."""
        training = {
            "settings": asdict(self.settings),
            "position": asdict(self.position),
            "history": self.history,
            "images": len(self.train),
        }
        return Checkpoint(self.net, tuple(self.train.classes), self.statistics, self.optimizer.velocity, training)

    def save(self) -> None:
        """Write the checkpoint, in one piece, on rank 0. Raises DivergenceError if a parameter is not finite."""
        self._read_losses()
        for name in not_finite(self.net):
            self._diverged(f"NaN or infinity in {name}", self.position.step + 1)
        if self.ranks.writes:
            write(self.checkpoint, self.folder / CHECKPOINT)
        # Wait for rank 0: a rank that fails in the next step ends all of them, and the file would be lost.
        self.ranks.agree(None)

    def _diverged(self, what: str, step: int) -> NoReturn:
        file = self.folder / CHECKPOINT
        saved = f"{file} holds the last good state" if file.exists() else "nothing was saved yet"
        where = f"in epoch {self.position.epoch + 1}, step {step}"
        raise DivergenceError(f"got {what} {where}: expected finite numbers; use a lower learning rate (--lr); {saved}")

    def steps_left(self) -> int:
        """The number of steps from here to the end of the run."""
        steps_per_epoch = batch_count(len(self.train), self.settings.batch)
        return (self.settings.epochs - self.position.epoch) * steps_per_epoch - self.position.step


def check_new(folder: Path, ranks: Ranks) -> None:
    """Raise UsageError, on all ranks, if the folder holds a run."""
    if ranks.agree((folder / CHECKPOINT).exists()):
        raise UsageError(f"got {folder}, which holds a run: expected a new folder; use --resume, or another --out")


def _limited(train: Dataset, settings: Settings) -> Dataset:
    """The images that settings.limit allows; all where fewer are left, as bad ones have been left out."""
    if settings.limit is None or (settings.skip_bad and len(train) < settings.limit):
        return train
    return subset(train, settings.limit)


def _new_net(settings: Settings, classes: int) -> AlexNet:
    return AlexNet(
        settings.variant,
        num_classes=classes,
        input_size=settings.input_size,
        seed=settings.seed,
        dropout=settings.dropout,
        cross_columns=settings.cross_columns,
    )


class Progress:
    """Receives the events of a run. It ignores them; a subclass shows them."""

    def step(self, training: Training, images: int) -> None:
        """A step on `images` images is done."""

    def epoch(self, training: Training) -> None:
        """An epoch is done; its record is the last of training.history."""
