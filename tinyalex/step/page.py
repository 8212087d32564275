"""A recorded pass as one HTML file. It fetches nothing, so it opens from a disk, a mail or a web page."""

from html import escape
from importlib import resources
from pathlib import Path
from typing import Any

import numpy as np

from tinyalex.count import Row
from tinyalex.errors import DivergenceError, UsageError
from tinyalex.files import write_text
from tinyalex.layers.pool import max_pool_forward
from tinyalex.step.facts import facts
from tinyalex.step.faint import faintness
from tinyalex.step.field import receptive_field
from tinyalex.step.mathml import mathml
from tinyalex.step.numbers import Numbers
from tinyalex.step.picture import data_uri
from tinyalex.step.recording import Recording
from tinyalex.step.steps import Step
from tinyalex.step.words import WORDS
from tinyalex.viz.frame import as_json, theme

SCRIPTS = ("numbers.js", "maps.js", "parts.js", "forward.js", "backward.js", "look.js", "scene.js", "app.js")
DRAWN = ("x", "y", "dy", "dx")  # the arrays of a step that the page carries
MOST_WEIGHTS = 1 << 17  # of a fully connected layer; fc6 of the paper has 37 million, too many for a page


def to_html(recording: Recording, path: str | Path, image: int = 0) -> Path:
    """Write the pass of one image as an HTML page to `path`, and return the path.

    The page needs no network. image: the number of the image in the pass.
    Raises UsageError for a number that the pass does not have, DivergenceError for a pass with NaN or infinity.
    """
    if not 0 <= image < len(recording.x):
        raise UsageError(f"got image={image}: expected one of the pass, 0 ... {len(recording.x) - 1}")
    for step in recording:
        if not all(np.isfinite(step.arrays[key]).all() for key in DRAWN if key in step.arrays):
            raise DivergenceError(
                f"got a pass with NaN or infinity in {step.name}: expected finite numbers; look at it with "
                "tinyalex.step.show"
            )
    path = Path(path)
    write_text(path, page(recording, image))
    return path


def page(recording: Recording, image: int = 0) -> str:
    """The pass of one image as HTML."""
    numbers = Numbers()
    about = _about(recording, image, numbers)
    about |= {"places": numbers.places, "bytes": numbers.bytes_each}
    files = resources.files("tinyalex.step") / "page"
    parts = {
        "title": escape(f"AlexNet, step by step: {recording.variant}"),
        "style": (files / "style.css").read_text("utf-8"),
        "script": "\n".join([theme(), *((files / name).read_text("utf-8") for name in SCRIPTS)]),
        "about": as_json(about),
        "numbers": numbers.text(),
    }
    text = (files / "template.html").read_text("utf-8")
    for name, part in parts.items():
        text = text.replace(f"<!-- {name} -->", part, 1)
    return text


def _about(recording: Recording, image: int, numbers: Numbers) -> dict[str, Any]:
    """All that the page needs, as JSON values; an array is an index into the places of `numbers`."""
    label = None if recording.labels is None else int(recording.labels[image])
    return {
        "variant": recording.variant,
        "words": WORDS,
        "picture": data_uri(recording.pictures[image]),
        "size": list(recording.x.shape[2:]),
        "classes": recording.classes,
        "label": label,
        "images": len(recording.x),
        "faint": faintness(recording, image),
        "probabilities": numbers.add(recording.probabilities, image=image),
        "layers": {name: _layer(recording, name, image, numbers) for name in recording.names},
        "steps": [_step(recording, step, image, numbers) for step in recording],
    }


def _step(recording: Recording, step: Step, image: int, numbers: Numbers) -> dict[str, Any]:
    """One step as JSON values."""
    arrays = {**recording[step.name].forward.arrays, **step.arrays}
    return {
        "name": step.name,
        "direction": step.direction,
        "meaning": step.meaning,
        "formula": [mathml(part.strip()) for part in step.latex.split(r"\quad")],
        "facts": facts(step),
        "arrays": {key: numbers.add(arrays[key], image=image) for key in DRAWN if key in arrays},
    }


def _layer(recording: Recording, name: str, image: int, numbers: Numbers) -> dict[str, Any]:
    """One layer as JSON values: its kind, its settings, and the weights that the page needs for both of its steps."""
    step = recording[name].forward
    explained = step.explanation
    about: dict[str, Any] = {"kind": explained.kind, "title": explained.title, "section": explained.section}
    if step.row is None:
        return about
    about |= {"in": step.row.in_shape, "out": step.row.out_shape, "groups": step.row.groups}
    about["fields"] = _fields(recording, name, step.row)
    if (window := step.row.window) is not None:
        about["window"] = {"kernel": window.kernel, "stride": window.stride, "pad": window.pad}
    return about | _details(recording, name, image, numbers)


def _fields(recording: Recording, name: str, row: Row) -> list[tuple[int, int]]:
    """The receptive field (first row, last row + 1) of each row of the maps, or of a unit.

    The images are square, so the columns have the same fields.
    """
    cells = [(place, place) for place in range(row.out_shape[1])] if len(row.out_shape) == 3 else [None]
    boxes = [receptive_field(recording.rows, name, cell) for cell in cells]
    return [(box.top, box.bottom) for box in boxes]


def _details(recording: Recording, name: str, image: int, numbers: Numbers) -> dict[str, Any]:
    """What the page needs for one kind of layer only: weights, settings, or the places of the largest cells."""
    step = recording[name].forward
    layer, kind = step.layer, step.explanation.kind
    if kind == "conv":
        return {key: numbers.add(recording.params[f"{name}.{key}"]) for key in ("w", "b")}
    if kind == "linear":
        return _some_weights(recording, name, image, numbers)
    if kind in ("lrn", "spatial-norm"):  # the one within a map has k = 1
        return {"norm": {"size": layer.size, "alpha": layer.alpha, "beta": layer.beta, "k": getattr(layer, "k", 1.0)}}
    if kind == "pool":
        return {"argmax": numbers.add(max_pool_forward(step.x[image : image + 1], layer.window)[1][0])}
    return {}


def _some_weights(recording: Recording, name: str, image: int, numbers: Numbers) -> dict[str, Any]:
    """Some weights of a fully connected layer: of the units with the largest outputs, and of the features with the
    largest gradients. There are as many as the page has room for, and the unit of the label is one of them.
    """
    w, b = recording.params[f"{name}.w"], recording.params[f"{name}.b"]
    forward, backward = recording[name]
    wanted = np.abs(forward.y[image])
    if recording.labels is not None and name == recording.rows[-1].name:
        wanted[recording.labels[image]] = np.inf
    units = np.sort(np.argsort(-wanted, kind="stable")[: max(1, MOST_WEIGHTS // w.shape[1])])
    about = {"b": numbers.add(b), "units": units.tolist(), "unit_weights": numbers.add(w[units])}
    if backward is not None:
        largest = np.argsort(-np.abs(backward.dx[image]), kind="stable")
        inputs = np.sort(largest[: max(1, MOST_WEIGHTS // w.shape[0])])
        about |= {"inputs": inputs.tolist(), "input_weights": numbers.add(np.ascontiguousarray(w[:, inputs].T))}
    return about
