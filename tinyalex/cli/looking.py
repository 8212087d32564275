"""The commands that need no run: prepare, summary and check."""

import importlib.util
import sys
import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np

from tinyalex import gradcheck, layers
from tinyalex import spec as nets
from tinyalex.count import count
from tinyalex.count import summary as table
from tinyalex.data import download_cifar10
from tinyalex.errors import TinyAlexError, UsageError
from tinyalex.net import AlexNet

OWN_LAYERS = "tinyalex_own_layers"  # the name of a user's file as a module: no other is called so


def prepare(source: str, out: Path | None, train: int, val: int, seed: int) -> None:
    """Write the generated images as JPEG files, or download CIFAR-10."""
    if source == "cifar10":
        print(f"--data cifar10:{download_cifar10(out)}" if out else f"{download_cifar10()}\n--data cifar10 finds it")
        return
    from tinyalex.data.shapes import write_jpegs  # the generator is needed here only

    folder = out or Path("data/shapes")
    write_jpegs(folder, train=train, val=val, seed=seed)
    print(f"--data {folder}")


def summary(variant: str, classes: int, input_size: int | None = None, cross_columns: tuple[int, ...] = (3,)) -> None:
    """Print the layers of a net: kernels, shapes, parameters, multiply-adds."""
    print(table(count(nets.variant(variant), classes, input_size, cross_columns)))


def check(layer: str | None, shape: tuple[int, ...], seed: int) -> None:
    """Check the gradients of all layers and of a small net, or of a layer of one's own."""
    if seed < 0:
        raise UsageError(f"seed is {seed}: expected 0 or more")
    if min(shape, default=0) < 1:
        raise UsageError(f"shape is {shape}: expected sizes of 1 or more, such as 2,3,8,8")
    rng = np.random.default_rng(seed)
    if layer:
        with _told_in_one_line(Path(layer.rpartition(":")[0])):
            checked = gradcheck.check_layer(_own_layer(layer), rng.standard_normal(shape), rng=rng)
        print(gradcheck.table(layer, checked))
        return
    conv = layers.Conv2D(4, 6, (3, 2), stride=(2, 1), pad=(1, 0), groups=2, ceil_mode=True, init_std=0.3, rng=rng)
    cases: list[tuple[str, layers.Layer, tuple[int, ...]]] = [
        ("Conv2D", conv, (2, 4, 8, 7)),
        ("MaxPool2D", layers.MaxPool2D(3, 2, ceil_mode=True), (2, 4, 8, 7)),
        ("LocalResponseNorm", layers.LocalResponseNorm(alpha=0.5, groups=2), (2, 12, 3, 4)),
        ("SpatialResponseNorm", layers.SpatialResponseNorm(alpha=5.0), (2, 3, 7, 8)),
        ("ReLU", layers.ReLU(), (2, 3, 4, 5)),
        ("Tanh", layers.Tanh(), (2, 3, 4, 5)),
        ("Linear", layers.Linear(7, 5, init_std=0.3, rng=rng), (3, 7)),
        ("Dropout", layers.Dropout(rng=rng), (3, 20)),
    ]
    for name, one, input_shape in cases:
        print(gradcheck.table(name, gradcheck.check_layer(one, rng.standard_normal(input_shape), rng=rng)))
    net = AlexNet("mini", num_classes=10, input_size=16, seed=seed)
    x, labels = rng.standard_normal((4, 3, 16, 16)), rng.integers(0, 10, 4)
    print(gradcheck.table("mini, 16 x 16 images", gradcheck.check_net(net, x, labels, rng=rng)))
    print("all gradients are right")


def _own_layer(place: str) -> Any:
    """The layer at "FILE.py:NAME": an object with `forward`, or what calling NAME without arguments gives."""
    file, _, name = place.rpartition(":")
    if not Path(file).is_file():
        raise UsageError(f"{place}: expected FILE.py:NAME, a file that there is and a layer in it")
    module = _imported(Path(file))
    if not hasattr(module, name):
        raise UsageError(f"{file} has no {name}: expected the name of a layer, or of a function that makes one")
    found = getattr(module, name)
    return found() if isinstance(found, type) or not hasattr(found, "forward") else found


@contextmanager
def _told_in_one_line(file: Path) -> Iterator[None]:
    """What the code in `file` raises becomes a UsageError that names the error and the line of the file."""
    try:
        yield
    except TinyAlexError:
        raise
    except Exception as error:
        frames = traceback.extract_tb(error.__traceback__)
        lines = [frame.lineno for frame in frames if Path(frame.filename) == file.absolute()]
        where = f"{file}, line {lines[-1]}" if lines else file
        raise UsageError(f"{where}: {type(error).__name__}: {error}") from error


def _imported(file: Path) -> ModuleType:
    found = importlib.util.spec_from_file_location(OWN_LAYERS, file)
    if found is None or found.loader is None:
        raise UsageError(f"{file}: expected a Python file, its name ending in .py")
    module = sys.modules[OWN_LAYERS] = importlib.util.module_from_spec(found)  # a dataclass looks for its module there
    found.loader.exec_module(module)
    return module
