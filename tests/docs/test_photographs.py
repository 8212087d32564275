"""The kernels that were kept of the run on photographs."""

from pathlib import Path

import numpy as np

from tinyalex import spec, viz
from tinyalex.count import count

KEPT = Path(__file__).parents[2] / "docs" / "photographs-conv1.npy"


def test_figure_3_is_drawn_from_the_kept_kernels(tmp_path):
    w = np.load(KEPT)
    conv1 = next(row for row in count(spec.variant("paper")) if row.name == "conv1")
    assert (w.shape, w.dtype) == (conv1.kernel, np.float32)
    assert w.std() > 2 * 0.01  # of what it began with
    viz.save(viz.kernels(w, 2), tmp_path / "kernels.png")
    assert (tmp_path / "kernels.png").stat().st_size > 10_000
