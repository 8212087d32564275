"""The trained net that a command uses: that of a run, of a file, of a known name, or the example."""

from concurrent.futures import ThreadPoolExecutor
from contextvars import copy_context
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal

from tinyalex.backend import load_kernels
from tinyalex.cli.options import Command, Option
from tinyalex.cli.runs import RUNS
from tinyalex.cli.terminal import complain
from tinyalex.errors import UsageError
from tinyalex.files import legible
from tinyalex.spec import VARIANTS
from tinyalex.training.saves import CHECKPOINT, read_newest
from tinyalex.weights import read
from tinyalex.weights.checkpoint import Checkpoint
from tinyalex.weights.example import load_example
from tinyalex.weights.known import locate
from tinyalex.weights.names import names_in
from tinyalex.weights.pixels import Colour, Given


@dataclass(frozen=True, kw_only=True)
class FileOptions(Command):
    """Options that say of another program's file what it does not say itself: see `tinyalex.weights.foreign.Given`."""

    variant: Annotated[
        str | None,
        Option(f"the net in another program's file, if it fits several: {', '.join(VARIANTS)}", "NAME", VARIANTS),
    ] = None
    mean: Annotated[
        str | None,
        Option("what is subtracted from its pixels: three numbers of 0 ... 255, or a mean image", metavar="R,G,B|FILE"),
    ] = None
    scale: Annotated[Colour | None, Option("what red, green and blue are divided by after that")] = None
    colours: Annotated[Literal["RGB", "BGR"] | None, Option("the order in which it reads colours")] = None
    rule: Annotated[
        Literal["square", "scale", "warp"] | None,
        Option("how a picture becomes a square: its middle, its middle after scaling, or all of it squeezed into it"),
    ] = None
    size: Annotated[int | None, Option("the size of that square, which crops are taken from", metavar="PIXELS")] = None
    classes: Annotated[
        Path | None,
        Option("the names of its classes: a text file with a line for each, or meta.mat of ImageNet's kit"),
    ] = None

    def given(self) -> Given:
        """What the options say. Raises TinyAlexError for a mean image or names of classes that are not there."""
        return Given(
            variant=self.variant,
            mean=None if self.mean is None else _mean(self.mean),
            colours=self.colours,
            scale=self.scale,
            rule=self.rule,
            size=self.size,
            classes=() if self.classes is None else names_in(self.classes),
        )


@dataclass(frozen=True, kw_only=True)
class NetOptions(FileOptions):
    """The options of a command that uses one trained net: which it is, and what its file does not say itself."""

    weights: Annotated[
        str | None,
        Option("the net: a file of any program, or a name that `tinyalex weights` lists", metavar="NAME|FILE"),
    ] = None
    checkpoint: Annotated[Path | None, Option("a run or checkpoint (the newest in runs/, else the example)")] = None

    def trained(self, *, part: bool = False) -> tuple[Checkpoint, str]:
        """The net that the options name, and a line that says which it is; part: as for `read_trained`."""
        if self.weights is not None and self.checkpoint is not None:
            raise UsageError(f"got --weights {self.weights} and --checkpoint {self.checkpoint}: expected one of them")
        return find_trained(self.weights or self.checkpoint, self.given(), part=part)


def _mean(text: str) -> Colour | Path:
    """The numbers of "123,117,104", or the file of that path or known name."""
    try:
        red, green, blue = map(float, text.split(","))
    except ValueError:
        return locate(text)
    return red, green, blue


def read_trained(path: str | Path, given: Given | None = None, *, part: bool = False) -> Checkpoint:
    """The checkpoint in a run's folder, or the contents of a file or a known name, as `tinyalex.weights.read` does.

    part: whether a file will do that lacks some of the parameters; else it is a CheckpointError.
    """
    with ThreadPoolExecutor(1, "tinyalex-reading") as pool:
        contents = pool.submit(copy_context().run, _contents, path, given or Given())
        load_kernels()  # meanwhile
        trained = contents.result()
    if not part:
        trained.check_whole()
    return trained


def _contents(path: str | Path, given: Given) -> Checkpoint:
    if Path(path).is_dir():
        given.check_unneeded(legible(str(path)))
        return read_newest(Path(path), complain)[0]
    return read(path, given)


def find_trained(path: str | Path | None, given: Given | None = None, *, part: bool = False) -> tuple[Checkpoint, str]:
    """The net of a run, a file or a known name, else that of the newest run, else the example; and a line about it."""
    runs = sorted(RUNS.glob(f"*/{CHECKPOINT}"), key=lambda run: run.stat().st_mtime)
    if path is None and not runs:
        message = f"there is no run in {RUNS}/: this is the example net, trained on shapes; choose one by --checkpoint"
        (given or Given()).check_unneeded("the example")
        return load_example(), message
    path = path or runs[-1].parent
    trained = read_trained(path, given, part=part)
    how = trained.preparation
    read_as = f" (the net {trained.net.spec.name}; pictures by the rule {how.rule}, {how.size} pixels)" if how else ""
    return trained, f"checkpoint {path}{read_as}"


def class_names(trained: Checkpoint) -> tuple[str, ...]:
    """The names of a net's classes: "class 0", ... where they are not known."""
    return trained.classes or tuple(f"class {number}" for number in range(trained.net.num_classes))


def first_names(names: tuple[str, ...]) -> str:
    """The first three names; of more, also how many there are."""
    return ", ".join(names[:3]) + (f", ... ({len(names)})" if len(names) > 3 else "")
