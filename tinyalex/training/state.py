"""What a checkpoint says about its run, besides the arrays: JSON values, checked when they are read."""

from dataclasses import dataclass

from tinyalex.data import Dataset, batch_count
from tinyalex.errors import CheckpointError, TinyAlexError, UsageError
from tinyalex.files import one_line
from tinyalex.training.history import Record, check_history
from tinyalex.training.position import Position
from tinyalex.training.settings import Settings, saved_settings
from tinyalex.typed import typed
from tinyalex.weights.checkpoint import Checkpoint


@dataclass
class RunState:
    """The state of a run.

    history: a record for each finished epoch.   images: the number of training images.
    fingerprint: that of the training images, see `tinyalex.data.Dataset`; None in checkpoints of older versions.
    Raises UsageError if the parts contradict each other.
    """

    settings: Settings
    position: Position
    history: list[Record]
    images: int
    fingerprint: str | None = None

    def __post_init__(self) -> None:
        check_history(self.history)
        if not len(self.history) == self.position.epoch <= self.settings.epochs:
            raise UsageError(
                f"got epoch {self.position.epoch} of {self.settings.epochs}, and a history of {len(self.history)} "
                f"epochs: expected one for each finished epoch"
            )
        steps, batch = batch_count(self.images, self.settings.batch), min(self.settings.batch, self.images)
        if self.position.step > steps or self.position.images != self.position.step * batch:
            raise UsageError(
                f"got {self.position.step} steps, {self.position.images} images: expected up to {steps}, of {batch}"
            )

    def knows(self, train: Dataset) -> bool:
        """Whether these are the training images that the run began with."""
        return self.images == len(train) and self.fingerprint in (None, train.fingerprint())


def run_state(checkpoint: Checkpoint) -> RunState:
    """The state of the run that wrote the checkpoint.

    Raises CheckpointError if no run did, if a value has the wrong type or range, or if SGD's velocity is missing.
    """
    settings = saved_settings(checkpoint)
    try:
        state: RunState = typed(RunState, {**checkpoint.training, "settings": settings}, "training")
    except TinyAlexError as error:
        raise CheckpointError(f"got a checkpoint that no run wrote ({one_line(error)}); use another one") from error
    if checkpoint.velocity.keys() != checkpoint.net.params.keys():
        raise CheckpointError(
            "got a checkpoint without SGD's velocity: expected that of each parameter; use another one"
        )
    if settings.input_size != checkpoint.net.input_size:
        raise CheckpointError(
            f"got input_size={settings.input_size}: expected {checkpoint.net.input_size}, as of the net"
        )
    return state
