"""The commands to learn with: demo, summary, step and check."""

import shlex
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import numpy as np

from tinyalex import gradcheck, layers
from tinyalex import spec as nets
from tinyalex.backend import Array, cpu_kernels, use_kernels
from tinyalex.cli.checkpoints import class_names, find_trained, first_names
from tinyalex.cli.images import first_kernel
from tinyalex.cli.options import Argument, Command, Option, Variant, chosen
from tinyalex.cli.own_layer import errors_in, own_layer
from tinyalex.cli.train import CrossColumns, InputSize, Train
from tinyalex.count import count
from tinyalex.count import summary as table
from tinyalex.data import open_data, prepare_image, read_image
from tinyalex.errors import TinyAlexError, UsageError, at_least
from tinyalex.net import AlexNet
from tinyalex.step import record, to_html
from tinyalex.step.faint import faintness, second_class
from tinyalex.training.evaluate import augmenter_for, check_finite, preparation_for
from tinyalex.weights.checkpoint import Checkpoint

SHAPES = 1000  # generated pictures to choose from: those of validation


@dataclass(frozen=True)
class Demo(Command):
    """Train a small net on generated images, and draw what it learned."""

    example = "demo --out runs/first"
    out: Annotated[Path | None, Option("folder of the run (runs/demo, or runs/demo-2, ... if it exists)")] = None
    epochs: Annotated[int, Option("passes over the training images")] = 15  # half of the recipe: a demo is short
    seed: Annotated[int, Option("seed of all random numbers")] = 0

    def run(self) -> None:
        """Train `mini` on shapes; write its report and pictures."""
        Train(out=self.out, variant="mini", data="shapes", epochs=self.epochs, seed=self.seed).train(name="demo")


@dataclass(frozen=True)
class Summary(Command):
    """Count the layers of a net: kernels, shapes, parameters, multiply-adds."""

    example = "summary --variant paper --input-size 227"
    variant: Variant = "paper"
    classes: Annotated[int, Option("number of classes")] = 1000
    input_size: InputSize = None
    cross_columns: CrossColumns = None

    def run(self) -> None:
        """Print the table."""
        cross_columns = (3,) if self.cross_columns is None else self.cross_columns
        print(table(count(nets.variant(self.variant), self.classes, self.input_size, cross_columns)))


@dataclass(frozen=True)
class Step(Command):
    """Write a page to step through a net's pass over an image: forward to the loss, and backward."""

    example = "step cat.jpg --checkpoint runs/cifar --label cat --out step.html"
    image: Annotated[Path | None, Argument("image file", metavar="IMAGE")] = None
    shapes: Annotated[int | None, Option("instead of IMAGE, picture N of 1000 generated ones", metavar="N")] = None
    checkpoint: Annotated[Path | None, Option("run or checkpoint (the newest in runs/, else the example)")] = None
    label: Annotated[str | None, Option("the true class, for the loss (the net's answer)", metavar="CLASS")] = None
    out: Annotated[Path, Option("file to write", metavar="FILE")] = Path("step.html")

    def run(self) -> None:
        """Record the pass over the image's central crop, and write it as a page."""
        trained, message = find_trained(self.checkpoint)
        net, names = trained.net, class_names(trained)
        stored, what, label = self._picture(trained)
        x = augmenter_for(trained).centre(stored[None])
        p = net.predict(x)[0]
        check_finite(p)
        answer = int(p.argmax())
        label = label if self.label is None else self.label
        edge = (len(stored) - net.input_size) // 2
        crop = stored[edge : edge + net.input_size, edge : edge + net.input_size]
        chosen_class = answer if label is None else _class(names, label)
        recording = record(net, x, [chosen_class], classes=names, pictures=[crop])
        written = to_html(recording, self.out)
        print(f"{message}\n{what}: the net says {names[answer]!r}")
        if label is None:
            print("the loss is that of the net's own answer; give the true class by --label")
        if said := faintness(recording):
            print(f"{said} For example:")
            print(f"  tinyalex step {self._words()} --label {shlex.quote(second_class(recording))}")
            if number := _unsure(trained):
                print(f"  tinyalex step --shapes {number}")
        print(written)

    def _picture(self, trained: Checkpoint) -> tuple[Array, str, str | None]:
        """The image (S, S, 3) as it is stored, what to call it, and its class if that is known."""
        preparation = preparation_for(trained)
        if (self.image is None) == (self.shapes is None):
            got = "both" if self.image else "no picture"
            raise UsageError(f"got {got}: expected an image file, or --shapes N for a generated picture; give one")
        if self.image is not None:
            image = read_image(self.image, smallest=first_kernel(trained.net.spec))
            return prepare_image(image, preparation), str(self.image), None
        assert self.shapes is not None
        if not 1 <= self.shapes <= SHAPES:
            raise UsageError(f"got shapes={self.shapes}: expected 1 ... {SHAPES}")
        pictures = open_data("shapes", size=preparation.size, val_count=SHAPES)[1]
        name = pictures.classes[pictures.labels[self.shapes - 1]]
        what = f"picture {self.shapes} of shapes, {name!r}"
        return pictures.read(np.array([self.shapes - 1]))[0], what, name if name in trained.classes else None

    def _words(self) -> str:
        """The picture and the net, as they were given."""
        picture = f"--shapes {self.shapes}" if self.image is None else shlex.quote(str(self.image))
        return picture + (f" --checkpoint {shlex.quote(str(self.checkpoint))}" if self.checkpoint else "")


def _unsure(trained: Checkpoint) -> int | None:
    """The one of the first 100 generated pictures whose class the net finds least likely; None for other classes."""
    pictures = open_data("shapes", size=preparation_for(trained).size, val_count=100)[1]
    if trained.classes != pictures.classes:
        return None
    p = trained.net.predict(augmenter_for(trained).centre(pictures.read(np.arange(100))))
    return int(p[np.arange(100), pictures.labels].argmin()) + 1


def _class(classes: tuple[str, ...], name: str) -> int:
    """The number of the class of that name."""
    if name not in classes:
        raise UsageError(f"got the label {name!r}: expected one of {first_names(classes)}; check its spelling")
    return classes.index(name)


KERNELS = {"reference": "the definitions", "auto": "their compiled twins, where there are some"}


@dataclass(frozen=True)
class Check(Command):
    """Check gradients numerically: those of all layers and of a small net, or of your own layer."""

    example = "check mylayers.py:MyLayer --shape 2,3,8,8"
    layer: Annotated[
        str | None, Argument("your layer, or a function that makes it (all of tinyalex)", metavar="FILE.py:NAME")
    ] = None
    shape: Annotated[tuple[int, ...] | None, Option("shape of your layer's input (2,3,8,8)", metavar="N,C,H,W")] = None
    seed: Annotated[int, Option("seed of the inputs")] = 0

    def run(self) -> None:
        """Print the largest errors of the gradients. Raises TinyAlexError where one is wrong, and prints what it is."""
        at_least(0, seed=self.seed)
        shape = chosen(self.shape, (2, 3, 8, 8))
        if min(shape, default=0) < 1:
            raise UsageError(f"got shape={shape}: expected sizes of 1 or more, such as 2,3,8,8")
        if self.layer is None and self.shape is not None:
            raise UsageError(f"got shape={self.shape} without a layer: expected FILE.py:NAME before it; add it")
        rng = np.random.default_rng(self.seed)
        if self.layer is None:
            for kernels in ("reference", "auto") if cpu_kernels() else ("reference",):
                print(f"{KERNELS[kernels]}\n")
                with use_kernels(kernels):
                    _check_all(self.seed, np.random.default_rng(self.seed))
            print("all gradients are right")
            return
        with errors_in(self.layer):
            try:
                checked = gradcheck.check_layer(own_layer(self.layer), rng.standard_normal(shape), rng=rng)
            except gradcheck.GradientError as error:
                for line in error.details:
                    print(line)
                raise TinyAlexError(error.summary) from None
        print(gradcheck.table(self.layer, checked))


def _check_all(seed: int, rng: np.random.Generator) -> None:
    """Check every kind of layer, with sizes that do not divide evenly, and a whole net."""
    conv = layers.Conv2D(4, 6, (3, 2), stride=(2, 1), pad=(1, 0), groups=2, ceil_mode=True, init_std=0.3, rng=rng)
    cases: list[tuple[str, layers.Layer, tuple[int, ...]]] = [
        ("Conv2D", conv, (2, 4, 8, 7)),
        ("MaxPool2D", layers.MaxPool2D(3, 2, ceil_mode=True), (2, 4, 8, 7)),
        ("AveragePool2D", layers.AveragePool2D(3, 2, ceil_mode=True), (2, 4, 8, 7)),
        ("LocalResponseNorm", layers.LocalResponseNorm(alpha=0.5, groups=2), (2, 12, 3, 4)),
        ("SpatialResponseNorm", layers.SpatialResponseNorm(alpha=5.0), (2, 3, 7, 8)),
        ("ReLU", layers.ReLU(), (2, 3, 4, 5)),
        ("Tanh", layers.Tanh(), (2, 3, 4, 5)),
        ("Linear", layers.Linear(7, 5, init_std=0.3, rng=rng), (3, 7)),
        ("Dropout", layers.Dropout(rng=rng), (3, 20)),
    ]
    for name, layer, shape in cases:
        print(gradcheck.table(name, gradcheck.check_layer(layer, rng.standard_normal(shape), rng=rng)))
    net = AlexNet("mini", num_classes=10, input_size=16, seed=seed)
    x, labels = rng.standard_normal((4, 3, 16, 16)), rng.integers(0, 10, 4)
    print(gradcheck.table("mini, 16 x 16 images", gradcheck.check_net(net, x, labels, rng=rng)) + "\n")
