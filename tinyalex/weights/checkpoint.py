"""Checkpoints: a net, and all that it takes to use it or to go on training it, in one .npz file without pickles.

The arrays "params/NAME" and "velocity/NAME" are the parameters and their momentum, "mean", "eigenvalues" and
"eigenvectors" the statistics of the training images; "about" is a JSON text with everything else.
"""

import dataclasses
import json
import zipfile
from collections.abc import MutableMapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tinyalex import spec as nets
from tinyalex.backend import to_numpy
from tinyalex.data.prepare import PixelStatistics
from tinyalex.errors import CheckpointError, TinyAlexError
from tinyalex.files import replacing
from tinyalex.net import AlexNet

FORMAT = 1


@dataclass
class Checkpoint:
    """What a file holds.

    classes: the names of the classes.   statistics: of the training images; what a picture is prepared with.
    velocity: SGD's, by parameter name.   training: the state of the run, JSON values only (see `training/loop.py`).
    """

    net: AlexNet
    classes: tuple[str, ...] = ()
    statistics: PixelStatistics | None = None
    velocity: MutableMapping[str, Any] = field(default_factory=dict)
    training: dict[str, Any] = field(default_factory=dict)


def save(net: AlexNet, path: str | Path) -> None:
    """Write the net to `path` (.npz); `load` reads it again. An existing file is replaced, in one piece."""
    write(Checkpoint(net), path)


def load(path: str | Path) -> AlexNet:
    """The net in the file that `save`, or a training run, wrote. Raises CheckpointError if there is none."""
    return read(path).net


def write(checkpoint: Checkpoint, path: str | Path, *, half: bool = False) -> None:
    """Write all of `checkpoint` to `path`, in one piece: the file there before stays whole until the new one is.

    half: round the parameters to float16, for a file of half the size; `read` gives them the net's dtype again.
    """
    net = checkpoint.net
    arrays = {f"params/{name}": to_numpy(array) for name, array in net.params.items()}
    if half:
        arrays = {name: array.astype("float16") for name, array in arrays.items()}
    arrays |= {f"velocity/{name}": to_numpy(array) for name, array in checkpoint.velocity.items()}
    if checkpoint.statistics is not None:
        arrays |= vars(checkpoint.statistics)
    about = {
        "format": FORMAT,
        "spec": _spec_to_json(net.spec),
        "settings": {
            "num_classes": net.num_classes,
            "input_size": net.input_size,
            "dtype": net.dtype,
            "dropout": net.dropout,
            "cross_columns": net.cross_columns,
        },
        "masks": net.masks.bit_generator.state,
        "classes": checkpoint.classes,
        "training": checkpoint.training,
    }
    with replacing(Path(path)) as file:
        np.savez(file, about=np.array(json.dumps(about)), **arrays)


def read(path: str | Path) -> Checkpoint:
    """All that the file at `path` holds. Raises CheckpointError for none, a damaged one, or one of another kind."""
    if not Path(path).is_file():
        raise CheckpointError(f"no checkpoint {path}: expected a .npz file that a training run or tinyalex.save wrote")
    if not zipfile.is_zipfile(path):  # np.load would take another kind of file for an array, or for a pickle
        raise CheckpointError(f"{path} is cut short, or no checkpoint of tinyalex: use another file")
    try:
        with Path(path).open("rb") as opened, np.load(opened, allow_pickle=False) as file:
            about = json.loads(str(file["about"]))
            arrays = {name: file[name] for name in file.files if name != "about"}
    except Exception as error:  # zipfile raises nearly anything on a damaged file
        reason = " ".join(str(error).split())
        raise CheckpointError(
            f"{path} is damaged, or no checkpoint of tinyalex ({reason}): use another file"
        ) from error
    if not isinstance(about, dict) or about.get("format") != FORMAT:
        raise CheckpointError(f"{path} has another format than {FORMAT}: write it again with this version")
    try:
        return _restored(about, arrays)
    except (KeyError, TypeError, ValueError, TinyAlexError) as error:
        raise CheckpointError(f"{path} does not fit the net that it names ({error}): use another file") from error


def _restored(about: dict[str, Any], arrays: dict[str, NDArray[Any]]) -> Checkpoint:
    settings = about["settings"]
    settings["cross_columns"] = tuple(settings["cross_columns"])
    net = AlexNet(_spec_from_json(about["spec"]), **settings)
    for name in net.params:
        net.params[name] = arrays[f"params/{name}"]
    net.masks.bit_generator.state = about["masks"]
    statistics = _statistics(arrays, net.input_size) if "mean" in arrays else None
    classes = tuple(map(str, about["classes"]))
    if classes and len(classes) != net.num_classes:
        raise ValueError(f"it tells {net.num_classes} classes apart, and has the names of {len(classes)}")
    if not isinstance(about["training"], dict):
        raise TypeError("the state of the run is no object")
    velocity = {name.removeprefix("velocity/"): array for name, array in arrays.items() if name.startswith("velocity/")}
    for name, array in velocity.items():  # compiled loops go by the shape of the parameter
        if (array.shape, array.dtype) != (net.params[name].shape, net.params[name].dtype):
            raise ValueError(f"the velocity of {name} has the shape {array.shape} and is {array.dtype}")
    return Checkpoint(net, classes, statistics, velocity, about["training"])


def _statistics(arrays: dict[str, NDArray[Any]], size: int) -> PixelStatistics:
    """Those of the training images, of which the net sees size x size."""
    size = max(size, len(arrays["mean"]))
    shapes = {"mean": (size, size, 3), "eigenvalues": (3,), "eigenvectors": (3, 3)}
    for name, shape in shapes.items():
        if arrays[name].shape != shape or not np.isfinite(arrays[name]).all():
            raise ValueError(f"{name} of the training images: expected finite numbers of the shape {shape}")
    return PixelStatistics(*(arrays[name] for name in shapes))


def _spec_to_json(spec: nets.Spec) -> dict[str, Any]:
    """The spec as JSON values, each layer with its kind, so that a file needs no list of variants to be read."""
    fields = dataclasses.asdict(spec)
    fields["layers"] = [[name, type(layer).__name__, dataclasses.asdict(layer)] for name, layer in spec.layers.items()]
    return fields


def _spec_from_json(fields: dict[str, Any]) -> nets.Spec:
    kinds = {kind.__name__: kind for kind in nets.LayerSpec.__args__}
    layers = {}
    for name, kind, values in fields["layers"]:
        if "initial" in values:
            values["initial"] = nets.Initial(**values["initial"])
        layers[name] = kinds[kind](**values)
    recipe = nets.Recipe(**{**fields["recipe"], "drops": tuple(fields["recipe"]["drops"])})
    return nets.Spec(**{**fields, "layers": layers, "recipe": recipe})
