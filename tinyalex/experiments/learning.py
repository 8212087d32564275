"""The experiments on how the net learns, and from what (sections 4 and 5)."""

from tinyalex.experiments.architecture import SHORT
from tinyalex.experiments.experiment import Arm, Comparison, Experiment
from tinyalex.experiments.measures import TRAIN_ERROR
from tinyalex.experiments.trial import Change, both, scaled, settings

DROPOUT = Experiment(
    "dropout",
    "Dropout",
    "4.2",
    claim="Without dropout the net overfits substantially. With it, training takes about twice as many steps.",
    varies="Dropout of one half in fc6 and fc7, or none; and the number of epochs.",
    held="All else. With three times the epochs the rate falls at the same shares of them.",
    elsewhere="With fully connected layers of 2,048 units: 47.1 % right with p = 0.5, 49.7 % with 0.3, 49.4 % with "
    "0.2, 47.3 % with 0.1. With 4,096 units and p = 0.5: 49.7 %.",
    limits="In a few epochs a net hardly overfits, and then dropout only slows it down. So the comparison is made "
    "twice: with the epochs of all experiments, and with three times as many.",
    arms=(
        Arm("dropout"),
        Arm("none", settings(dropout=0.0)),
        Arm("dropout, 3 x the epochs", scaled(epochs=3, drops=3)),
        Arm("none, 3 x the epochs", both(scaled(epochs=3, drops=3), settings(dropout=0.0))),
    ),
    comparisons=(
        Comparison("dropout, 3 x the epochs", "none, 3 x the epochs"),
        Comparison("dropout", "none"),
    ),
)

COLOUR_NOISE = Experiment(
    "colour-noise",
    "Colour noise",
    "4.1",
    claim="It lowers the top-1 error by more than 1 point.",
    released="The program multiplies the principal components by standard deviations, not by eigenvalues. With pixels "
    "from 0 to 1, as here, this makes the noise stronger. The program also divides the image by 1.1. No log compares.",
    varies="The noise: none, by the paper's formula, or by the program's.",
    held="All else, crops and mirror images among it.",
    limits=f"{SHORT} How strong the paper's noise is depends on the unit of a pixel, which the paper does not give. "
    "Here a pixel is from 0 to 1; from 0 to 255 the colours would shift by some 1,500 grey levels.",
    arms=(
        Arm("noise, as printed"),
        Arm("noise, as run", settings(colour="cuda-convnet")),
        Arm("none", settings(colour="off")),
    ),
    comparisons=(
        Comparison("noise, as printed", "none", paper=-1.0),
        Comparison("noise, as run", "none", paper=-1.0),
    ),
)

CROPS_AND_FLIPS = Experiment(
    "crops-and-flips",
    "Random crops and mirror images",
    "4.1",
    claim="Without them the net overfits substantially, so that it would have to be much smaller.",
    varies="Whether crops, mirror images, both or neither are drawn for training.",
    held="All else, colour noise among it. The test takes the central crop.",
    elsewhere="Further augmentation does harm in training of the same length: 47.1 % right with crops and mirror "
    "images, 46.2 % with several scales besides.",
    limits="CIFAR-10's images are enlarged by their mirrored border before crops are cut; those of ImageNet have more "
    "around the crop.",
    arms=(
        Arm("both"),
        Arm("crops only", settings(reflections=False)),
        Arm("mirror images only", settings(crops=False)),
        Arm("neither", settings(crops=False, reflections=False)),
    ),
    comparisons=(
        Comparison("both", "neither"),
        Comparison("both", "crops only"),
        Comparison("both", "mirror images only"),
    ),
)

WEIGHT_DECAY = Experiment(
    "weight-decay",
    "Weight decay and the training error",
    "5",
    claim="A small weight decay of 0.0005 is not only a regulariser: it lowers the training error.",
    varies="The weight decay.",
    held="All else. The training error is that of central crops without dropout, after the last epoch.",
    elsewhere="47.1 % of the validation images right with 0.0005, 45.0 % with 0.0001 and with 0.00001.",
    limits="Decay acts slowly. With a rate of 0.02, momentum 0.9 and a decay of 0.0005 a weight without other gradient "
    "takes 10,000 steps to shrink by a factor e, and a run here has 1,300. So a decay ten times stronger is tried too.",
    arms=(
        Arm("0.0005", measure=TRAIN_ERROR),
        Arm("none", settings(weight_decay=0.0), TRAIN_ERROR),
        Arm("0.005", settings(weight_decay=0.005), TRAIN_ERROR),
    ),
    comparisons=(Comparison("0.0005", "none"), Comparison("0.005", "none", sign=None)),
)

MOMENTUM = Experiment(
    "momentum",
    "Momentum",
    "5",
    claim="The paper uses 0.9, and compares with nothing.",
    varies="The momentum. 0.9 makes the steps ten times longer in the end, so SGD without it is tried at the same rate "
    "and at ten times the rate.",
    held="All else.",
    elsewhere="Nesterov's form is as good: 47.3 % right against 47.1 %.",
    limits="In 1,300 steps a slow start costs much; in 900,000, as in the paper, it costs less.",
    arms=(
        Arm("0.9"),
        Arm("none", settings(momentum=0.0)),
        Arm("none, 10 x the rate", both(scaled(lr=10), settings(momentum=0.0))),
    ),
    comparisons=(Comparison("0.9", "none", sign=None), Comparison("0.9", "none, 10 x the rate", sign=None)),
)


def _batch(times: float, *, rate: float = 1) -> Change:
    """The change of the size of the batch and of the rate by factors."""
    return scaled(batch=times, lr=rate)


BATCH_SIZE = Experiment(
    "batch-size",
    "The size of the batch",
    "5",
    claim="The paper uses 128, and compares with nothing.",
    released="A note in the logs calls batches of 1,024 not good.",
    varies="The size of the batch, with the same rate and with a rate in proportion to it.",
    held="The epochs, so that a batch four times as large takes a quarter of the steps; momentum and decay.",
    elsewhere="Their own rate was for batches of 256. With it, 47.2 % right with 128, 45.5 % with 512, 46.3 % with 32; "
    "at a rate in proportion, 46.9 % with 512 and 47.0 % with 32.",
    limits="A short run has few steps to lose: large batches suffer here more than in 90 epochs of ImageNet.",
    arms=(
        Arm("128"),
        Arm("32", _batch(1 / 4)),
        Arm("32, 1/4 of the rate", _batch(1 / 4, rate=1 / 4)),
        Arm("512", _batch(4)),
        Arm("512, 4 x the rate", _batch(4, rate=4)),
    ),
    comparisons=(
        Comparison("512, 4 x the rate", "512", sign=None, elsewhere=-1.4),
        Comparison("32, 1/4 of the rate", "32", sign=None, elsewhere=-0.7),
        Comparison("512, 4 x the rate", "128", sign=None, elsewhere=0.3),
        Comparison("32, 1/4 of the rate", "128", sign=None, elsewhere=0.2),
    ),
)


def _fewer(times: int) -> Change:
    """One image in `times`, for `times` the epochs: as many steps."""
    return scaled(limit=1 / times, epochs=times, drops=times)


IMAGES = Experiment(
    "images",
    "More images",
    "1",
    claim="Results would improve with more images, besides faster machines; the paper gives no figure.",
    varies="The number of training images.",
    held="The steps: half of the images for twice the epochs. Each class keeps its share.",
    elsewhere="47.1 % right with 1.2 million images, 43.8 % with 800,000, 42.5 % with 600,000, 39.3 % with 400,000, "
    "30.5 % with 200,000, in equally many steps.",
    limits="From 2,500 to 20,000 images; the paper has 1.2 million.",
    arms=(
        Arm("all"),
        Arm("1/2", _fewer(2)),
        Arm("1/4", _fewer(4)),
        Arm("1/8", _fewer(8)),
    ),
    comparisons=(
        Comparison("all", "1/2", elsewhere=-4.6),
        Comparison("1/2", "1/4"),
        Comparison("1/4", "1/8"),
    ),
)
