"""The commands about trained nets in files: which known ones are here, and whether a file fits."""

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Annotated

from tinyalex import viz
from tinyalex.backend import to_numpy
from tinyalex.cli.checkpoints import FileOptions, read_trained
from tinyalex.cli.options import Argument, Command, Option
from tinyalex.files import legible
from tinyalex.training.verify import TOLERANCE, Stage, compare, self_test
from tinyalex.weights.checkpoint import Checkpoint
from tinyalex.weights.formats import npz
from tinyalex.weights.known import KNOWN, Known, folders, known_as, locate

COLUMNS = "{:<24}{:>4}  {:<13}{:<14}{:>6} {:>6}  {}"


@dataclass(frozen=True)
class Weights(Command):
    """List the trained AlexNets that are known by name: which are here, their licence, their published accuracy."""

    example = "weights --fetch torchvision"
    when_stopped = "; the same command goes on"
    fetch: Annotated[
        str | None,
        Option("download this one into the cache folder, unless it is here", metavar="NAME", choices=KNOWN),
    ] = None

    def run(self) -> None:
        """Print the table, or where the file is that was fetched and by what it was known."""
        if self.fetch is not None:
            known = KNOWN[self.fetch]
            path = known.fetch()
            print(f"{path}: {known.check(path)}")
            return
        print(COLUMNS.format("name", "MB", "net", "licence", "top-1", "top-5", "here"))
        for known in KNOWN.values():
            print(_line(known))
        print(f"\ntop-1 and top-5: published accuracy in %, central crop. Searched: {', '.join(map(str, folders()))}")


def _line(known: Known) -> str:
    """A line of the table."""
    size, net = known.megabytes or "-", known.variant or "mean image"
    return COLUMNS.format(
        known.name, size, net, known.licence, known.top1 or "-", known.top5 or "-", known.find() or "-"
    )


@dataclass(frozen=True)
class Verify(FileOptions):
    """Test a net in a file: whether it was read as it was meant, so that it behaves as a trained net does.

    With --golden, the output of each layer is compared with one that the net's own program stored.
    """

    example = "verify bvlc_alexnet.caffemodel --golden caffe.npz --out verified"
    file: Annotated[str, Argument("file of any program, run, or name that `tinyalex weights` lists", metavar="FILE")]
    golden: Annotated[
        Path | None,
        Option("stored outputs: image (3, H, W) as the net reads it, relu1, pool1, ... of it", metavar="FILE.npz"),
    ] = None
    out: Annotated[Path | None, Option("folder for kernels.png, the kernels of the first layer")] = None

    def run(self) -> int:
        """Print a line for each check and each stage -> 2 if one of them is not as it should be, else 0."""
        given = self.given()
        trained = read_trained(self.file, given, part=True)
        known = known_as(Path(self.file).name)
        if known is not None:
            print(f"{known.file}: {known.check(locate(self.file))}")
        print(f"{legible(self.file)}: {trained.net.spec.name}, {trained.net.num_classes} classes\n", flush=True)
        checks = self_test(trained)
        for check in checks:
            print(f"{_verdict(check.ok)}  {check.what:<32}{check.found}", flush=True)
        stages: list[Stage] = []
        if self.golden is not None:
            as_it_lies = read_trained(self.file, replace(given, colours="RGB"), part=True)  # the image has its order
            stages = compare(as_it_lies, npz.read_arrays(self.golden).arrays)
            _print_stages(stages)
        if self.out is not None:
            print(f"\n{_draw_kernels(trained, self.out)}")
        return 0 if all(check.ok for check in checks) and all(stage.ok for stage in stages) else 2


def _verdict(ok: bool) -> str:
    return "ok " if ok else "NOT"


def _print_stages(stages: list[Stage]) -> None:
    """A line for each layer: the largest difference from what was stored, and how large the stored values are."""
    print(f"\n     {'stage':<12}{'difference':>12}{'largest':>12}{'relative':>12}   (at most {TOLERANCE:g})")
    for stage in stages:
        numbers = f"{stage.difference:>12.3g}{stage.largest:>12.4g}{stage.relative:>12.2g}"
        print(f"{_verdict(stage.ok)}  {stage.name:<12}{numbers}")


def _draw_kernels(trained: Checkpoint, folder: Path) -> Path:
    """Draw the kernels of the first layer into the folder -> the picture's path."""
    net = trained.net
    w = to_numpy(net.params["conv1.w"])
    figure = viz.kernels(w, net.spec.columns if len(w) % net.spec.columns == 0 else 1)
    return viz.save(figure, folder / "kernels.png")
