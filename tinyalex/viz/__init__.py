"""Pictures: learning curves, the paper's figures 2 (section 3.5), 3 and 4 (section 6.1), and the confusion matrix.

Each function takes plain arrays and returns a `matplotlib.figure.Figure`; `save` writes it as a PNG. The figures do not
use pyplot, so they need no screen and leave no global state. matplotlib is imported when the first figure is drawn.
"""

from tinyalex.viz.canvas import Picture, save
from tinyalex.viz.charts import confusion, confusion_matrix, learning_curves
from tinyalex.viz.figure2 import architecture
from tinyalex.viz.figure3 import kernels
from tinyalex.viz.figure4 import bars, nearest, neighbours, predictions

__all__ = [
    "Picture",
    "architecture",
    "bars",
    "confusion",
    "confusion_matrix",
    "kernels",
    "learning_curves",
    "nearest",
    "neighbours",
    "predictions",
    "save",
]
