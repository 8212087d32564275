"""The training loop (section 5): batches, steps, schedule, validation, and checkpoints that a run resumes from.

Everything random in a run is either drawn for one place in it (an epoch's order, a batch's crops; see
`tinyalex.data.loader`) or comes from a generator whose state the checkpoint keeps (the dropout masks). So a run that
was killed and resumed ends with the same parameters, bit for bit, as one that never stopped.
"""

import json
import math
import time
from collections.abc import Callable
from contextlib import closing
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from tinyalex.backend import beside, device_of, to_device, to_numpy
from tinyalex.data import Dataset, Subset, batch_count, batches, pixel_statistics, subset
from tinyalex.errors import CheckpointError, DivergenceError, UsageError
from tinyalex.files import remove_leftovers, write_text
from tinyalex.net import AlexNet
from tinyalex.optim import SGD, plateau_rate, stepped_rate
from tinyalex.parallel.ranks import Ranks, share_masks
from tinyalex.training.evaluate import augmenter_for, probabilities, scores
from tinyalex.training.settings import CHANGEABLE, Settings, saved_settings
from tinyalex.weights.checkpoint import Checkpoint, write

CHECKPOINT, HISTORY = "checkpoint.npz", "history.jsonl"
READ_EVERY = 50  # steps after which the losses are read back from a GPU, and checked: to read one is to wait for it


@dataclass
class Position:
    """Where a run is: steps done in the epoch, their time, and the sums over those of them whose loss has been read.

    JSON values only; on the CPU every loss is read at once, on a GPU now and then, and before a checkpoint is written.
    """

    epoch: int = 0
    step: int = 0
    images: int = 0
    loss: float = 0.0
    wrong: float = 0.0
    seconds: float = 0.0

    def add(self, images: int, loss: float, wrong: float) -> None:
        """Count what has been read of one more step: its images, their mean loss, how many were misclassified."""
        self.images += images
        self.loss += loss * images
        self.wrong += wrong


class Training:
    """One training run: a net, its optimiser, the data, and how far it has come.

    `start` begins one, `resume` goes on with one from its folder, `run` trains to the end.
    batch: images of a step, of all ranks together.
    history: a record for each epoch that is over; `history.jsonl` in the folder holds the same.
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
        self._own_val = Subset(val, np.arange(len(val))[self.ranks.share(len(val))])  # what this rank validates on
        self.net, self.statistics = checkpoint.net, checkpoint.statistics
        self.net.place(self.ranks.devices(settings.devices))
        if self.ranks.size > 1:
            share_masks(self.net, self.ranks.share(self.batch), self.batch)
        self.optimizer = SGD(self.net, lr=settings.lr, momentum=settings.momentum, weight_decay=settings.weight_decay)
        for name, velocity in checkpoint.velocity.items():
            self.optimizer.velocity[name] = to_device(velocity, self.net.device or "cpu")
        self.position = Position(**checkpoint.training.get("position", {}))
        self._unread: list[tuple[int, Any, Any]] = []  # of steps: number, loss, how many were wrong
        self.history: list[dict[str, Any]] = checkpoint.training.get("history", [])
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
    ) -> "Training":
        """A run from the first step, whose checkpoint is written at once; `folder` must not hold one already.

        progress: as for `pixel_statistics`.   ranks: the processes that train together.
        Raises UsageError where the folder does hold one.
        """
        ranks = Ranks() if ranks is None else ranks
        if ranks.agree((folder / CHECKPOINT).exists()):
            raise UsageError(f"{folder} already holds a run: go on with it by --resume, or choose another --out")
        train = subset(train, settings.limit) if settings.limit else train
        net = AlexNet(
            settings.variant,
            num_classes=len(train.classes),
            input_size=settings.input_size,
            seed=settings.seed,
            dropout=settings.dropout,
            cross_columns=settings.cross_columns,
        )
        statistics = pixel_statistics(train, progress)
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
        """The run that `checkpoint`, read from `folder`, belongs to, from where it was written.

        The settings may differ in what is CHANGEABLE, epochs upwards only; CheckpointError if others do, or the images.
        """
        train = subset(train, settings.limit) if settings.limit else train
        saved = saved_settings(checkpoint)
        if settings.epochs < saved.epochs:
            raise CheckpointError(f"{folder} was started for {saved.epochs} epochs: expected as many, or more")
        for key, value in asdict(settings).items():
            if key not in CHANGEABLE and getattr(saved, key) != value:
                raise CheckpointError(
                    f"{folder} was started with {key} = {getattr(saved, key)}, not {value}: resume with the same"
                )
        if checkpoint.classes != tuple(train.classes) or checkpoint.training["images"] != len(train):
            raise CheckpointError(f"{folder} was started on other images than {settings.data} holds now: use those")
        return cls(settings, train, val, folder, checkpoint, ranks)

    # ------------------------------------------------------------ the loop

    def run(self, progress: "Progress | None" = None) -> None:
        """Train to the last epoch. Raises DivergenceError if the loss leaves the finite numbers."""
        if self.ranks.writes:
            remove_leftovers(self.folder)
        self._write_history()
        with np.errstate(over="ignore", invalid="ignore"):  # told by the DivergenceError, in one line
            while self.position.epoch < self.settings.epochs:
                self._epoch(progress)

    def _epoch(self, progress: "Progress | None") -> None:
        """Train from the position to the end of its epoch, validate, and save."""
        settings, position = self.settings, self.position
        self.optimizer.lr = self._rate()
        made = batches(
            self.train,
            self.augmenter,
            settings.batch,
            seed=settings.seed,
            epoch=position.epoch,
            start=position.step,
            share=self.ranks.share,
        )
        self.ranks.waited = 0.0
        began = time.perf_counter()
        with closing(made):
            for x, labels in made:
                self._step(x, labels)
                position.step += 1
                now = time.perf_counter()
                position.seconds += now - began
                began = now
                if progress:
                    progress.step(self, self.batch)
                if position.step % settings.save_every == 0:
                    self.save()
        self._read()
        position.seconds += time.perf_counter() - began
        self._end_epoch(progress)

    def _step(self, x: Any, labels: Any) -> None:
        """One step of SGD; its loss is noted, and on the CPU read and checked before the update.

        x, labels: the images of the batch that this rank computes.
        """
        logits = self.net.forward(x, train=True)
        part = len(labels) / self.batch
        loss = self.net.criterion.forward(logits, labels)
        device = device_of(logits)
        with beside(logits):
            wrong = (logits.argmax(axis=1) != to_device(labels, device)).sum()
            self._unread.append((self.position.step + 1, part * loss, wrong))
            if device == "cpu" or self.ranks.size > 1 or len(self._unread) == READ_EVERY:
                self._read()
            dlogits = self.net.criterion.backward()
            if part < 1:
                dlogits *= part  # of a mean over the whole batch
        self.net.backward(dlogits, input_gradient=False, done=self.ranks.begin_sums)
        self.ranks.end_sums()
        self.optimizer.step()

    def _read(self) -> None:
        """Read what was noted of the steps so far; it waits for a GPU. Raises DivergenceError."""
        for step, *noted in self._unread:
            loss, wrong = self.ranks.sum([float(value) for value in noted])
            if not math.isfinite(loss):
                self._diverged(f"the loss became {loss}", step)
            self.position.add(self.batch, loss, wrong)
        self._unread.clear()

    def _end_epoch(self, progress: "Progress | None") -> None:
        """Validate if it is due, add a record to the history, move to the next epoch, save."""
        position = self.position
        record = {
            "epoch": position.epoch + 1,
            "train_loss": position.loss / position.images,
            "train_top1_error": position.wrong / position.images,
            "lr": self.optimizer.lr,
            "images_per_s": position.images / position.seconds,
            "seconds": position.seconds,
        }
        if self.ranks.size > 1:
            record |= {"ranks": self.ranks.size, "waiting_share": self.ranks.waited / position.seconds}
        if record["epoch"] % self.settings.validate_every == 0 or record["epoch"] == self.settings.epochs:
            record |= self._validated()
        self.history.append(record)
        self.position = Position(epoch=position.epoch + 1)
        self.save()
        self._write_history()
        if progress:
            progress.epoch(self)

    def _validated(self) -> dict[str, float]:
        """The scores on the validation images, central crops, as the history records them."""
        began = time.perf_counter()
        val = self._own_val
        result = scores(probabilities(self.net, val, self.augmenter), val.labels)
        part = len(val) / len(self.val)
        loss, top1, top5 = self.ranks.sum(
            [part * score for score in (result.loss, result.top1_error, result.top5_error)]
        )
        return {
            "val_loss": loss,
            "val_top1_error": top1,
            "val_top5_error": top5,
            "validation_seconds": time.perf_counter() - began,
        }

    def _rate(self) -> float:
        """The learning rate of the epoch that the run is in."""
        settings = self.settings
        if settings.schedule == "steps":
            return stepped_rate(settings.lr, self.position.epoch, settings.drops)
        if settings.schedule == "plateau":
            errors = [record["val_top1_error"] for record in self.history if "val_top1_error" in record]
            return plateau_rate(settings.lr, errors, settings.patience)
        return settings.lr

    # ------------------------------------------------------------ what is kept

    @property
    def checkpoint(self) -> Checkpoint:
        """All that it takes to go on from here."""
        training = {
            "settings": asdict(self.settings),
            "position": asdict(self.position),
            "history": self.history,
            "images": len(self.train),
        }
        return Checkpoint(self.net, tuple(self.train.classes), self.statistics, self.optimizer.velocity, training)

    def save(self) -> None:
        """Write the checkpoint, in one piece; parameters that are no longer finite are not written. One rank writes."""
        self._read()
        for name, w in self.net.params.items():
            if not np.isfinite(to_numpy(w)).all():
                self._diverged(f"{name} is no longer finite", self.position.step + 1)
        if self.ranks.writes:
            write(self.checkpoint, self.folder / CHECKPOINT)
        self.ranks.agree(None)  # no rank goes on, to stop there perhaps, before it is written

    def _write_history(self) -> None:
        if not self.ranks.writes:
            return
        write_text(self.folder / HISTORY, "".join(json.dumps(record) + "\n" for record in self.history))

    def _diverged(self, what: str, step: int) -> None:
        kept = f"{self.folder / CHECKPOINT} stays" if (self.folder / CHECKPOINT).exists() else "nothing was saved yet"
        raise DivergenceError(
            f"{what} in epoch {self.position.epoch + 1}, step {step}: {kept}; use a lower learning rate (--lr)"
        )

    def steps_left(self) -> int:
        """The steps from here to the end of the run."""
        an_epoch = batch_count(len(self.train), self.settings.batch)
        return (self.settings.epochs - self.position.epoch) * an_epoch - self.position.step


class Progress:
    """What is told of a run while it goes on; a subclass shows it."""

    def step(self, training: Training, images: int) -> None:
        """After each step, on so many images."""

    def epoch(self, training: Training) -> None:
        """After each epoch; its record is the last of training.history."""
