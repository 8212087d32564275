"""The command that finds the photographs most like others: neighbours (section 6.1, and figure 4, right)."""

from collections.abc import Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import numpy as np
from numpy.typing import NDArray

from tinyalex import viz
from tinyalex.cli.checkpoints import NetOptions
from tinyalex.cli.images import first_kernel
from tinyalex.cli.options import Devices, Option
from tinyalex.cli.photos import Images, exit_code, first_of, readable
from tinyalex.cli.terminal import complain
from tinyalex.data.photos import Photo, image_files, in_batches, small_picture
from tinyalex.errors import DataError
from tinyalex.files import legible, make_folder
from tinyalex.training.features import Extractor
from tinyalex.training.neighbours import Index

DRAWN, ACROSS = 10, 12  # rows of neighbours.png, and the neighbours in a row, at most
SEARCHED = 64  # photographs whose neighbours are searched for at a time: each time the whole index is read
LOST = np.full((2, 2, 3), 230, np.uint8)  # a grey square, in place of a photograph that cannot be read any more


@dataclass(frozen=True)
class Neighbours(NetOptions):
    """Find the images of an index that are most like others: those with the nearest features.

    The index is a file that `tinyalex features` wrote with the same net.
    """

    example = "neighbours cat.jpg --index photos.npz --weights torchvision"
    images: Images
    index: Annotated[Path, Option("file of features, of tinyalex features", metavar="FILE.npz")]
    k: Annotated[int, Option("how many neighbours of each image")] = 6
    devices: Devices = None
    out: Annotated[Path, Option(f"folder for neighbours.png, the first {DRAWN} images")] = Path("neighbours")

    def run(self) -> int:
        """Print the distances and paths of the nearest images, and draw them."""
        trained, message = self.trained(part=True)
        total = sum(1 for _ in image_files(self.images))
        bad: list[Path] = []
        rows: list[Row] = []
        with closing(Index(self.index)) as index:
            index.check(trained, self.k)
            trained.net.place(self.devices)
            extractor = Extractor(trained, index.layer, smallest=first_kernel(trained.net.spec))
            print(message, flush=True)
            seen = extractor.read(image_files(self.images), pictures=DRAWN)
            for several in in_batches(readable(seen, bad), SEARCHED):
                if not rows:
                    make_folder(self.out)  # before anything takes long
                for row in found_for(several, index, self.k):
                    print(f"\n{row}", flush=True)
                    if row.photo.picture is not None:
                        rows.append(row)
        lost = self._draw(rows, total) if rows else []
        return exit_code(len(bad), total) or (2 if lost else 0)

    def _draw(self, rows: Sequence["Row"], total: int) -> list[Path]:
        """Write the picture, and print where it is -> the neighbours that cannot be read any more, and are told."""
        lost: list[Path] = []

        def picture(path: Path) -> viz.Picture:
            try:
                return small_picture(path)
            except DataError as error:
                complain(str(error))
                lost.append(path)
                return LOST

        figure = viz.neighbours(
            [row.photo.picture for row in rows if row.photo.picture is not None],
            [[picture(path) for path in row.files[:ACROSS]] for row in rows],
            [legible(row.photo.path.name) for row in rows],
            [[f"{distance:#.4g}" for distance in row.distances[:ACROSS]] for row in rows],
            titles=("image", f"nearest in {legible(self.index.name)}, and their distances"),
            classes=False,
        )
        print(f"\n{viz.save(figure, self.out / 'neighbours.png')}{first_of(DRAWN, total)}")
        return lost


@dataclass(frozen=True)
class Row:
    """A photograph, the paths of those that are nearest to it, and how far their features are from its own."""

    photo: Photo
    files: list[Path]
    distances: list[float]

    def __str__(self) -> str:
        found = zip(self.distances, self.files, strict=True)
        lines = [f"{distance:#10.4g}  {legible(str(path))}" for distance, path in found]
        return "\n".join([legible(str(self.photo.path)), *lines])


def found_for(seen: Sequence[tuple[Photo, NDArray[Any]]], index: Index, k: int) -> Iterator[Row]:
    """The k nearest in the index to each photograph with its features."""
    numbers, distances = index.nearest(np.stack([features for _, features in seen]), k)
    files = index.files(numbers)
    for (photo, _), own, far in zip(seen, numbers.tolist(), distances.tolist(), strict=True):
        yield Row(photo, [files[number] for number in own], far)
