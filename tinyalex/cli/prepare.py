"""The command that puts a data set on disk, in the form in which training reads it fastest."""

from dataclasses import dataclass, fields
from functools import partial
from pathlib import Path
from typing import Annotated, Literal

from tinyalex.backend import thread_count
from tinyalex.cli.options import Argument, Command, Option, chosen
from tinyalex.cli.terminal import counting
from tinyalex.data.cifar import CIFARS
from tinyalex.data.cifar_download import download_cifar
from tinyalex.data.shards.index import SPLITS, is_prepared, read_index
from tinyalex.data.shards.look import look
from tinyalex.data.shards.sources import Source, open_source
from tinyalex.data.shards.verify import verify
from tinyalex.data.shards.work import ShardSettings
from tinyalex.data.shards.write import REJECTED, TWICE, Prepared, most_rejected, needed_bytes, prepare, readable
from tinyalex.errors import UsageError
from tinyalex.files import at_home, legible

# The options that each kind of source has; one that would do nothing is refused.
MADE = {"folder", "out", "train", "val", "seed"}
DOWNLOADED = {"folder", "out"}
CHECKED = {"check", "val", "labels", "follow_links", "workers"}
READ = {"folder", "out", "form", "size", "val", "labels", "max_rejected", "follow_links", "shard", "workers", "seed"}


@dataclass(frozen=True)
class Prepare(Command):
    """Put a data set on disk, in large files that training reads fast: prepare SRC DST.

    SRC is a folder of class folders, or tar files of them, or tar files of one class each as ILSVRC-2012 is
    distributed, or images with a table of their classes. After a stop, the same command goes on where it was.
    prepare shapes writes generated pictures as JPEG files instead; prepare cifar10 and cifar100 download these sets.
    """

    example = "prepare photos prepared/photos --form jpeg"
    when_stopped = "; the same command goes on where it was"
    source: Annotated[str, Argument("the images: a folder, a tar file, shapes, cifar10 or cifar100", metavar="SRC")]
    folder: Annotated[Path | None, Argument("the folder to write", metavar="DST")] = None
    out: Annotated[Path | None, Option("the same as DST (data/shapes, or the download cache for CIFAR)")] = None
    check: Annotated[bool, Option("write nothing: read all of SRC, images or a prepared set, and list what is bad")] = (
        False
    )
    form: Annotated[Literal["raw", "jpeg"] | None, Option("pixels, fastest (raw), or JPEG, a tenth of it (raw)")] = None
    size: Annotated[int | None, Option("height and width of the images (256)", metavar="PIXELS")] = None
    val: Annotated[
        str | None,
        Option("where the validation images are, if not in SRC; of shapes: how many (1000)", metavar="DIR|N"),
    ] = None
    labels: Annotated[
        Path | None,
        Option("the classes of images that lie in no class folder: CSV, or the ground truth of ILSVRC-2012's devkit"),
    ] = None
    max_rejected: Annotated[
        float | None, Option("images that may be left out as bad: a number, or a share below 1 (0.01, but at least 10)")
    ] = None
    follow_links: Annotated[bool, Option("read what lies behind links that lead out of SRC, too")] = False
    shard: Annotated[int | None, Option("images in a file (1024)")] = None
    workers: Annotated[int | None, Option("processes that read images (one a core)")] = None
    train: Annotated[int | None, Option("training images of shapes (6000)")] = None
    seed: Annotated[int | None, Option("seed of the order, or of shapes (0)")] = None

    def run(self) -> int:
        """Write the data set, and print the option that names it. Returns 2 if --check found something bad."""
        if self.folder is not None and self.out is not None:
            raise UsageError(f"got {self.folder} and --out {self.out}: expected one of the two")
        self._check_options()
        folder = chosen(self.out, self.folder)
        if self.source in CIFARS:
            found = download_cifar(CIFARS[self.source], folder)
            print(f"--data {self.source}:{found}" if folder else f"{found}\n--data {self.source} finds it")
        elif self.source == "shapes":
            self._shapes(chosen(folder, Path("data/shapes")))
        elif self.check:
            return self._check()
        elif folder is None:
            raise UsageError(f"got no folder to write for {self.source}: expected prepare SRC DST")
        else:
            self._prepare(folder)
        return 0

    def _check_options(self) -> None:
        """Raise UsageError for an option that would do nothing."""
        if self.source == "shapes" or self.source in CIFARS:
            known = MADE if self.source == "shapes" else DOWNLOADED
        else:
            known = CHECKED if self.check else READ
        for field in fields(self):
            if field.name not in known | {"source", "debug"} and getattr(self, field.name) != field.default:
                name = "a second folder" if field.name == "folder" else f"--{field.name.replace('_', '-')}"
                what = f"{self.source} --check" if self.check and field.name != "check" else self.source
                raise UsageError(f"got {name} for prepare {what}, which does not have it: expected it to be left out")

    def _shapes(self, folder: Path) -> None:
        """Write generated pictures as JPEG files in class folders."""
        from tinyalex.data.shapes import write_jpegs  # only this command needs the generator

        try:
            val = int(chosen(self.val, "1000"))
        except ValueError:
            raise UsageError(f"got --val {self.val} for shapes: expected a whole number") from None
        write_jpegs(folder, train=chosen(self.train, 6000), val=val, seed=chosen(self.seed, 0))
        print(f"--data {folder}")

    def _prepare(self, folder: Path) -> None:
        """Write the images of a folder or a tar file in shards."""
        given = {name: getattr(self, name) for name in ("size", "form", "seed", "shard")}
        settings = ShardSettings(**{name: value for name, value in given.items() if value is not None})
        source = self._source()
        needed = needed_bytes(source, settings)
        print(
            f"{source.name}: {_counted(source)}\non the disk: {readable(needed['raw'])} raw, about "
            f"{readable(needed['jpeg'])} as JPEG",
            flush=True,
        )
        prepared = prepare(
            source,
            folder,
            settings,
            needed=needed[settings.form],
            workers=self._workers(),
            max_rejected=most_rejected(len(source), self.max_rejected),
            counting=partial(counting, what="preparing"),
        )
        if prepared is None:
            print(f"{folder} is complete, with these settings and these images")
        else:
            _tell(folder, prepared)
        print(f"--data {folder}")

    def _check(self) -> int:
        """Read all of a source or of a prepared set; list what is bad, and return 2 if there is something."""
        folder = at_home(self.source)
        if is_prepared(folder):
            index = read_index(folder)
            total = sum(map(index.images, SPLITS))
            with counting(total, "checking") as progress:
                bad = verify(folder, progress)
            what = " file" if len(bad) == 1 else " files"
        else:
            source = self._source()
            total = len(source)
            found = look(source, workers=self._workers(), counting=partial(counting, what="checking"))
            bad = [f"{name}: {reason}" for name, reason in found]
            what = ""
        for line in bad:
            print(legible(line))
        print(f"{self.source}: {total:,} images, " + (f"{len(bad):,}{what} bad" if bad else "all good"))
        return 2 if bad else 0

    def _source(self) -> Source:
        """The images that the command names."""
        val = None if self.val is None else Path(self.val)
        return open_source(self.source, val=val, labels=self.labels, follow_links=self.follow_links)

    def _workers(self) -> int:
        """The number of processes. Raises UsageError for one below 1."""
        workers = chosen(self.workers, thread_count())
        if workers < 1:
            raise UsageError(f"got --workers {workers}: expected 1 or more")
        return workers


def _counted(source: Source) -> str:
    """The numbers of images and classes."""
    train, val = (len(source.splits[split]) for split in SPLITS)
    return f"{train:,} training and {val:,} validation images of {len(source.classes):,} classes"


def _tell(folder: Path, prepared: Prepared) -> None:
    """Print what was written, and what was left out."""
    index = prepared.index
    shards, images = sum(map(len, index.splits.values())), sum(map(index.images, SPLITS))
    left_out = f", {prepared.rejected:,} left out ({folder / REJECTED})" if prepared.rejected else ""
    print(f"{folder}: {images:,} images in {shards:,} shards{left_out}")
    if prepared.twice:
        print(f"the same image in two classes, or in training and validation: {prepared.twice:,} ({folder / TWICE})")
