"""All experiments by name, in the order of the paper's sections."""

from tinyalex.errors import UsageError
from tinyalex.experiments import architecture, learning, looking
from tinyalex.experiments.experiment import Experiment

EXPERIMENTS = {
    experiment.name: experiment
    for experiment in (
        architecture.RELU_VS_TANH,
        architecture.TWO_COLUMNS,
        architecture.CROSS_COLUMNS,
        architecture.LRN,
        architecture.ALPHA,
        architecture.ORDER,
        architecture.OVERLAPPING_POOLING,
        learning.CROPS_AND_FLIPS,
        learning.COLOUR_NOISE,
        looking.TEN_CROP,
        learning.DROPOUT,
        learning.WEIGHT_DECAY,
        learning.MOMENTUM,
        learning.BATCH_SIZE,
        looking.AVERAGING,
        looking.KERNELS,
        looking.NEIGHBOURS,
        architecture.DEPTH,
        learning.IMAGES,
    )
}


def named(name: str) -> list[Experiment]:
    """The experiment of that name, or all of them. Raises UsageError, which lists the names, for another name."""
    if name == "all":
        return list(EXPERIMENTS.values())
    if name not in EXPERIMENTS:
        raise UsageError(f"got the experiment {name!r}: expected all or one of {', '.join(EXPERIMENTS)}")
    return [EXPERIMENTS[name]]
