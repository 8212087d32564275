"""Checkpoints: a net, and what is needed to use it or to continue training it, in one .npz file without pickles.

The arrays "params/NAME" and "velocity/NAME" are the parameters and SGD's velocity, "mean", "eigenvalues" and
"eigenvectors" the statistics of the training images. "about" is a JSON text with the rest: the spec and settings of the
net, the state of its dropout generator ("masks"), the names of the classes, the state of the run ("training"), and for
a net that others trained the preparation of its images ("preparation").
"checksum" covers all of them, see `tinyalex.weights.archive`. Files of format 1 have none, and are still read.
"""

import dataclasses
import json
import math
from collections.abc import Iterator, MutableMapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, NamedTuple, get_args
from zipfile import is_zipfile

import numpy as np
from numpy.typing import NDArray

from tinyalex import spec as nets
from tinyalex.backend import to_numpy
from tinyalex.count import Row, count, parameter_shapes
from tinyalex.data.prepare import Preparation
from tinyalex.data.statistics import PixelStatistics
from tinyalex.errors import CheckpointError, TinyAlexError
from tinyalex.files import one_line, replacing
from tinyalex.net import AlexNet
from tinyalex.typed import brief, typed
from tinyalex.weights.archive import Archive, write_arrays

FORMAT = 2
LARGEST_MAPS = 2**28  # numbers that the maps of one image may have, in any layer; the paper's have 290,400 at most


@dataclass
class Checkpoint:
    """The contents of a checkpoint.

    classes: the names of the classes, or none.
    statistics: the mean and the colour covariance of the training images, which prepare an image for the net; or None.
    velocity: SGD's velocity by parameter name, with the shape and dtype of the parameter; empty outside a run.
    training: the state of a run, in JSON values (see `tinyalex.training.loop.Training.checkpoint`); empty without one.
    preparation: how images are prepared for a net that others trained; None: as for those that are trained here.
    missing: the names of the parameters that a file lacks, which are zero; only other programs' files may lack some.
    """

    net: AlexNet
    classes: tuple[str, ...] = ()
    statistics: PixelStatistics | None = None
    velocity: MutableMapping[str, Any] = field(default_factory=dict)
    training: dict[str, Any] = field(default_factory=dict)
    preparation: Preparation | None = None
    missing: tuple[str, ...] = ()

    def check_whole(self, upto: str | None = None) -> None:
        """Raise CheckpointError if a parameter is missing, of all layers or of those up to the layer `upto`."""
        rows = [row.name for row in self.net.rows]
        needed = rows if upto is None else rows[: rows.index(upto) + 1]
        if lacking := [name for name in self.missing if name.partition(".")[0] in needed]:
            raise CheckpointError(
                f"got a part of a net, without {', '.join(lacking)}: expected all parameters; use a file that has "
                "them, or an earlier layer"
            )


@dataclass(frozen=True)
class NetSettings:
    """What `AlexNet` is given besides the spec."""

    num_classes: int
    input_size: int
    dtype: Literal["float32", "float64"]
    dropout: float
    cross_columns: tuple[int, ...]


@dataclass(frozen=True)
class About:
    """The JSON text of a checkpoint."""

    format: int
    spec: dict[str, Any]
    settings: NetSettings
    masks: dict[str, Any]
    classes: tuple[str, ...]
    training: dict[str, Any]
    preparation: Preparation | None = None


# ---------------------------------------------------------------- writing


def write(checkpoint: Checkpoint, path: str | Path, *, half: bool = False) -> None:
    """Write `checkpoint` to `path`. An existing file stays whole until the new one is complete, then is replaced.

    half: store the parameters as float16, in half the space; `read` converts them back to the net's dtype.
    Raises OSError if the file cannot be written, CheckpointError if the state of the run holds NaN or infinity, or if a
    parameter is missing.
    """
    checkpoint.check_whole()
    about = described(checkpoint)
    with replacing(Path(path)) as file:
        write_arrays(file, _arrays(checkpoint, about, half))


def described(checkpoint: Checkpoint) -> str:
    """The JSON text of a checkpoint. Raises CheckpointError if the state of the run holds NaN or infinity."""
    net = checkpoint.net
    about = {
        "format": FORMAT,
        "spec": _spec_to_json(net.spec),
        "settings": {setting.name: getattr(net, setting.name) for setting in dataclasses.fields(NetSettings)},
        "masks": net.mask_rng.bit_generator.state,
        "classes": checkpoint.classes,
        "training": checkpoint.training,
    }
    if checkpoint.preparation is not None:
        about["preparation"] = dataclasses.asdict(checkpoint.preparation)
    try:
        return json.dumps(about, allow_nan=False, default=lambda number: number.item())  # of NumPy
    except ValueError as error:
        raise CheckpointError("got NaN or infinity in the state of the run: expected finite numbers") from error


def _arrays(checkpoint: Checkpoint, about: str, half: bool) -> Iterator[tuple[str, NDArray[Any]]]:
    """The arrays of a checkpoint by name; each is fetched from its device when it is its turn."""
    yield "about", np.array(about)
    for name, array in checkpoint.net.params.items():
        yield f"params/{name}", to_numpy(array).astype("float16") if half else to_numpy(array)
    for name, array in checkpoint.velocity.items():
        yield f"velocity/{name}", to_numpy(array)
    if checkpoint.statistics is not None:
        yield from vars(checkpoint.statistics).items()


def _spec_to_json(spec: nets.Spec) -> dict[str, Any]:
    """The spec as JSON values; it describes the net in full, so the file can be read without the list of variants."""
    fields = dataclasses.asdict(spec)
    fields["layers"] = [[name, type(layer).__name__, dataclasses.asdict(layer)] for name, layer in spec.layers.items()]
    return fields


# ---------------------------------------------------------------- reading


def read(path: str | Path) -> Checkpoint:
    """The checkpoint in the file at `path`, its net on the CPU. All numbers in it are finite.

    Raises CheckpointError if the file is missing, damaged or not a checkpoint of tinyalex, if its parts do not fit
    together, or if a number is NaN or infinite. What the file declares is checked before it takes memory.
    """
    if not Path(path).is_file():
        raise CheckpointError(f"got {path}: expected a .npz file that a training run or tinyalex.save wrote")
    if not is_zipfile(path):
        raise CheckpointError(f"got {path}, which is cut short or not a checkpoint of tinyalex; use another file")
    try:
        with Path(path).open("rb") as file:
            return _restored(Archive(file))
    except Exception as error:  # a damaged zip file can raise almost any exception
        found = "cannot be used" if isinstance(error, TinyAlexError) else "is damaged or not a checkpoint of tinyalex"
        raise CheckpointError(f"got {path}, which {found} ({one_line(error)}); use another file") from error


def _restored(archive: Archive) -> Checkpoint:
    """The checkpoint made of the parts of a file. Raises TinyAlexError for parts that do not fit together."""
    blueprint = blueprint_in(str(archive.read("about")))
    about = blueprint.about
    if about.format > 1 and not archive.has_checksum:
        raise ValueError("the checksum is missing")
    _check_headers(archive, parameter_shapes(blueprint.rows), about)
    net = blueprint.net()
    for name, w in net.params.items():
        _finite(archive, f"params/{name}", w)
    has_velocity = any(name.startswith("velocity/") for name in archive.headers)
    velocity = {name: _finite(archive, f"velocity/{name}") for name in net.params} if has_velocity else {}
    statistics = None
    if "mean" in archive.headers:
        statistics = PixelStatistics(*(_finite(archive, name) for name in ("mean", "eigenvalues", "eigenvectors")))
    return Checkpoint(net, about.classes, statistics, velocity, about.training, about.preparation)


class Blueprint(NamedTuple):
    """A net that a JSON text describes, before it takes memory."""

    about: About
    spec: nets.Spec
    rows: list[Row]

    def net(self) -> AlexNet:
        """The net, its parameters zero. Raises CheckpointError for a state that dropout's generator cannot be in."""
        net = AlexNet(self.spec, seed=None, **vars(self.about.settings))
        _set_masks(net, self.about.masks)
        return net


def blueprint_in(text: str) -> Blueprint:
    """The net that the JSON text of a checkpoint describes. Raises TinyAlexError for a text that describes none."""
    try:
        values = json.loads(text, parse_constant=_no_number)
    except (ValueError, RecursionError) as error:
        raise CheckpointError(f"got a description of a net that is damaged ({one_line(error)})") from error
    if isinstance(values, dict) and values.get("format") not in (1, FORMAT):
        raise CheckpointError(
            f"got format {brief(values.get('format'))}: expected {FORMAT} or older; use a newer version of tinyalex"
        )
    about: About = typed(About, values, "about")
    spec, settings = _spec_from_json(about.spec), about.settings
    rows = count(spec, settings.num_classes, settings.input_size, settings.cross_columns)
    _check_rows(rows, about)
    return Blueprint(about, spec, rows)


def _no_number(name: str) -> None:
    raise ValueError(f"{name} is not JSON")


def _spec_from_json(values: dict[str, Any]) -> nets.Spec:
    """The inverse of `_spec_to_json`. Raises UsageError or CheckpointError for values that describe no net."""
    kinds = {kind.__name__: kind for kind in get_args(nets.LayerSpec)}
    layers: dict[str, nets.LayerSpec] = {}
    for entry in typed(list[Any], values.get("layers"), "spec.layers"):
        match entry:
            case [str(name), str(kind), settings] if kind in kinds and name not in layers:
                layers[name] = typed(kinds[kind], settings, name)
            case _:
                raise CheckpointError(f"got the layer {brief(entry)}: expected [name, kind, settings], each name once")
    spec: nets.Spec = typed(nets.Spec, {**values, "layers": layers}, "spec")
    return spec


def _check_rows(rows: Sequence[Row], about: About) -> None:
    """Check that the net has an output for each class, and that no layer takes absurd memory for one image."""
    classes = about.settings.num_classes
    if rows[-1].out_shape != (classes,) or len(about.classes) not in (0, classes):
        raise CheckpointError(
            f"got {len(about.classes)} names and an output of {rows[-1].out_shape}: expected those of {classes} classes"
        )
    for row in rows:
        pad = row.window.pad if row.window else (0, 0)
        padded = [size + 2 * one for size, one in zip(row.in_shape[1:], pad, strict=False)]
        if max(math.prod(row.out_shape), row.in_shape[0] * math.prod(padded)) > LARGEST_MAPS:
            raise CheckpointError(
                f"got more than {LARGEST_MAPS} numbers an image in {row.name}: expected a smaller net"
            )


def _check_headers(archive: Archive, shapes: dict[str, tuple[int, ...]], about: About) -> None:
    """Check that the arrays of the file are those of a net with parameters of these shapes, and have their dtypes.

    Raises CheckpointError for an array that is missing, is one too many, or has another shape or dtype: compiled loops
    do not check bounds, and a conversion would make other numbers.
    """
    left = {name: header for name, header in archive.headers.items() if name != "about"}
    mean_size = max([about.settings.input_size, *left["mean"].shape[:1]]) if "mean" in left else 0  # at least a crop
    if about.preparation and mean_size not in (0, about.preparation.size):
        raise CheckpointError(f"got a mean of size {mean_size}: expected {about.preparation.size}, as of the images")
    for group in _expected_arrays(shapes, about.settings.dtype, mean_size):
        if "params/conv1.w" not in group and not group.keys() & left.keys():
            continue  # a net without a run has no velocity, and may have no statistics
        for name, (shape, dtypes) in group.items():
            if name not in left:
                raise CheckpointError(f"got no {name}: expected one")
            header = left.pop(name)
            if header.shape != shape or str(header.dtype) not in dtypes:
                raise CheckpointError(
                    f"got {name} of shape {header.shape} and {header.dtype}: expected {shape} and {' or '.join(dtypes)}"
                )
    for name in left:
        raise CheckpointError(f"got {brief(name)}: expected no such array")


def _expected_arrays(
    shapes: dict[str, tuple[int, ...]], dtype: str, mean_size: int
) -> list[dict[str, tuple[tuple[int, ...], tuple[str, ...]]]]:
    """The arrays that a file has, with their shapes and possible dtypes, in three groups: of each group all or none."""
    floats = ("float32", "float64")
    return [
        {f"params/{name}": (shape, (dtype, "float16")) for name, shape in shapes.items()},
        {f"velocity/{name}": (shape, (dtype,)) for name, shape in shapes.items()},
        {"mean": ((mean_size, mean_size, 3), floats), "eigenvalues": ((3,), floats), "eigenvectors": ((3, 3), floats)},
    ]


def _set_masks(net: AlexNet, state: dict[str, Any]) -> None:
    """Put the generator of the dropout masks into `state`. Raises CheckpointError if that is no state of it."""
    generator = net.mask_rng.bit_generator
    with suppress(KeyError, TypeError, ValueError, OverflowError):
        generator.state = state
    if generator.state != state:  # it may also have rounded a number
        raise CheckpointError(f"got masks={brief(state)}: expected the state of a random generator")


def _finite(archive: Archive, name: str, into: NDArray[Any] | None = None) -> NDArray[Any]:
    """The array of that name, as `Archive.read` reads it. Raises CheckpointError if a number is NaN or infinite."""
    array = archive.read(name, into)
    if not np.isfinite([array.min(), array.max()]).all():  # NaN is the smallest and the largest of all
        raise CheckpointError(f"got NaN or infinity in {name}: expected finite numbers")
    return array
