"""What a whole run on ILSVRC-2012 takes: steps, days, memory and bytes on the disk (sections 2 and 5).

The training set is passed over as often as the variant's recipe says, 90 times for the paper's nets. The validation set
is classified after each pass, by central crops.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from tinyalex.cost.memory import Memory
from tinyalex.cost.scaling import StepCost
from tinyalex.count import Row, total_parameters
from tinyalex.data import batch_count
from tinyalex.spec import Spec, stored_size

TRAINING, VALIDATION = 1_281_167, 50_000  # images of ILSVRC-2012
DISTRIBUTED = 147_897_477_120 + 6_744_924_160  # bytes of ILSVRC2012_img_train.tar and ILSVRC2012_img_val.tar
JPEG_SHARE = 0.107  # of the bytes of the pixels: what images of 256 x 256 take at quality 90
FORWARD_SHARE = 1 / 3  # of a step's time: backward has twice the multiply-adds
CHECKPOINTS, ARRAYS = 3, 2  # newest, previous and best; parameters and velocity
DAY = 24 * 60 * 60


@dataclass(frozen=True)
class Duration:
    """A whole run.   steps: all of them.   training, validation: seconds of all epochs."""

    steps: int
    training: float
    validation: float

    @property
    def days(self) -> float:
        """Days of training and validation."""
        return (self.training + self.validation) / DAY


def duration(step: StepCost, epochs: int) -> Duration:
    """How long `epochs` passes over ILSVRC-2012 take in steps of this cost."""
    steps = epochs * batch_count(TRAINING, step.images)
    image = FORWARD_SHARE * step.compute / step.images
    return Duration(steps, steps * step.seconds, epochs * VALIDATION * image)


def on_disk(spec: Spec, rows: Sequence[Row]) -> dict[str, float]:
    """Bytes by what lies there: the files as they are distributed, the prepared sets, a run's checkpoints."""
    pixels = 3 * stored_size(spec.input_size) ** 2 * (TRAINING + VALIDATION)
    return {
        "as distributed": DISTRIBUTED,
        "prepared, raw": pixels,
        "prepared, jpeg": JPEG_SHARE * pixels,
        "checkpoints": CHECKPOINTS * ARRAYS * 4 * total_parameters(rows),
    }


def table(spec: Spec, rows: Sequence[Row], steps: Sequence[StepCost], memory: Memory) -> str:
    """All of it as text: a line for each way to share the work, then memory and disk.   memory: of a single device."""
    epochs = spec.recipe.epochs
    lines = [
        f"ILSVRC-2012: {TRAINING:,} training images, {VALIDATION:,} for validation; {epochs} epochs of {spec.name}",
        f"{'devices':<8}{'scheme':<17}{'images':>7}{'images/s':>11}{'steps':>11}{'days':>9}",
    ]
    for step in steps:
        found = duration(step, epochs)
        lines.append(
            f"{step.devices:<8}{step.scheme:<17}{step.images:>7,}{step.images_per_s:>11,.1f}"
            f"{found.steps:>11,}{found.days:>9,.2f}"
        )
    disk = ", ".join(f"{size / 1e9:,.1f} GB {what}" for what, size in on_disk(spec, rows).items())
    return "\n".join([*lines, f"in memory: {memory.total / 1e9:,.1f} GB on one device", f"on the disk: {disk}"])
