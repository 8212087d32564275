"""Does a file fit? The self-test of a net that came from a file: does it behave as a trained net does?

A file may be read without an error and still be read wrongly: axes exchanged, another order of the features, pixels of
another range. Then the first kernels look like noise, units die, or the outputs are the same for every picture. These
are looked for in generated pictures, as no photograph comes with the package. Passing is no proof. Proof is `compare`:
the outputs of each layer beside those that the net's own program stored.

Axes: N images, 3 colours, C channels, H, W height and width, D features, K classes.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tinyalex.backend import to_numpy
from tinyalex.count import Row
from tinyalex.data.dead_leaves import dead_leaves
from tinyalex.errors import CheckpointError
from tinyalex.net import AlexNet
from tinyalex.plan import is_relu
from tinyalex.training.evaluate import augmenter_for
from tinyalex.weights.checkpoint import Checkpoint

PICTURES = 8
LOW = 0.25  # cycles a pixel: half of the highest frequency that a kernel can have
SMOOTH = 1.3  # a trained first layer has at least so many times the low frequencies of noise; 2 to 4 is usual
DEAD = 0.9  # of the units of a layer; on eight pictures half of fc7 may be silent
UNIFORM = 0.95  # of the entropy of guessing
SAME = 0.01  # how far the outputs for the pictures lie from their mean, from 0 to 1
TOLERANCE = 1e-3  # of the largest value of a stage


@dataclass(frozen=True)
class Check:
    """What was looked at, what was found, and whether a trained net is like that."""

    what: str
    found: str
    ok: bool


@dataclass(frozen=True)
class Stage:
    """The output of a layer beside the stored one. difference, largest: of |ours - stored| and of |stored|."""

    name: str
    difference: float
    largest: float

    @property
    def relative(self) -> float:
        """The largest difference, in units of the largest stored value."""
        return self.difference / self.largest if self.largest else self.difference

    @property
    def ok(self) -> bool:
        """Whether the stage agrees with the stored one; NaN does not."""
        return self.relative <= TOLERANCE


def complete_rows(trained: Checkpoint) -> list[Row]:
    """The layers before the first that lacks a parameter: those that a part of a net can compute."""
    rows = trained.net.rows
    lacking = {name.partition(".")[0] for name in trained.missing}
    end = next((place for place, row in enumerate(rows) if row.name in lacking), len(rows))
    return rows[:end]


# ---------------------------------------------------------------- the self-test


def self_test(trained: Checkpoint) -> list[Check]:
    """What the parameters and the outputs for a few generated pictures look like.

    The pictures are not looked at where the first layer lacks parameters, or no mean image says how to prepare them.
    """
    checks = [_parameters(trained), *_first_kernels(trained)]
    rows = complete_rows(trained)
    if rows and trained.statistics is not None:
        checks += _on_pictures(trained, rows)
    return checks


def _parameters(trained: Checkpoint) -> Check:
    """How many there are, and that all are finite; a reader has compared their shapes."""
    params = trained.net.params
    arrays = [to_numpy(params[name]) for name in params if name not in trained.missing]
    finite = all(np.isfinite(array).all() for array in arrays)
    lacking = f"; missing: {', '.join(trained.missing)}" if trained.missing else ""
    count = sum(array.size for array in arrays)
    return Check(
        "parameters", f"{count:,} in {len(arrays)} arrays, {'all' if finite else 'not'} finite{lacking}", finite
    )


def _first_kernels(trained: Checkpoint) -> Iterator[Check]:
    """Trained kernels are smooth: edges, blobs and waves. Noise has the same energy in all frequencies."""
    if "conv1.w" in trained.missing:
        return
    share, of_noise = low_frequencies(to_numpy(trained.net.params["conv1.w"]))
    text = f"{share:.0%} of the energy in low frequencies, {of_noise:.0%} in those of noise"
    yield Check("first kernels", text, share >= SMOOTH * of_noise)


def low_frequencies(w: NDArray[Any]) -> tuple[float, float]:
    """The share of the kernels' energy in frequencies up to LOW, and the share that noise has there, on average.

    w: (OC, 3, KH, KW).   The energy is the squared magnitude of each channel's discrete Fourier transform.
    """
    energy = np.abs(np.fft.fft2(w.astype(np.float64))) ** 2
    down, across = (np.fft.fftfreq(size) for size in w.shape[2:])
    low = np.hypot(down[:, None], across) <= LOW  # (KH, KW)
    return float(energy[..., low].sum() / max(energy.sum(), np.finfo(float).tiny)), float(low.mean())


def pictures(size: int) -> NDArray[np.uint8]:
    """Generated pictures with the statistics of photographs -> (N, size, size, 3) uint8, always the same ones."""
    return np.stack([dead_leaves(np.random.default_rng([2012, number]), size, size) for number in range(PICTURES)])


def _on_pictures(trained: Checkpoint, rows: list[Row]) -> Iterator[Check]:
    augmenter = augmenter_for(trained)
    alive: dict[str, float] = {}
    finite = True

    def look(name: str, y: Any) -> None:
        nonlocal finite
        y = to_numpy(y)
        finite = finite and bool(np.isfinite(y).all())
        if name in relus:
            others = (0, *range(2, y.ndim))  # a unit of a convolution is a map: alive if it is anywhere
            alive[name] = float((y > 0).any(axis=others).mean())

    relus = {row.name for row in rows if is_relu(row)}
    images = augmenter.centre(pictures(len(augmenter.mean)))
    with np.errstate(over="ignore", invalid="ignore"):  # `finite` tells it
        y = to_numpy(trained.net.forward(images, upto=rows[-1].name, seen=look))
    yield Check(f"outputs on {PICTURES} generated pictures", "all finite" if finite else "not finite", finite)
    if not finite:
        return
    for name, share in alive.items():
        yield Check(f"dead units, {name}", f"{1 - share:.0%}", 1 - share <= DEAD)
    if len(rows) == len(trained.net.rows):
        yield from _class_probabilities(y.astype(np.float64))


def _class_probabilities(logits: NDArray[np.float64]) -> Iterator[Check]:
    """A net that is read wrongly gives each class the same probability, or each picture the same classes."""
    p = np.exp(logits - logits.max(axis=1, keepdims=True))
    p /= p.sum(axis=1, keepdims=True)  # (N, K)
    entropy = -(p * np.log(np.maximum(p, np.finfo(float).tiny))).sum(axis=1).mean()
    share = float(entropy / np.log(p.shape[1])) if p.shape[1] > 1 else 0.0
    yield Check("sure of its classes", f"entropy {share:.0%} of guessing", share <= UNIFORM)
    distance = float(np.abs(p - p.mean(axis=0)).sum(axis=1).mean() / 2)
    yield Check("pictures told apart", f"outputs {distance:.0%} from their mean", distance >= SAME)


# ---------------------------------------------------------------- beside stored outputs


def compare(trained: Checkpoint, golden: Mapping[str, NDArray[Any]]) -> list[Stage]:
    """The output of each layer beside the stored one.

    golden: "image", (3, H, W) or (N, 3, H, W), as the net reads it, its mean subtracted; and by the names of layers
        ("relu1", "pool1", ..., "prob" for the probabilities) what another program computed of it, for one image or N.
        Arrays of other names are left alone, as are those of layers that a part of a net cannot compute.
        The image has the colours in the order of the net in its file. So read the file with Given(colours="RGB"): then
        conv1 is not turned round, and reads the image as it is.
    Raises CheckpointError if there is no image or no stage, or if a shape is not that of the net.
    """
    net = trained.net
    x = _image(net, golden)
    computable = [row.name for row in complete_rows(trained)]
    names = [name for name in computable if name in golden]
    if len(computable) == len(net.rows) and "prob" in golden:
        names.append("prob")
    if not names:
        raise CheckpointError(
            f"got stored outputs called {', '.join(sorted(golden))[:200]}: expected names of layers that the net can "
            f"compute, such as {', '.join(computable[:4]) or 'none, as the file lacks the first'}"
        )
    return [_stage(net, name, x, golden[name]) for name in names]


def _image(net: AlexNet, golden: Mapping[str, NDArray[Any]]) -> NDArray[Any]:
    """The stored image (N, 3, H, W), in the net's dtype."""
    shape = net.rows[0].in_shape
    image = golden.get("image")
    if image is None or image.ndim not in (3, 4) or image.shape[-3:] != shape or image.dtype.kind not in "fiu":
        found = "none" if image is None else f"one of shape {image.shape} and {image.dtype}"
        raise CheckpointError(f"got as the stored image {found}: expected an array called image of shape {shape}")
    return image.reshape(-1, *shape).astype(net.dtype)


@np.errstate(over="ignore", invalid="ignore")  # what is not finite does not agree
def _stage(net: AlexNet, name: str, x: NDArray[Any], stored: NDArray[Any]) -> Stage:
    ours = to_numpy(net.predict(x) if name == "prob" else net.forward(x, upto=name))
    flat = (len(x), ours[0].size)
    if _long_axes(stored.shape) not in (_long_axes(ours.shape), _long_axes(flat)) or stored.dtype.kind not in "fiu":
        raise CheckpointError(
            f"got {name} of shape {stored.shape} and {stored.dtype}: expected {ours.shape[1:]} for each image"
        )
    stored = stored.astype(np.float64)
    return Stage(name, float(np.abs(ours.ravel() - stored.ravel()).max()), float(np.abs(stored).max()))


def _long_axes(shape: tuple[int, ...]) -> tuple[int, ...]:
    """A shape without its axes of length 1: one image may have no axis of its own, and fc6 be (4096, 1, 1)."""
    return tuple(size for size in shape if size != 1)
