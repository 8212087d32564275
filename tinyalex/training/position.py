"""How far a training run has come."""

from dataclasses import dataclass, field

from tinyalex.errors import UsageError, at_least


@dataclass
class Position:
    """The epoch (0, 1, ...) that a run is in, the steps done in it, and sums over these steps.

    images: the images of all steps whose loss has been read from the device.   loss: the sum of their losses, in nats.
    wrong: how many of them were misclassified.
    lr: the learning rate of the last step.
    seconds: the time of all steps.   waited: how much of it the net waited for its input.
    warnings: what went wrong, as in the record of the epoch.
    On the CPU every loss is read at once. On a GPU losses are read now and then, and before a checkpoint is written.
    The checkpoint stores these values as JSON.
    Raises UsageError for values that no run has.
    """

    epoch: int = 0
    step: int = 0
    images: int = 0
    loss: float = 0.0
    wrong: float = 0.0
    lr: float = 0.0
    seconds: float = 0.0
    waited: float = 0.0
    warnings: dict[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        at_least(0, **{key: value for key, value in vars(self).items() if isinstance(value, int | float)})
        if self.step and not self.seconds:
            raise UsageError(f"got {self.step} steps in {self.seconds} seconds: expected more than 0")

    def add(self, images: int, loss: float, wrong: float) -> None:
        """Add a step that has been read: its number of images, their mean loss, and how many were misclassified."""
        self.images += images
        self.loss += loss * images
        self.wrong += wrong
