"""The commands that show photographs to a trained net: predict and features."""

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import numpy as np
from numpy.typing import NDArray

from tinyalex import viz
from tinyalex.cli.checkpoints import NetOptions, class_names
from tinyalex.cli.images import first_kernel
from tinyalex.cli.options import Devices, Option, Views
from tinyalex.cli.photos import Images, exit_code, first_of
from tinyalex.cli.terminal import complain, counting
from tinyalex.data.photos import Photo, Seen, image_files, photos, with_outputs
from tinyalex.files import legible, make_folder
from tinyalex.training.evaluate import augmenter_for, check_finite, preparation_for, probabilities_of
from tinyalex.training.features import Extractor, FeatureFile
from tinyalex.viz.figure4 import likeliest
from tinyalex.weights.checkpoint import Checkpoint

DRAWN = 20  # photographs in predictions.png
BATCH = 32  # crops of a forward pass, about


@dataclass(frozen=True)
class Predict(NetOptions):
    """Name what is in images: the five likeliest classes of each, printed and drawn."""

    example = "predict cat.jpg photos --weights torchvision"
    images: Images
    views: Views = "centre"
    json: Annotated[bool, Option("print a JSON object for each image, one a line, and nothing else")] = False
    devices: Devices = None
    out: Annotated[
        Path | None,
        Option(f"folder for predictions.png, which shows the first {DRAWN} images (predictions; with --json none)"),
    ] = None

    def run(self) -> int:
        """Print the classes with their probabilities as they come, and write the picture."""
        trained, message = self.trained()
        total = sum(1 for _ in image_files(self.images))
        folder = self.out or (None if self.json else Path("predictions"))
        predicted = self._predicted(trained, DRAWN if folder else 0)
        names = class_names(trained)
        if not self.json:
            print(message, flush=True)
        drawn: list[tuple[Photo, NDArray[Any]]] = []
        bad = 0
        for photo, p in predicted:
            if p is None:
                bad += 1
                complain(photo.error)
            elif folder and photo.picture is not None:
                if not drawn:
                    make_folder(folder)  # before anything takes long
                drawn.append((photo, p))
            self._print(photo, p, names)
        if folder and drawn:
            path = _draw(drawn, names, folder)
            if not self.json:
                print(f"\n{path}{first_of(DRAWN, total)}")
        return exit_code(bad, total)

    def _predicted(self, trained: Checkpoint, pictures: int) -> Iterator[Seen]:
        """Each photograph with the probabilities of the classes. Raises CheckpointError for a net without a mean."""
        net, augmenter, preparation = trained.net, augmenter_for(trained), preparation_for(trained)
        net.place(self.devices)

        def probabilities(images: NDArray[np.uint8]) -> NDArray[Any]:
            p = probabilities_of(net, augmenter, images, self.views)
            check_finite(p)
            return p

        smallest = first_kernel(net.spec)
        stream = photos(image_files(self.images), preparation, smallest=smallest, pictures=pictures)
        return with_outputs(stream, probabilities, BATCH if self.views == "centre" else BATCH // 10)

    def _print(self, photo: Photo, p: NDArray[Any] | None, names: Sequence[str]) -> None:
        """Print what was found in a photograph, as bars or as JSON."""
        if self.json:
            print(json.dumps({"file": str(photo.path), **_as_json(photo, p, names)}), flush=True)
        elif p is not None:
            print(f"\n{legible(str(photo.path))}\n{viz.bars(names, p)}", flush=True)


def _as_json(photo: Photo, p: NDArray[Any] | None, names: Sequence[str]) -> dict[str, Any]:
    """The likeliest classes of a photograph, or why it could not be read."""
    if p is None:
        return {"error": photo.error}
    best = likeliest(p).tolist()
    return {"classes": [{"index": c, "name": names[c], "probability": float(p[c])} for c in best]}


def _draw(drawn: Sequence[tuple[Photo, NDArray[Any]]], names: Sequence[str], folder: Path) -> Path:
    """Write the picture into the folder -> its path."""
    pictures = [photo.picture for photo, _ in drawn if photo.picture is not None]
    captions = [legible(photo.path.name) for photo, _ in drawn]
    figure = viz.predictions(pictures, None, [p for _, p in drawn], names, captions=captions)
    return viz.save(figure, folder / "predictions.png")


@dataclass(frozen=True)
class Features(NetOptions):
    """Write the features of images to a file: the output of one of a net's layers for each.

    After a kill the same command goes on where it was.
    """

    example = "features photos --weights torchvision --out photos.npz"
    when_stopped = "; the same command goes on"
    images: Images
    out: Annotated[Path, Option("file to write: features (N, D), files, layer, made_by", metavar="FILE.npz")] = Path(
        "features.npz"
    )
    layer: Annotated[str | None, Option("the layer (the last hidden one, after its ReLU)", metavar="NAME")] = None
    devices: Devices = None

    def run(self) -> int:
        """Write the file; print how many images are in it."""
        trained, message = self.trained(part=True)
        total = sum(1 for _ in image_files(self.images))
        trained.net.place(self.devices)
        extractor = Extractor(trained, self.layer, smallest=first_kernel(trained.net.spec))
        file = FeatureFile(extractor, self.out, source=message)
        print(message, flush=True)
        bad = 0
        with counting(total, "reading features") as progress:

            def done(images: int, rejected: list[str]) -> None:
                nonlocal bad
                bad += len(rejected)
                for reason in rejected:
                    complain(reason)
                progress(images)

            file.write(image_files(self.images), done)
        if total > bad:
            print(f"{self.out}: {extractor.layer} of {total - bad:,} images")
        return exit_code(bad, total)
