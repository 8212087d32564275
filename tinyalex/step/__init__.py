"""A recorded pass, to step through: forward through every layer to the loss, and back down with the gradients.

`net.record(x, labels)` gives a `Recording`: its steps hold every array on the way.
"""

from tinyalex.step.field import Box, receptive_field
from tinyalex.step.record import record
from tinyalex.step.recording import Both, Recording
from tinyalex.step.steps import Statistics, Step

__all__ = ["Both", "Box", "Recording", "Statistics", "Step", "receptive_field", "record"]
