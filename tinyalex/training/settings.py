"""The settings of a training run: from a variant's recipe, the command line or a checkpoint."""

import math
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from tinyalex import spec as nets
from tinyalex.errors import CheckpointError, TinyAlexError, UsageError, at_least, below
from tinyalex.files import one_line
from tinyalex.optim import drop_epochs
from tinyalex.typed import brief, typed
from tinyalex.weights.checkpoint import Checkpoint

# What may change when a run is resumed: its length, when it validates and saves, where it computes, and the learning
# rate, which the paper's authors lowered by hand. Any other change would make it another run.
CHANGEABLE = (
    "epochs",
    "lr",
    "schedule",
    "drops",
    "patience",
    "validate_every",
    "save_every",
    "save_minutes",
    "workers",
    "check",
    "devices",
)

COUNTS = ("epochs", "batch", "patience", "validate_every", "save_every", "input_size", "limit", "workers")
MOST = 10**9  # of anything that is counted: enough for any run, and small enough for any arithmetic


@dataclass(frozen=True)
class Settings:
    """The settings of a run; `settings_for` fills them in from a variant's recipe.

    data: the source of the images, as for `tinyalex.data.open_data`.
    limit: the number of images to train on, evenly spread over the classes; None for all.
    input_size: height and width of the net's input, in pixels.
    seed: of the initial weights, the dropout masks, the order of the images and their augmentation.
    initial: the variant whose layers' initial weights the net begins with; None: its own.
    lr, momentum, weight_decay: of `tinyalex.SGD`.   dropout: the probability that a unit is dropped.
    schedule: "steps": the rate is divided by 10 after each number of epochs in `drops`; "plateau": it is divided by 10
        whenever the validation error has not improved for `patience` epochs, three times at most; "linear": it falls
        by the same amount after each epoch, and would be 0 after the last; "constant".
    crops, reflections, colour, zoom: the augmentation, see `tinyalex.data.Augmenter`.
    validate_every: epochs between validations; the last epoch is always validated.
    save_minutes: the longest time between checkpoints, in minutes; `tinyalex.training.saves` says when there are more.
    save_every: also the most steps between them, if it is given.
    check: how images in files are checked before the first step: "decode" reads them whole, "header" their beginning.
    skip_bad: whether images that cannot be read are left out; otherwise they are an error before the first step.
    workers: the number of threads that prepare batches; None for one, or for a GPU one for each core.
    devices: the name of one device, or of two, one for each column; None for the CPU.
    Raises UsageError for values out of range, and for an unknown variant as `initial`.
    """

    data: str
    variant: str
    epochs: int
    batch: int
    lr: float
    momentum: float
    weight_decay: float
    drops: tuple[int, ...]
    input_size: int
    schedule: str = "steps"
    patience: int = 5
    dropout: float = 0.5
    cross_columns: tuple[int, ...] = (3,)
    initial: str | None = None
    crops: bool = True
    reflections: bool = True
    colour: str = "paper"
    zoom: float = 1.0
    seed: int = 0
    limit: int | None = None
    validate_every: int = 1
    save_every: int | None = None
    save_minutes: float = 10.0
    check: str = "decode"
    skip_bad: bool = False
    workers: int | None = None
    devices: tuple[str, ...] | None = None

    def __post_init__(self) -> None:
        for key in COUNTS:
            _check_count(key, getattr(self, key))
        if self.initial is not None:
            nets.variant(self.initial)
        if min(self.drops, default=1) < 1:
            raise UsageError(
                f"got drops={self.drops}: expected epochs, 1 or more, after which the rate is divided by 10"
            )
        at_least(0, seed=self.seed, lr=self.lr, momentum=self.momentum, dropout=self.dropout)
        at_least(0, weight_decay=self.weight_decay)
        below(1, momentum=self.momentum, dropout=self.dropout)
        below(math.inf, lr=self.lr, weight_decay=self.weight_decay, save_minutes=self.save_minutes)
        if not self.save_minutes > 0:
            raise UsageError(f"got save_minutes={self.save_minutes}: expected minutes above 0")
        if not 0 < self.zoom <= 1:
            raise UsageError(f"got zoom={self.zoom}: expected a share above 0, 1 at most")
        if self.check not in ("decode", "header"):
            raise UsageError(f"got check {self.check!r}: expected decode or header")
        if self.schedule not in ("steps", "plateau", "linear", "constant"):
            raise UsageError(f"got schedule {self.schedule!r}: expected steps, plateau, linear or constant")

    @property
    def stored_size(self) -> int:
        """Height and width of the stored images, which crops are taken from; in pixels."""
        return nets.stored_size(self.input_size)


def settings_for(variant: str = "mini", *, data: str = "shapes", **given: Any) -> Settings:
    """The settings of a run: those `given`, the others from the variant's recipe.

    Raises UsageError for an unknown variant and for values out of range.
    """
    spec = nets.variant(variant)
    recipe = asdict(spec.recipe)
    shares = recipe.pop("drops")
    chosen: dict[str, Any] = {"input_size": spec.input_size, **recipe, **given}
    _check_count("epochs", chosen["epochs"])
    chosen.setdefault("drops", tuple(drop_epochs(chosen["epochs"], shares)))
    return Settings(data, variant, **chosen)


def _check_count(key: str, value: int | None) -> None:
    """Raise UsageError unless the value is None or a count within bounds."""
    if value is not None and value < 1:
        raise UsageError(f"got {key}={brief(value)}: expected 1 or more")
    if value is not None and value > MOST:
        raise UsageError(f"got {key}={brief(value)}: expected {MOST:,} or less")


def saved_settings(checkpoint: Checkpoint) -> Settings:
    """The settings of the run that wrote the checkpoint. Raises CheckpointError if no run did."""
    saved = checkpoint.training.get("settings")
    if saved is None:
        raise CheckpointError(
            "got a checkpoint of a net alone: expected one of a training run; use a run's checkpoint.npz"
        )
    try:
        settings: Settings = typed(Settings, saved, "settings")
    except TinyAlexError as error:
        raise CheckpointError(
            f"got settings of another version of tinyalex ({one_line(error)}); use that version"
        ) from error
    return settings


def check_unchanged(saved: Settings, settings: Settings, folder: Path) -> None:
    """Check that the run in `folder`, started with the settings `saved`, may go on with `settings`.

    Raises CheckpointError for fewer epochs, and for other values of settings that are not in CHANGEABLE.
    """
    if settings.epochs < saved.epochs:
        raise CheckpointError(f"got epochs={settings.epochs}: expected {saved.epochs} or more, as {folder} began with")
    for key, value in asdict(settings).items():
        if key not in CHANGEABLE and getattr(saved, key) != value:
            raise CheckpointError(f"got {key}={value}: expected {getattr(saved, key)}, as {folder} began with")
