"""The recorded pass that the page "Step through it" shows: made when the site is built, by the net of the package."""

from pathlib import Path

import numpy as np
from sphinx.application import Sphinx

from tinyalex import load_example
from tinyalex.data import open_data
from tinyalex.spec import stored_size
from tinyalex.training.evaluate import augmenter_for

PAGE = "pass.html"
PICTURE = 77  # of the generated pictures for validation: one that the net is not sure of, so that gradients come back


def write(app: Sphinx, error: Exception | None) -> None:
    """When all else is written: the pass of one picture, as a page beside the others."""
    if error is None and app.builder.format == "html":
        to_html(Path(app.outdir) / PAGE)


def to_html(path: Path) -> None:
    """Write the pass of the picture to `path`."""
    trained = load_example()
    net, augmenter = trained.net, augmenter_for(trained)
    pictures = open_data("shapes", size=stored_size(net.input_size), val_count=PICTURE + 1)[1]
    stored = pictures.read(np.array([PICTURE]))  # (1, S, S, 3)
    edge = (pictures.size - net.input_size) // 2
    inside = slice(edge, edge + net.input_size)
    recording = net.record(
        augmenter.centre(stored),
        pictures.labels[[PICTURE]],
        classes=trained.classes,
        pictures=stored[:, inside, inside],
    )
    recording.to_html(path)
