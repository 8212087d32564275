"""A training run: its net, optimiser and data, how far it has come, and the checkpoints in its folder.

The loop is in `tinyalex.training.loop`.
"""

import math
import signal
from collections.abc import Callable
from dataclasses import asdict, replace
from pathlib import Path
from typing import NoReturn, Self

from tinyalex import spec as nets
from tinyalex.backend import to_device
from tinyalex.data import Dataset, PixelStatistics, pixel_statistics
from tinyalex.errors import CheckpointError
from tinyalex.net import AlexNet
from tinyalex.optim import SGD
from tinyalex.parallel.masks import split_masks
from tinyalex.parallel.ranks import Ranks
from tinyalex.training.divergence import Goodness, divergence
from tinyalex.training.evaluate import augmenter_for
from tinyalex.training.history import write_history
from tinyalex.training.images import images_to_train_on
from tinyalex.training.losses import UnreadLosses
from tinyalex.training.position import Position
from tinyalex.training.saves import Saves, check_new
from tinyalex.training.settings import Settings, check_unchanged
from tinyalex.training.state import RunState, run_state
from tinyalex.training.stop import StopSignals, stopped
from tinyalex.training.validation import Validation
from tinyalex.training.watch import guess
from tinyalex.weights.checkpoint import Checkpoint


class Run:
    """A training run: a net, its optimiser, the data, and how far it has come.

    `start` begins a run, `resume` continues one from its checkpoint.
    batch: the images of a step, over all ranks.
    history: a record for each finished epoch, as in the folder's `history.jsonl`.
    """

    def __init__(
        self,
        state: RunState,
        train: Dataset,
        val: Dataset,
        folder: Path,
        checkpoint: Checkpoint,
        ranks: Ranks | None = None,
    ) -> None:
        self._state, self.train, self.val, self.folder = state, train, val, folder
        self.settings, self.position, self.history = state.settings, state.position, state.history
        self.batch = min(self.settings.batch, len(train))
        self.ranks = Ranks() if ranks is None else ranks
        self._validation = Validation(val, self.ranks, self.settings.workers)
        self.net, self.statistics = checkpoint.net, checkpoint.statistics
        self.net.place(self.ranks.devices(self.settings.devices))
        if self.ranks.size > 1:
            split_masks(self.net, self.ranks.share(self.batch), self.batch)
        self.optimizer = SGD(
            self.net, momentum=self.settings.momentum, weight_decay=self.settings.weight_decay, lr=self.settings.lr
        )
        for name, velocity in checkpoint.velocity.items():
            self.optimizer.velocity[name] = to_device(velocity, self.net.device or "cpu")
        augmentation = {name: getattr(self.settings, name) for name in ("crops", "reflections", "colour", "zoom")}
        self.augmenter = augmenter_for(checkpoint, **augmentation)
        self._stop = StopSignals()
        self._saves = Saves(folder, self.settings.save_minutes)
        self._losses = UnreadLosses(self.ranks, self._wishes)
        self._goodness = Goodness(self.net, self.ranks)
        self._guess = guess(train.labels)
        self._saved = self.position.epoch, self.position.step

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
        net: AlexNet | None = None,
    ) -> Self:
        """A new run in `folder`; its first checkpoint is written at once.

        progress: as for `pixel_statistics`.   ranks: the processes that train together.
        statistics: of the training images; None: they are measured.
        net: the net to begin with; None: a new one of the settings' variant.
        Raises UsageError if the folder already holds a run, and for images of a single class.
        """
        ranks = Ranks() if ranks is None else ranks
        check_new(folder, ranks)
        train = images_to_train_on(train, val, settings)
        net = net or _new_net(settings, len(train.classes))
        statistics = statistics or pixel_statistics(train, progress)
        state = RunState(settings, Position(), [], len(train), train.fingerprint())
        run = cls(state, train, val, folder, Checkpoint(net, tuple(train.classes), statistics), ranks)
        run.save()
        return run

    @classmethod
    def resume(
        cls,
        checkpoint: Checkpoint,
        settings: Settings,
        train: Dataset,
        val: Dataset,
        folder: Path,
        ranks: Ranks | None = None,
    ) -> Self:
        """Continue the run whose `checkpoint` was read from `folder`.

        settings: as in the checkpoint, except for those named in CHANGEABLE; epochs may only grow. A lower rate makes
        the velocity smaller in proportion: it is a sum of steps, which would go on at the old rate.
        Raises CheckpointError for other settings, or if the training images are not those of the run.
        """
        state = run_state(checkpoint)
        check_unchanged(state.settings, settings, folder)
        if checkpoint.classes == tuple(train.classes):
            train = images_to_train_on(train, val, settings)
        if checkpoint.classes != tuple(train.classes) or not state.knows(train):
            raise CheckpointError(f"got other images from {settings.data}: expected those that {folder} began with")
        if settings.lr < state.settings.lr:
            for velocity in checkpoint.velocity.values():
                velocity *= settings.lr / state.settings.lr
        state = replace(state, settings=settings, fingerprint=state.fingerprint or train.fingerprint())
        return cls(state, train, val, folder, checkpoint, ranks)

    # ------------------------------------------------------------ losses and checkpoints

    def _read_losses(self) -> None:
        """Add the losses of the last steps to the position. Waits for a GPU. Raises DivergenceError."""
        for step, loss, wrong in self._losses.read():
            if not math.isfinite(loss):
                self._diverged(f"a loss of {loss}", "finite numbers", step)
            self.position.add(self.batch, loss, wrong)

    def _wishes(self) -> list[float]:
        """What this rank wishes to do after a step: to stop, and to save, which rank 0's clock decides."""
        return [float(self._stop.came), float(self.ranks.writes and self._saves.due())]

    @property
    def checkpoint(self) -> Checkpoint:
        """Everything that is needed to continue from here."""
        state = replace(self._state, position=self.position, history=self.history)
        return Checkpoint(self.net, tuple(self.train.classes), self.statistics, self.optimizer.velocity, asdict(state))

    def save(self, *, best: bool = False) -> None:
        """Write the checkpoint, on rank 0; `best`: its validation error is the lowest so far.

        Raises DivergenceError if the state is not good, see `tinyalex.training.divergence`.
        """
        self._read_losses()
        if objection := self._goodness.objection():
            self._diverged(*objection, max(1, self.position.step))
        if self.ranks.writes:
            self._saves.write(self.checkpoint, best=best)
        self._saved = self.position.epoch, self.position.step
        # Wait for rank 0: a rank that fails in the next step ends all of them, and the file would be lost.
        self.ranks.agree(None)

    def _save_if_moved(self) -> None:
        """Write the checkpoint unless it is of this position."""
        if self._saved != (self.position.epoch, self.position.step):
            self.save()

    def _stop_together(self) -> NoReturn:
        """End the run after a signal, on all ranks, though it may have reached only some."""
        number = self.ranks.agree(self._stop.signal) or self._stop.signal or signal.SIGTERM
        raise stopped(number, self.folder, together=True)

    def _diverged(self, found: str, expected: str, step: int) -> NoReturn:
        """End a run whose numbers have grown beyond all bounds; the history tells it."""
        epoch = self.position.epoch + 1
        what = f"got {found} in epoch {epoch}, step {step}: expected {expected}"
        looked = [record["dead_units"] for record in self.history if record.get("dead_units")]
        died = bool(looked) and 1.0 in looked[-1].values()
        error = divergence(self.net, what, self.settings, self.folder, died)
        if self.ranks.writes:
            write_history([*self.history, {"epoch": epoch, "step": step, "diverged": str(error)}], self.folder)
        raise error


def _new_net(settings: Settings, classes: int) -> AlexNet:
    spec = nets.variant(settings.variant)
    return AlexNet(
        spec if settings.initial is None else nets.begun_as(spec, nets.variant(settings.initial)),
        num_classes=classes,
        input_size=settings.input_size,
        seed=settings.seed,
        dropout=settings.dropout,
        cross_columns=settings.cross_columns,
    )
