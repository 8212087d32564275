"""The experiments on the net itself (sections 3.1 to 3.5, and 7)."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from tinyalex.experiments.experiment import Arm, Comparison, Experiment
from tinyalex.experiments.measures import EPOCHS
from tinyalex.experiments.trial import Change, Trial, both, layers, net, scaled, settings, without
from tinyalex.spec import Activation, Conv, Flat, Full, Initial, Pool, Spec

SHORT = (
    "The net has a sixtieth of the paper's weights, and learns from far fewer images for far fewer epochs: an effect "
    "that needs a large or a well trained net does not show, and one of half a point is lost in the noise."
)

# ---------------------------------------------------------------- figure 1

_EVEN = Initial(None, gain=1.0)  # with twice that variance most units of the net with ReLUs die in the first steps
FOUR_LAYERS = Spec(
    "four-layers",
    {
        "conv1": Conv(32, 5, pad=2, initial=_EVEN, reads_all=True),
        "relu1": Activation(),
        "pool1": Pool(),
        "conv2": Conv(32, 5, pad=2, initial=_EVEN),
        "relu2": Activation(),
        "pool2": Pool(),
        "conv3": Conv(64, 5, pad=2, initial=_EVEN),
        "relu3": Activation(),
        "pool3": Pool(),
        "flatten": Flat(),
        "fc4": Full(None, _EVEN),
    },
    input_size=32,
    columns=1,
    pixel_scale=64.0,
)
RATES = (0.006, 0.012, 0.025, 0.05)


def _four_layers(trial: Trial) -> Trial:
    """Four layers without any regularisation, until the training error is 25 %, for twice the epochs at most."""
    plain = settings(schedule="constant", weight_decay=0.0, crops=False, reflections=False, colour="off")
    return replace(both(plain, scaled(epochs=2))(trial), spec=FOUR_LAYERS, goal=0.25)


def _tanh(spec: Spec) -> Spec:
    """The same net with tanh in place of each ReLU."""
    changed = {name: Activation("tanh") if layer == Activation() else layer for name, layer in spec.layers.items()}
    return replace(spec, layers=changed)


RELU_VS_TANH = Experiment(
    "relu-vs-tanh",
    "ReLU against tanh (figure 1)",
    "3.1",
    claim="A net of four layers with ReLUs reaches a training error of 25 % on CIFAR-10 six times as fast as the "
    "same net with tanh.",
    varies="The nonlinearity after each of the three convolutions, and the learning rate: the best of four for each of "
    "the two nets, by a search with a seed of its own.",
    held="The net (three convolutions, one fully connected layer), its initial weights, of variance 1 / fan-in, batch "
    "and momentum. No dropout, no weight decay, no augmentation. The rate is constant. The training error is that of "
    "an epoch's images as they came, while the net learned them.",
    elsewhere="The largest rerun trained the whole net for a fixed number of steps: 47.1 % of the images right with "
    "ReLU, 40.1 % with tanh, 38.9 % with neither.",
    limits="The paper does not describe its net of four layers, nor how finely it searched for the rates. The ratio "
    "depends on both, and on how the weights begin: with twice this variance most ReLUs give 0 for all images after "
    "the first steps, and the start of the authors' other nets of that time was not tried. One seed a rate is a coarse "
    "search: for one rate, seeds differ by two epochs.",
    arms=(Arm("ReLU", measure=EPOCHS, rates=RATES), Arm("tanh", net(_tanh), EPOCHS, RATES)),
    comparisons=(Comparison("ReLU", "tanh", paper=1 / 6),),
    seeds=5,
    start=_four_layers,
)

# ---------------------------------------------------------------- normalisation


def _norms(**changed: Any) -> Change:
    """The change of both normalisations."""
    return layers({name: lambda norm: replace(norm, **changed) for name in ("norm1", "norm2")})


LRN = Experiment(
    "lrn",
    "Local response normalisation",
    "3.3",
    claim="It lowers the top-1 error by 1.4 points and the top-5 error by 1.2. On CIFAR-10 a net of four layers has "
    "13 % error without it and 11 % with it.",
    varies="Whether both normalisations are there.",
    released="Log 148, without it, against log 145: 1.37 and 1.15 points. Log 167, without those of layer 2 and with "
    "another schedule: 0.18 points better than log 145. The two nets for CIFAR-10 also differ in the width of a layer "
    "and in weight decay.",
    held="All else. The normalisation of the small net has alpha = 0.1 and k = 1; the paper has 0.0001 and 2. Without "
    "normalisation the maps go to the pooling as they are.",
    elsewhere="No gain: 47.0 % right with it, 47.1 % without.",
    limits=f"{SHORT} What LRN does depends on its alpha, and the one here was chosen by hand: with a fifth of it the "
    "error is that without LRN ([alpha](alpha.md)).",
    arms=(Arm("with LRN"), Arm("without", without("norm1", "norm2"))),
    comparisons=(Comparison("with LRN", "without", paper=-1.4, released=-1.37, elsewhere=0.1),),
)

ALPHA = Experiment(
    "alpha",
    "The alpha of LRN: the paper's formula against its program",
    "3.3",
    claim="The formula multiplies the sum of squares by alpha = 0.0001.",
    released="The program divides alpha by the size of the window, 5, before it multiplies. No log compares the two.",
    varies="Whether both normalisations divide alpha by 5.",
    held="All else. Both nets have the alpha of the small net, 0.1, which fits its smaller activations.",
    limits="The small net's activations and its alpha are not those of the paper, so this compares a normalisation "
    "with one that is five times weaker.",
    arms=(Arm("alpha, as printed"), Arm("alpha / 5, as run", _norms(alpha_over_size=True))),
    comparisons=(Comparison("alpha / 5, as run", "alpha, as printed", sign=None),),
)

ORDER = Experiment(
    "order",
    "LRN before or after ReLU",
    "3.3",
    claim="It is applied after the ReLU nonlinearity.",
    released="In layer 1 the program normalises before the ReLU, so negative responses count in the sums. No log "
    "compares the two.",
    varies="The order of ReLU and normalisation in layer 1.",
    held="All else; in layer 2 the normalisation follows the ReLU in both nets, as in the program.",
    limits=SHORT,
    arms=(
        Arm("after, as printed"),
        Arm("before in layer 1, as run", net(lambda spec: _swapped(spec, "relu1", "norm1"))),
    ),
    comparisons=(Comparison("before in layer 1, as run", "after, as printed", sign=None),),
)


def _swapped(spec: Spec, one: str, other: str) -> Spec:
    """The same net with two layers in each other's place."""
    places = {one: other, other: one}
    order = [places.get(name, name) for name in spec.layers]
    return replace(spec, layers={name: spec.layers[name] for name in order})


# ---------------------------------------------------------------- pooling


def _pools(pool: Pool) -> Change:
    """The change of all poolings."""
    return layers({name: lambda _: pool for name in ("pool1", "pool2", "pool5")})


OVERLAPPING_POOLING = Experiment(
    "overlapping-pooling",
    "Overlapping pooling",
    "3.4",
    claim="Windows of 3 x 3 that are 2 apart lower the top-1 error by 0.4 points and the top-5 error by 0.3, against "
    "windows of 2 x 2 that are 2 apart and give maps of the same size.",
    released="Log 147, with 2 x 2, against log 145: 0.39 and 0.30 points.",
    varies="The windows of all three poolings. In the first comparison the maps have the same sizes, 4 x 4 at the end. "
    "In the second the last windows that do not fit whole are left out, as Caffe's and PyTorch's nets of other sizes "
    "do: then overlap makes the last maps 3 x 3, and fc6 reads fewer numbers.",
    held="All else; windows are 2 apart.",
    elsewhere="47.1 % right with 3 x 3, 48.4 % with 2 x 2, whose last maps were larger: 4 x 4 in place of 3 x 3. With "
    "overlap and last maps of 5 x 5 it was 48.8 %.",
    limits=SHORT,
    arms=(
        Arm("3 x 3, pool5 4 x 4"),
        Arm("2 x 2, pool5 4 x 4", _pools(Pool(2))),
        Arm("3 x 3, pool5 3 x 3", _pools(Pool(ceil_mode=False))),
    ),
    comparisons=(
        Comparison("3 x 3, pool5 4 x 4", "2 x 2, pool5 4 x 4", paper=-0.4, released=-0.39),
        Comparison("3 x 3, pool5 3 x 3", "2 x 2, pool5 4 x 4", sign=None, elsewhere=1.3),
    ),
)

# ---------------------------------------------------------------- columns


def _half(spec: Spec) -> Spec:
    """One column: half of the kernels in conv1 to conv4, all of them in conv5."""
    halved = {
        name: replace(layer, kernels=layer.kernels // 2) if isinstance(layer, Conv) and name != "conv5" else layer
        for name, layer in spec.layers.items()
    }
    return replace(spec, layers=halved, columns=1)


TWO_COLUMNS = Experiment(
    "two-columns",
    "Two columns against one",
    "3.2",
    claim="Two columns lower the top-1 error by 1.7 points and the top-5 error by 1.2, against one column with half of "
    "the kernels in each convolution but the last.",
    released="Log 145-half against log 145-2010, both on the test images of ILSVRC-2010: 1.70 and 1.22 points. The "
    "conv5 of 145-half has all 256 kernels.",
    varies="The number of columns, and for one column of half the kernels their number in conv1 to conv4.",
    held="All else. The full column has as many kernels as the two have together, and each reads all maps.",
    elsewhere="One full column is better than two: 48.7 % right against 47.1 %. It has more weights.",
    limits="Half a column has half of the kernels in four convolutions, so this measures width too, as it does in the "
    "paper. It has 8 % fewer weights here; in the paper, where fc6 and fc7 hold nearly all, 2 % fewer.",
    arms=(
        Arm("two columns"),
        Arm("half a column", net(_half)),
        Arm("one full column", net(lambda spec: replace(spec, columns=1))),
    ),
    comparisons=(
        Comparison("two columns", "half a column", paper=-1.7, released=-1.70),
        Comparison("two columns", "one full column", sign=None, elsewhere=1.6),
    ),
)

CROSS_COLUMNS = Experiment(
    "cross-columns",
    "Where the columns meet",
    "3.2",
    claim="The columns meet in conv3 only; the authors found this place by validation, and give no figures.",
    released="Log 150, whose columns do not meet at all though they are wider, against log 145: 1.16 points. Notes in "
    "the logs call conv4 a worse place than conv3.",
    varies="The convolution whose kernels read both columns.",
    held="All else. The fully connected layers read both columns in every net.",
    limits="A kernel that reads both columns has twice the weights, so a net whose columns never meet is smaller too.",
    arms=(
        Arm("in conv3"),
        Arm("in conv4", settings(cross_columns=(4,))),
        Arm("nowhere", settings(cross_columns=())),
    ),
    comparisons=(
        Comparison("in conv3", "nowhere", released=-1.16),
        Comparison("in conv3", "in conv4"),
    ),
)

# ---------------------------------------------------------------- depth


def _without_conv1(spec: Spec) -> Spec:
    """conv2 takes the place of conv1 and reads the image at a stride of 2, so that all later maps keep their sizes."""
    gone = ("relu1", "norm1", "pool1", "conv2")
    second: Any = spec.layers["conv2"]
    first = replace(second, stride=2 * second.stride, reads_all=True)
    kept: Mapping[str, Any] = {name: layer for name, layer in spec.layers.items() if name not in gone}
    return replace(spec, layers={**kept, "conv1": first})


DEPTH = Experiment(
    "depth",
    "Each convolution removed in turn",
    "7",
    claim="Without any one of the convolutions the net is worse, though none holds more than 1 % of the weights. "
    "Without one of the middle layers the top-1 error grows by about 2 points. (By its own sizes conv3 holds 1.45 % of "
    "the paper's weights and conv4 1.09 %.)",
    varies="One convolution is removed with its ReLU; conv1 with norm1 and pool1, and conv2 with norm2. Without conv1, "
    "conv2 reads the image at a stride of 2. conv3 and conv4 have the same size here: where conv3 is removed and the "
    "columns meet in conv4, the same net is left as without conv4.",
    held="All else, with the sizes of the maps.",
    limits="The paper gives one figure, for the middle layers. conv1 and conv2 take normalisation with them, which "
    "raises the error here. conv3 holds 6 % of this net's weights, and conv4 4 %. Without conv5 the last maps have "
    "other numbers of channels, and fc6 grows.",
    arms=(
        Arm("five convolutions"),
        Arm("without conv1", net(_without_conv1)),
        Arm("without conv2", without("conv2", "relu2", "norm2")),
        Arm("without conv3 or conv4", without("conv4", "relu4")),
        Arm("without conv5", without("conv5", "relu5")),
    ),
    comparisons=tuple(
        Comparison("five convolutions", f"without {name}", paper=paper)
        for name, paper in (("conv1", None), ("conv2", None), ("conv3 or conv4", -2.0), ("conv5", None))
    ),
)
