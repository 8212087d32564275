"""The command that teaches a trained net other classes: finetune."""

import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Annotated, Any

from tinyalex.cli.checkpoints import NetOptions
from tinyalex.cli.images import first_kernel
from tinyalex.cli.options import DATA, Devices, Option, Views
from tinyalex.cli.runs import RUNS, new_folder
from tinyalex.cli.terminal import counting
from tinyalex.data import open_data
from tinyalex.files import alone_in
from tinyalex.training import report
from tinyalex.training.evaluate import preparation_for
from tinyalex.training.finetune import FineTuning, Settings
from tinyalex.training.head import HeadSettings, head_of
from tinyalex.training.history import Record

LINES = 10  # that are printed while the new layer is trained, about


@dataclass(frozen=True)
class Finetune(NetOptions):
    """Teach a trained net other classes: a few dozen images of each are enough.

    Its last layer is replaced by a new one, which is trained on the features that the layers below give. The others
    stay as they are, unless --whole trains all of them afterwards.
    """

    example = "finetune --weights torchvision --data photos --out runs/photos"
    data: Annotated[str, Option("the images; DIR: a folder of class folders", DATA)]
    features: Annotated[
        str | None, Option("the layer that the new one reads (the last hidden one)", metavar="LAYER")
    ] = None
    views: Views = "ten"
    epochs: Annotated[int, Option("passes over the features")] = HeadSettings.epochs
    lr: Annotated[float, Option("learning rate of the new layer, for features of length 1")] = HeadSettings.lr
    weight_decay: Annotated[float, Option("weight decay of the new layer")] = HeadSettings.weight_decay
    batch: Annotated[int, Option("images a step")] = HeadSettings.batch
    whole: Annotated[int, Option("epochs after that in which all layers are trained", metavar="EPOCHS")] = 0
    below: Annotated[
        float, Option("learning rate of the other layers then, as a share of that of their net's recipe")
    ] = Settings.below
    limit: Annotated[int | None, Option("train on N images only, as many of each class")] = None
    seed: Annotated[int, Option("seed of all random numbers")] = HeadSettings.seed
    devices: Devices = None
    out: Annotated[Path | None, Option("folder of the run (runs/finetuned, or the next that is free)")] = None

    def run(self) -> None:
        """Train; write checkpoints, history, report and pictures."""
        head = HeadSettings(
            epochs=self.epochs, lr=self.lr, weight_decay=self.weight_decay, batch=self.batch, seed=self.seed
        )
        settings = Settings(self.features, self.views, self.limit, head, self.whole, self.below)
        trained, message = self.trained(part=True)
        preparation = preparation_for(trained)
        train, val = open_data(
            self.data,
            size=preparation.size,
            smallest=first_kernel(trained.net.spec),
            preparation=preparation,
        )
        tuning = FineTuning(trained, train, val, settings)
        del trained  # the new net has its own arrays
        tuning.net.place(self.devices)
        with self._folder() as folder:
            print(f"{message}; a new {head_of(tuning.net)} of {len(train.classes)} classes reads {tuning.features}")
            began = time.perf_counter()
            tuning.run(folder, counting, self._tell)
            self._finish(tuning, folder, time.perf_counter() - began)

    @contextmanager
    def _folder(self) -> Iterator[Path]:
        """The folder of the run, for this process alone; nothing of a new one stays if nothing was written into it."""
        with ExitStack() as stack:
            folder = self.out or stack.enter_context(new_folder(RUNS / "finetuned"))
            stack.enter_context(alone_in(folder))
            yield folder

    def _tell(self, record: Record) -> None:
        """Print a line for an epoch: of the many that train the new layer alone only for some."""
        epoch = record["epoch"]
        if epoch < self.epochs and epoch % max(1, self.epochs // LINES):
            return
        print(
            f"epoch {epoch:>3}  loss {record['train_loss']:.3f}  error: training {record['train_top1_error']:.1%}, "
            f"validation {record['val_top1_error']:.1%}",
            flush=True,
        )

    def _finish(self, tuning: FineTuning, folder: Path, seconds: float) -> None:
        """Write report.json and the pictures, and print what was reached."""
        last = tuning.history[-1]
        values: dict[str, Any] = {
            "net": str(self.weights or self.checkpoint or ""),
            "variant": tuning.net.spec.name,
            "data": self.data,
            "top1_error": last["val_top1_error"],
            "top5_error": last["val_top5_error"],
            "train_top1_error": last["train_top1_error"],
            "epochs": len(tuning.history),
            "seconds": seconds,
            "training_images": len(tuning.train),
            "validation_images": len(tuning.val),
            "classes": len(tuning.val.classes),
            "preparation": asdict(preparation_for(tuning.checkpoint)),
            "settings": asdict(tuning.settings),
        }
        report.write_report(folder, values)
        print("drawing the pictures ...", flush=True)
        report.draw_pictures(folder, tuning.checkpoint, tuning.train, tuning.val, tuning.history, self.seed)
        print(
            f"top-1 error {last['val_top1_error']:.1%}, top-5 error {last['val_top5_error']:.1%} on "
            f"{len(tuning.val):,} images that it never saw; {len(tuning.train):,} training images, {seconds:.0f} s\n"
            f"in {folder}: {', '.join(sorted(path.name for path in folder.iterdir() if path.is_file()))}"
        )
