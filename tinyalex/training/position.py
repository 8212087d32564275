"""How far a training run has come."""

from dataclasses import dataclass


@dataclass
class Position:
    """The epoch (0, 1, ...) that a run is in, the steps done in it, and sums over these steps.

    images: the images of all steps whose loss has been read from the device.   loss: the sum of their losses, in nats.
    wrong: how many of them were misclassified.
    seconds: the time of all steps.   waited: how much of it the net waited for its input.
    On the CPU every loss is read at once. On a GPU losses are read now and then, and before a checkpoint is written.
    The checkpoint stores these values as JSON.
    """

    epoch: int = 0
    step: int = 0
    images: int = 0
    loss: float = 0.0
    wrong: float = 0.0
    seconds: float = 0.0
    waited: float = 0.0

    def add(self, images: int, loss: float, wrong: float) -> None:
        """Add a step that has been read: its number of images, their mean loss, and how many were misclassified."""
        self.images += images
        self.loss += loss * images
        self.wrong += wrong
