"""Checkpoints: a net, and what is needed to use it or to continue training it, in one .npz file without pickles.

The arrays "params/NAME" and "velocity/NAME" are the parameters and SGD's velocity, "mean", "eigenvalues" and
"eigenvectors" the statistics of the training images. "about" is a JSON text with the rest: the spec and settings of the
net, the state of its dropout generator ("masks"), the names of the classes, and the state of the run ("training").
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
from tinyalex.data.statistics import PixelStatistics
from tinyalex.errors import CheckpointError, TinyAlexError
from tinyalex.files import replacing
from tinyalex.net import AlexNet

FORMAT = 1


@dataclass
class Checkpoint:
    """The contents of a checkpoint.

    classes: the names of the classes, or none.
    statistics: the mean and the colour covariance of the training images, which prepare an image for the net; or None.
    velocity: SGD's velocity by parameter name, with the shape and dtype of the parameter; empty outside a run.
    training: the state of a run, in JSON values (see `tinyalex.training.loop.Training.checkpoint`); empty without one.
    """

    net: AlexNet
    classes: tuple[str, ...] = ()
    statistics: PixelStatistics | None = None
    velocity: MutableMapping[str, Any] = field(default_factory=dict)
    training: dict[str, Any] = field(default_factory=dict)


def write(checkpoint: Checkpoint, path: str | Path, *, half: bool = False) -> None:
    """Write `checkpoint` to `path`. An existing file stays whole until the new one is complete, then is replaced.

    half: store the parameters as float16, in half the space; `read` converts them back to the net's dtype.
    Raises OSError if the file cannot be written.
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
        "masks": net.mask_rng.bit_generator.state,
        "classes": checkpoint.classes,
        "training": checkpoint.training,
    }
    with replacing(Path(path)) as file:
        np.savez(file, about=np.array(json.dumps(about)), **arrays)


def read(path: str | Path) -> Checkpoint:
    """The checkpoint in the file at `path`, its net on the CPU.

    Raises CheckpointError if the file is missing, damaged, or not a checkpoint of tinyalex.
    """
    if not Path(path).is_file():
        raise CheckpointError(f"got {path}: expected a .npz file that a training run or tinyalex.save wrote")
    if not zipfile.is_zipfile(path):  # np.load would read a .npy array, or suggest to unpickle the file
        raise CheckpointError(f"got {path}, which is cut short or not a checkpoint of tinyalex; use another file")
    try:
        with Path(path).open("rb") as opened, np.load(opened, allow_pickle=False) as file:
            about = json.loads(str(file["about"]))
            arrays = {name: file[name] for name in file.files if name != "about"}
    except Exception as error:  # a damaged zip file can raise almost any exception
        reason = " ".join(str(error).split())
        raise CheckpointError(
            f"got {path}, which is damaged or not a checkpoint of tinyalex ({reason}); use another file"
        ) from error
    if not isinstance(about, dict) or about.get("format") != FORMAT:
        raise CheckpointError(f"got {path} in another format: expected format {FORMAT}; write it with this version")
    try:
        return _restored(about, arrays)
    except (KeyError, TypeError, ValueError, TinyAlexError) as error:
        raise CheckpointError(f"got {path}, which contradicts itself ({error}); use another file") from error


def _restored(about: dict[str, Any], arrays: dict[str, NDArray[Any]]) -> Checkpoint:
    """The checkpoint made of the parts of a file.

    Raises KeyError, TypeError, ValueError or TinyAlexError for parts that are missing or do not fit together.
    """
    settings = about["settings"]
    settings["cross_columns"] = tuple(settings["cross_columns"])
    net = AlexNet(_spec_from_json(about["spec"]), **settings)
    for name in net.params:
        net.params[name] = arrays[f"params/{name}"]
    net.mask_rng.bit_generator.state = about["masks"]
    statistics = _statistics(arrays, net.input_size) if "mean" in arrays else None
    classes = tuple(map(str, about["classes"]))
    if classes and len(classes) != net.num_classes:
        raise ValueError(f"{len(classes)} names for {net.num_classes} classes")
    if not isinstance(about["training"], dict):
        raise TypeError("the state of the run is not a JSON object")
    velocity = {name.removeprefix("velocity/"): array for name, array in arrays.items() if name.startswith("velocity/")}
    for name, array in velocity.items():  # compiled loops do not check bounds
        if (array.shape, array.dtype) != (net.params[name].shape, net.params[name].dtype):
            expected = f"{net.params[name].shape} {net.params[name].dtype}"
            raise ValueError(f"velocity of {name}: got {array.shape} {array.dtype}, expected {expected}")
    return Checkpoint(net, classes, statistics, velocity, about["training"])


def _statistics(arrays: dict[str, NDArray[Any]], size: int) -> PixelStatistics:
    """The statistics of the training images, checked; the net reads crops of size x size from such images."""
    size = max(size, len(arrays["mean"]))  # stored images are square, and at least as large as a crop
    shapes = {"mean": (size, size, 3), "eigenvalues": (3,), "eigenvectors": (3, 3)}
    for name, shape in shapes.items():
        if arrays[name].shape != shape or not np.isfinite(arrays[name]).all():
            raise ValueError(f"{name} of the training images: expected finite numbers of shape {shape}")
    return PixelStatistics(*(arrays[name] for name in shapes))


def _spec_to_json(spec: nets.Spec) -> dict[str, Any]:
    """The spec as JSON values; it describes the net in full, so the file can be read without the list of variants."""
    fields = dataclasses.asdict(spec)
    fields["layers"] = [[name, type(layer).__name__, dataclasses.asdict(layer)] for name, layer in spec.layers.items()]
    return fields


def _spec_from_json(fields: dict[str, Any]) -> nets.Spec:
    """The inverse of `_spec_to_json`."""
    kinds = {kind.__name__: kind for kind in nets.LayerSpec.__args__}
    layers = {}
    for name, kind, values in fields["layers"]:
        if "initial" in values:
            values["initial"] = nets.Initial(**values["initial"])
        layers[name] = kinds[kind](**values)
    recipe = nets.Recipe(**{**fields["recipe"], "drops": tuple(fields["recipe"]["drops"])})
    return nets.Spec(**{**fields, "layers": layers, "recipe": recipe})
