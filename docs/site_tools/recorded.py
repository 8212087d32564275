"""The recorded pass on the page "Step through it", computed by the example net when the site is built."""

from pathlib import Path

import numpy as np
from sphinx.application import Sphinx

from tinyalex import load_example, record
from tinyalex.data import open_data
from tinyalex.spec import stored_size
from tinyalex.step import to_html
from tinyalex.training.evaluate import augmenter_for

PAGE = "pass.html"
PICTURE = 77  # of the generated pictures for validation: the net is not sure of this one, so its gradients can be seen


def write(app: Sphinx, error: Exception | None) -> None:
    """Write the recorded pass beside the other pages, once the site is built."""
    if error is None and app.builder.format == "html":
        write_pass(Path(app.outdir) / PAGE)


def write_pass(path: Path) -> None:
    """Record the pass of `PICTURE` through the example net, and write it to `path`."""
    trained = load_example()
    net, augmenter = trained.net, augmenter_for(trained)
    pictures = open_data("shapes", size=stored_size(net.input_size), val_count=PICTURE + 1)[1]
    stored = pictures.read(np.array([PICTURE]))  # (1, S, S, 3)
    edge = (pictures.size - net.input_size) // 2
    inside = slice(edge, edge + net.input_size)
    recording = record(
        net,
        augmenter.centre(stored),
        pictures.labels[[PICTURE]],
        classes=trained.classes,
        pictures=stored[:, inside, inside],
    )
    to_html(recording, path)
