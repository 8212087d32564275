"""The commands to train with: warmup and train."""

import time
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Annotated, Literal

from tinyalex.backend import cpu_kernels
from tinyalex.cli.options import DATA, VARIANT, Command, Devices, Option, chosen
from tinyalex.cli.runs import train
from tinyalex.errors import UsageError
from tinyalex.spec import VARIANTS
from tinyalex.training.settings import Settings, settings_for

InputSize = Annotated[int | None, Option("height and width of the net's input (the variant's)", metavar="PIXELS")]
CrossColumns = Annotated[
    tuple[int, ...] | None, Option("convolutions that read the maps of both columns (3)", metavar="3,...")
]


@dataclass(frozen=True)
class Warmup(Command):
    """Compile all kernels and keep them on disk: later runs then begin at once."""

    example = "warmup"

    def run(self) -> None:
        """Compile the kernels for float32 and float64."""
        begun = time.perf_counter()
        twins = cpu_kernels()
        if twins is None:
            raise UsageError("there is nothing to compile, as Numba is not installed: run pip install numba")
        if twins.code_folder() is None:
            raise UsageError("there is no folder to keep kernels in that can be written: name one in NUMBA_CACHE_DIR")
        twins.warm_up()
        print(f"the kernels are compiled, in {time.perf_counter() - begun:.1f} s; later runs load them from disk")


@dataclass(frozen=True)
class Train(Command):
    """Train a net, or go on with a run. Under mpiexec several processes share each batch.

    An option that is not given has the value of the variant's recipe, or of the run that goes on.
    """

    example = "train --data cifar10:cifar-10-batches-py --variant mini --out runs/cifar"
    data: Annotated[
        str | None, Option("training and validation images (shapes); DIR: a folder of class folders", metavar=DATA)
    ] = None
    variant: Annotated[str | None, VARIANT] = None
    out: Annotated[Path | None, Option("folder of the run (runs/VARIANT-DATA, or the next that is free)")] = None
    resume: Annotated[
        Path | Literal[True] | None,
        Option(
            "go on with the run in RUN, or in --out if it holds one, with its own settings; --epochs may be raised, "
            "the learning rate and its schedule changed",
            metavar="RUN",
            alone=True,
        ),
    ] = None
    input_size: InputSize = None
    cross_columns: CrossColumns = None
    initial: Annotated[
        str | None,
        Option("begin with the initial weights of this net's layers (the variant's)", metavar="NAME", choices=VARIANTS),
    ] = None
    devices: Devices = None
    epochs: Annotated[int | None, Option("passes over the training images")] = None
    batch: Annotated[int | None, Option("images a step (128)")] = None
    lr: Annotated[float | None, Option("learning rate at the start")] = None
    momentum: Annotated[float | None, Option("momentum (0.9)")] = None
    weight_decay: Annotated[float | None, Option("weight decay (0.0005)")] = None
    dropout: Annotated[float | None, Option("probability to drop a hidden unit of fc6 and fc7 (0.5)")] = None
    schedule: Annotated[
        Literal["steps", "plateau", "linear", "constant"] | None,
        Option(
            "how the learning rate falls: it is divided by 10 after the epochs in --drops (steps, the default) or when "
            "the validation error has not improved for --patience epochs (plateau); it falls by the same amount after "
            "each epoch, to 0 at the end (linear); or it stays (constant)"
        ),
    ] = None
    drops: Annotated[tuple[int, ...] | None, Option("epochs after which the learning rate is divided by 10")] = None
    patience: Annotated[int | None, Option("epochs without improvement that --schedule plateau waits (5)")] = None
    crops: Annotated[bool | None, Option("train on central crops only")] = None
    reflections: Annotated[bool | None, Option("train without mirror images")] = None
    colour: Annotated[
        Literal["paper", "cuda-convnet", "off"] | None,
        Option("colour noise: the paper's formula (paper, the default), the released code's, or none (off)"),
    ] = None
    zoom: Annotated[
        float | None,
        Option("train on random parts of images, enlarged; of each side at least the share X (1: the whole image)"),
    ] = None
    limit: Annotated[int | None, Option("train on N images only, as many of each class")] = None
    seed: Annotated[int | None, Option("seed of all random numbers (0)")] = None
    validate_every: Annotated[int | None, Option("epochs between validations (1)")] = None
    save_every: Annotated[int | None, Option("also save after every N steps")] = None
    save_minutes: Annotated[float | None, Option("longest time between checkpoints, in minutes (10)")] = None
    check: Annotated[
        Literal["decode", "header"] | None,
        Option("how images in files are checked before the first step: read whole (decode), or their header"),
    ] = None
    skip_bad: Annotated[bool, Option("leave out images that cannot be read")] = False
    workers: Annotated[int | None, Option("threads that prepare batches (1; for a GPU one for each core)")] = None

    def run(self) -> None:
        """Train to the last epoch; write the run's report and pictures."""
        self.train()

    def train(self, name: str | None = None) -> None:
        """The same; name: the folder in runs/ of a new run without --out (None: the variant's and the data's)."""
        train(self.settings, self.out, self.resume, name)

    def settings(self, saved: Settings | None = None) -> Settings:
        """The settings of the run: the options that were given, the others from `saved`, or else from the recipe.

        Raises UsageError for an option that has no effect with the schedule.
        """
        base = settings_for(chosen(self.variant, "mini")) if saved is None else saved
        schedule = chosen(self.schedule, base.schedule)
        for option, value, needed in (("drops", self.drops, "steps"), ("patience", self.patience, "plateau")):
            if value is not None and schedule != needed:
                raise UsageError(f"got --{option}, which has no effect with --schedule {schedule}: expected {needed}")
        variant, epochs = chosen(self.variant, base.variant), chosen(self.epochs, base.epochs)
        own = base.drops != settings_for(base.variant, epochs=base.epochs).drops  # of --drops: they stay
        drops = base.drops if own or epochs == base.epochs else settings_for(variant, epochs=epochs).drops
        return replace(
            base,
            data=chosen(self.data, base.data),
            variant=variant,
            epochs=epochs,
            batch=chosen(self.batch, base.batch),
            lr=chosen(self.lr, base.lr),
            momentum=chosen(self.momentum, base.momentum),
            weight_decay=chosen(self.weight_decay, base.weight_decay),
            drops=chosen(self.drops, drops),
            input_size=chosen(self.input_size, base.input_size),
            schedule=schedule,
            patience=chosen(self.patience, base.patience),
            dropout=chosen(self.dropout, base.dropout),
            cross_columns=chosen(self.cross_columns, base.cross_columns),
            initial=chosen(self.initial, base.initial),
            crops=chosen(self.crops, base.crops),
            reflections=chosen(self.reflections, base.reflections),
            colour=chosen(self.colour, base.colour),
            zoom=chosen(self.zoom, base.zoom),
            seed=chosen(self.seed, base.seed),
            limit=chosen(self.limit, base.limit),
            validate_every=chosen(self.validate_every, base.validate_every),
            save_every=chosen(self.save_every, base.save_every),
            save_minutes=chosen(self.save_minutes, base.save_minutes),
            check=chosen(self.check, base.check),
            skip_bad=self.skip_bad or base.skip_bad,
            workers=chosen(self.workers, base.workers),
            devices=chosen(self.devices, base.devices),
        )
