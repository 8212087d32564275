"""Inside a layer: small calculations, one step at a time, for the places where mistakes are easy.

Each is a `Stepper`: `len(stepper)` steps, `stepper.show(i)` draws one, `stepper.widget()` goes through them in Jupyter.
They take small arrays, and every number that they show is computed by the layers of this package.
"""

from tinyalex.inside.columns import ColumnExchange
from tinyalex.inside.conv import Col2im, Im2col
from tinyalex.inside.lrn import LRNWindow
from tinyalex.inside.optim import MomentumSteps
from tinyalex.inside.pool import MaxPoolGradient
from tinyalex.inside.stepper import Stepper

__all__ = ["Col2im", "ColumnExchange", "Im2col", "LRNWindow", "MaxPoolGradient", "MomentumSteps", "Stepper"]
