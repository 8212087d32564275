"""What moves on the site: the steppers of the tutorials, and a pass of the example net, recorded at the build."""

from html import escape
from pathlib import Path

import numpy as np
from docutils import nodes
from sphinx.application import Sphinx

from tinyalex import load_example, record
from tinyalex.data import open_data
from tinyalex.inside import stepper
from tinyalex.spec import stored_size
from tinyalex.step import to_html
from tinyalex.training.evaluate import augmenter_for

PAGE = "pass.html"
PICTURE = 77  # of the generated pictures for validation: the net is not sure of this one, so its gradients can be seen
WIDGET = "application/vnd.jupyter.widget-view+json"  # what a notebook shows with a kernel only
STEPPER = "_static/stepper.js"
IN_PLACE = """<iframe class="pass" src="{page}" title="A recorded pass to step through" loading="lazy"></iframe>
<p class="caption">A pass that was recorded when this site was built. In Jupyter you step through your own.</p>"""


def put_in(app: Sphinx, doctree: nodes.document, docname: str) -> None:
    """What needs a kernel in a notebook is the recorded pass on the site; all steppers of the site share one script."""
    del app
    up = "../" * docname.count("/")
    inline, shared = (
        escape(f"<script{how}</script>") for how in (f">\n{stepper.script()}\n", f' src="{up}{STEPPER}">')
    )
    for node in list(doctree.findall(nodes.raw)):
        text = node.astext()
        if WIDGET in text:
            node.replace_self(nodes.raw("", IN_PLACE.format(page=up + PAGE), format="html"))
        elif inline in text:
            node.replace_self(nodes.raw("", text.replace(inline, shared), format="html"))


def write(app: Sphinx, error: Exception | None) -> None:
    """Write the recorded pass and the script of the steppers beside the other pages, once the site is built."""
    if error is None and app.builder.format == "html":
        write_pass(Path(app.outdir) / PAGE)
        (Path(app.outdir) / STEPPER).write_text(stepper.script(), "utf-8")


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
