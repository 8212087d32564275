"""The training loop (section 5): batches, steps, schedule, validation, and checkpoints to resume from.

A run that was killed and resumed ends with the same parameters, bit for bit, as one that never stopped: every random
number either belongs to one place in the run (an epoch's order, a batch's crops; see `tinyalex.data.loader`) or comes
from a generator whose state the checkpoint keeps (the dropout masks).
"""

import math
import time
from contextlib import closing
from typing import Any

import numpy as np

from tinyalex.backend import beside, device_of, to_device
from tinyalex.data import batch_count, batches
from tinyalex.training.history import Record, epoch_record, validation_errors, write_history
from tinyalex.training.position import Position
from tinyalex.training.run import Run
from tinyalex.training.saves import clean
from tinyalex.training.schedule import learning_rate
from tinyalex.training.watch import LONG_STUCK, dying, stuck, stuck_within


class Training(Run):
    """A run that trains: `Training.start` or `Training.resume`, then `run`."""

    def run(self, progress: "Progress | None" = None) -> None:
        """Train to the last epoch.

        After SIGINT, SIGTERM or SIGHUP it finishes the step, saves, and raises Stopped, a KeyboardInterrupt.
        Raises DivergenceError if the numbers grow beyond all bounds; the last good state stays in the folder.
        """
        if self.ranks.writes:
            clean(self.folder)
            write_history(self.history, self.folder)  # a kill may have come between the checkpoint and this file
        with np.errstate(all="ignore"), self._stop:  # a DivergenceError tells of overflow, in one line
            while self.position.epoch < self.settings.epochs:
                self._epoch(progress or Progress())

    def _epoch(self, progress: "Progress") -> None:
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
                position.step, position.lr = position.step + 1, self.optimizer.lr
                now = time.perf_counter()
                position.seconds += now - began
                position.waited = waited_before + made.waited
                began = now
                progress.step(self, self.batch)
                self._after_step(progress)
        self._read_losses()
        position.seconds += time.perf_counter() - began
        self._end_epoch(progress)

    def _step(self, x: Any, labels: Any) -> None:
        """One step of SGD. On the CPU its loss is read and checked before the update.

        x, labels: this rank's share of the batch.
        """
        self._goodness.note(x, labels)
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

    def _after_step(self, progress: "Progress") -> None:
        """Save and stop if it is time to, on all ranks together; warn of a long epoch that learns nothing."""
        every, step = self.settings.save_every, self.position.step
        stop, save = self._losses.wishes()
        if stop or save or (every and step % every == 0):
            self.save()
        if stop:
            self._stop_together()
        if step == LONG_STUCK:
            self._read_losses()
            self._warn(stuck_within(self.position, self._guess), progress)

    def _end_epoch(self, progress: "Progress") -> None:
        """Validate if it is due, add the epoch's record to the history, move to the next epoch, save."""
        settings, position = self.settings, self.position
        record = epoch_record(position, self.ranks)
        losses = [one["train_loss"] for one in (*self.history, record)]
        self._warn(stuck(losses, self._guess, position.step), progress)
        best, last = False, record["epoch"] == settings.epochs
        if last or record["epoch"] % settings.validate_every == 0:
            record |= self._validated()
            best = record["val_top1_error"] < min(validation_errors(self.history), default=math.inf)
            self._warn(dying(record["dead_units"]), progress)
        self.history.append(record | ({"warnings": position.warnings} if position.warnings else {}))
        self.position = Position(epoch=record["epoch"])
        if best or last or self.ranks.agree(self._saves.cheap()):
            self.save(best=best)
        if self.ranks.writes:
            write_history(self.history, self.folder)
        progress.epoch(self)

    def _validated(self) -> Record:
        """The scores on the validation images. Nothing of the epoch is lost if they cannot be measured."""
        if self.ranks.size > 1 or self._saves.cheap():
            self._save_if_moved()
        try:
            record = self._validation.record(self.net, self.augmenter, lambda: self._stop.came)
        except Exception:
            self._save_if_moved()
            raise
        if record is None:
            self._save_if_moved()
            self._stop_together()
        if not math.isfinite(record["val_loss"]):
            self._diverged(f"a validation loss of {record['val_loss']}", "finite numbers", self.position.step)
        return record

    def _warn(self, found: dict[str, str], progress: "Progress") -> None:
        """Tell each of these warnings, by where, unless the run has told it before; the history keeps them."""
        told = [self.position.warnings, *(record.get("warnings", {}) for record in self.history)]
        for where, text in found.items():
            if not any(where in warnings for warnings in told):
                self.position.warnings[where] = text
                progress.warning(text)

    def steps_left(self) -> int:
        """The number of steps from here to the end of the run."""
        steps_per_epoch = batch_count(len(self.train), self.settings.batch)
        return (self.settings.epochs - self.position.epoch) * steps_per_epoch - self.position.step


class Progress:
    """Receives the events of a run. It ignores them; a subclass shows them."""

    def step(self, training: Training, images: int) -> None:
        """A step on `images` images is done."""

    def epoch(self, training: Training) -> None:
        """An epoch is done; its record is the last of training.history."""

    def warning(self, text: str) -> None:
        """Something goes wrong, and the text says what usually helps; it is told once in a run."""
