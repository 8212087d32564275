"""A recorded pass, to step through: forward through every layer to the loss, then backward with the gradients.

`record(net, x, labels)` gives a `Recording` with every array of the pass. `show` draws one cell of it, `to_html` writes
it as a page, and `tinyalex.step.widget.PassWidget` shows it in Jupyter.
"""

from tinyalex.step.field import Box, receptive_field
from tinyalex.step.figure import show
from tinyalex.step.page import to_html
from tinyalex.step.record import record
from tinyalex.step.recording import LayerSteps, Recording
from tinyalex.step.steps import Statistics, Step

__all__ = ["Box", "LayerSteps", "Recording", "Statistics", "Step", "receptive_field", "record", "show", "to_html"]
