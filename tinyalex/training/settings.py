"""What a training run is asked to do: its settings, from a variant's recipe, the command line or a checkpoint."""

from dataclasses import asdict, dataclass
from typing import Any

from tinyalex import spec as nets
from tinyalex.errors import CheckpointError, UsageError
from tinyalex.optim import drop_epochs
from tinyalex.weights.checkpoint import Checkpoint

# What a resumed run may be told anew: how long it lasts, what it saves, where it computes, and the learning rate, as
# the authors did by hand. All else would make it another run.
CHANGEABLE = ("epochs", "lr", "schedule", "drops", "patience", "validate_every", "save_every", "devices")


@dataclass(frozen=True)
class Settings:
    """What a run is asked to do; `settings_for` makes one from a variant's recipe.

    data: as `tinyalex.data.open_data` takes it.   limit: train on so many images only, as many of each class.
    input_size: height and width of what the net sees.   seed: of the initial weights and all else.
    schedule: "steps", the rate divided by 10 after the epochs in `drops`; "plateau", divided whenever the validation
        error has not improved for `patience` epochs, three times at most; "constant".
    crops, reflections, colour: the augmentation, see `tinyalex.data.Augmenter`.
    validate_every: epochs between validations; the last epoch is validated in any case.
    save_every: steps between checkpoints within an epoch; there is one after each epoch in any case.
    devices: one name, of the net's device, or two, a device for each column; None for the CPU.
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
    crops: bool = True
    reflections: bool = True
    colour: str = "paper"
    seed: int = 0
    limit: int | None = None
    validate_every: int = 1
    save_every: int = 1000
    devices: tuple[str, ...] | None = None

    def __post_init__(self) -> None:
        for key in ("epochs", "batch", "patience", "validate_every", "save_every", "input_size", "limit"):
            value = getattr(self, key)
            if value is not None and value < 1:
                raise UsageError(f"{key} is {value}: expected 1 or more")
        if min(self.drops, default=1) < 1:
            raise UsageError(f"drops is {self.drops}: expected epochs from 1 on, after which the rate is divided by 10")
        if self.seed < 0:
            raise UsageError(f"seed is {self.seed}: expected 0 or more")
        if self.schedule not in ("steps", "plateau", "constant"):
            raise UsageError(f"schedule {self.schedule!r}: expected steps, plateau or constant")

    @property
    def stored_size(self) -> int:
        """The size of the images that crops are taken from."""
        return nets.stored_size(self.input_size)


def settings_for(variant: str = "mini", *, data: str = "shapes", **given: Any) -> Settings:
    """Settings of a run: those `given`, and what is not given from the variant's recipe.

    Raises UsageError for an unknown variant, or values that make no sense.
    """
    spec = nets.variant(variant)
    recipe = asdict(spec.recipe)
    shares = recipe.pop("drops")
    chosen: dict[str, Any] = {"input_size": spec.input_size, **recipe, **given}
    chosen.setdefault("drops", tuple(drop_epochs(chosen["epochs"], shares)))
    return Settings(data, variant, **chosen)


def saved_settings(checkpoint: Checkpoint) -> Settings:
    """The settings of the run that wrote the checkpoint. Raises CheckpointError if no run did."""
    saved = checkpoint.training.get("settings")
    if saved is None:
        raise CheckpointError("the checkpoint holds a net only, not a run: use one that a training run wrote")
    try:
        values: dict[str, Any] = {key: tuple(one) if isinstance(one, list) else one for key, one in saved.items()}
        return Settings(**values)
    except (AttributeError, TypeError) as error:
        raise CheckpointError(
            f"the run's settings are those of another version of tinyalex ({error}): use that"
        ) from error
