"""The nets as data, against the paper, the released layers-145.cfg, Caffe's prototxt and torchvision."""

import math
from dataclasses import replace

import pytest

from tinyalex.errors import UsageError
from tinyalex.optim import drop_epochs
from tinyalex.spec import (
    MINI,
    VARIANTS,
    AveragePool,
    Conv,
    Drop,
    Flat,
    Full,
    Initial,
    Norm,
    Pool,
    Recipe,
    SpatialNorm,
    stored_size,
    usual_classes,
    variant,
)

NAMES = [
    "paper",
    "cuda-convnet",
    "caffe",
    "caffenet",
    "torchvision",
    "one-column",
    "non-overlapping",
    "no-lrn",
    "six-conv",
    "cifar10-full",
    "cifar10-quick",
    "mini",
]


def layers(name, kind):
    return {key: layer for key, layer in variant(name).layers.items() if isinstance(layer, kind)}


def test_variants_by_name():
    assert list(VARIANTS) == NAMES
    for name in NAMES:
        assert variant(name).name == name
    with pytest.raises(UsageError, match="got the variant 'alexnet': expected one of paper, cuda-convnet, caffe"):
        variant("alexnet")


@pytest.mark.parametrize(
    ("name", "order"),
    [
        (
            "paper",
            "conv1 relu1 norm1 pool1 conv2 relu2 norm2 pool2 conv3 relu3 conv4 relu4 conv5 relu5 pool5 "
            "flatten fc6 relu6 dropout6 fc7 relu7 dropout7 fc8",
        ),
        (  # the released code: normalisation before ReLU in layer 1, ReLU after pooling in layers 1 and 5
            "cuda-convnet",
            "conv1 norm1 pool1 relu1 conv2 relu2 norm2 spatial_norm2 pool2 conv3 relu3 conv4 relu4 conv5 pool5 relu5 "
            "flatten fc6 relu6 dropout6 fc7 relu7 dropout7 fc8",
        ),
        (  # no normalisation, dropout before fc6 and fc7
            "torchvision",
            "conv1 relu1 pool1 conv2 relu2 pool2 conv3 relu3 conv4 relu4 conv5 relu5 pool5 "
            "flatten dropout6 fc6 relu6 dropout7 fc7 relu7 fc8",
        ),
        (  # Caffe's train_val.prototxt: pooling before normalisation
            "caffenet",
            "conv1 relu1 pool1 norm1 conv2 relu2 pool2 norm2 conv3 relu3 conv4 relu4 conv5 relu5 pool5 "
            "flatten fc6 relu6 dropout6 fc7 relu7 dropout7 fc8",
        ),
        (  # Caffe's cifar10_full.prototxt: ReLU after pooling in layer 1, before it in the others
            "cifar10-full",
            "conv1 pool1 relu1 norm1 conv2 relu2 pool2 norm2 conv3 relu3 pool3 flatten fc4",
        ),
        ("cifar10-quick", "conv1 pool1 relu1 conv2 relu2 pool2 conv3 relu3 pool3 flatten fc4 fc5"),
        (
            "no-lrn",
            "conv1 relu1 pool1 conv2 relu2 pool2 conv3 relu3 conv4 relu4 conv5 relu5 pool5 "
            "flatten fc6 relu6 dropout6 fc7 relu7 dropout7 fc8",
        ),
        (  # section 6: a sixth convolution over the last pooling layer
            "six-conv",
            "conv1 relu1 norm1 pool1 conv2 relu2 norm2 pool2 conv3 relu3 conv4 relu4 conv5 relu5 pool5 conv6 relu6 "
            "flatten fc7 relu7 dropout7 fc8 relu8 dropout8 fc9",
        ),
    ],
)
def test_order_of_layers(name, order):
    assert list(variant(name).layers) == order.split()


@pytest.mark.parametrize("name", ["caffe", "one-column", "non-overlapping", "mini"])
def test_the_others_have_the_papers_order(name):
    assert list(variant(name).layers) == list(variant("paper").layers)


CONVOLUTIONS = {  # kernels, size, stride, pad
    "paper": [(96, 11, 4, 0), (256, 5, 1, 2), (384, 3, 1, 1), (384, 3, 1, 1), (256, 3, 1, 1)],
    "torchvision": [(64, 11, 4, 2), (192, 5, 1, 2), (384, 3, 1, 1), (256, 3, 1, 1), (256, 3, 1, 1)],
    "one-column": [(48, 11, 4, 0), (128, 5, 1, 2), (192, 3, 1, 1), (192, 3, 1, 1), (256, 3, 1, 1)],
    "non-overlapping": [(96, 11, 4, 0), (256, 5, 1, 1), (384, 3, 1, 1), (384, 3, 1, 1), (256, 3, 1, 0)],
}
CONVOLUTIONS |= dict.fromkeys(["cuda-convnet", "caffe", "caffenet", "no-lrn"], CONVOLUTIONS["paper"])
CONVOLUTIONS["six-conv"] = [*CONVOLUTIONS["paper"], (256, 3, 1, 1)]


@pytest.mark.parametrize("name", list(CONVOLUTIONS))
def test_convolutions(name):
    found = [(conv.kernels, conv.size, conv.stride, conv.pad) for conv in layers(name, Conv).values()]
    assert found == CONVOLUTIONS[name]
    assert [full.units for full in layers(name, Full).values()] == [4096, 4096, None]


STARTS = {  # std and bias of conv1 ... conv5, fc6, fc7, fc8
    "paper": [(0.01, 0), (0.01, 1), (0.01, 0), (0.01, 1), (0.01, 1), (0.01, 1), (0.01, 1), (0.01, 0)],
    "cuda-convnet": [(0.01, 0), (0.01, 1), (0.03, 0), (0.03, 1), (0.03, 1), (0.01, 1), (0.01, 1), (0.01, 0)],
    "caffe": [(0.01, 0), (0.01, 0.1), (0.01, 0), (0.01, 0.1), (0.01, 0.1), (0.005, 0.1), (0.005, 0.1), (0.01, 0)],
}
STARTS["caffenet"] = [
    *[(0.01, 0), (0.01, 1), (0.01, 0), (0.01, 1), (0.01, 1)],
    *[(0.005, 1), (0.005, 1), (0.01, 0)],
]
STARTS["cifar10-full"] = [(0.0001, 0), (0.01, 0), (0.01, 0), (0.01, 0)]
STARTS["cifar10-quick"] = [(0.0001, 0), (0.01, 0), (0.01, 0), (0.1, 0), (0.1, 0)]
STARTS |= dict.fromkeys(["one-column", "non-overlapping", "no-lrn"], STARTS["paper"])
STARTS["six-conv"] = [*STARTS["paper"][:5], (0.01, 1), *STARTS["paper"][5:]]


@pytest.mark.parametrize("name", list(STARTS))
def test_initial_weights_and_biases(name):
    found = [(layer.initial.std, layer.initial.bias) for layer in layers(name, Conv | Full).values()]
    assert found == STARTS[name]


def test_initial_weights_by_fan_in():
    """torchvision's are uniform within 1 / sqrt(fan-in), so of the variance 1 / (3 fan-in); He's are 2 / fan-in."""
    for layer in layers("torchvision", Conv | Full).values():
        assert layer.initial.std_for(147) == pytest.approx(math.sqrt(1 / 3 / 147), rel=1e-15)
        assert layer.initial.bias == 0
    assert Initial(None).std_for(50) == 0.2
    assert Initial(0.01).std_for(50) == 0.01


@pytest.mark.parametrize(
    ("name", "norm"),
    [
        ("paper", Norm(alpha=1e-4, k=2, size=5, beta=0.75, alpha_over_size=False, within_columns=True)),
        ("cuda-convnet", Norm(alpha=1e-4, k=2, size=5, beta=0.75, alpha_over_size=True, within_columns=True)),
        ("caffe", Norm(alpha=1e-4, k=1, size=5, beta=0.75, alpha_over_size=True, within_columns=False)),
        ("caffenet", Norm(alpha=1e-4, k=1, size=5, beta=0.75, alpha_over_size=True, within_columns=False)),
    ],
)
def test_normalisation(name, norm):
    assert layers(name, Norm) == {"norm1": norm, "norm2": norm}


def test_what_the_released_code_has_besides():
    """A second normalisation within maps; biases at twice the rate, without decay."""
    spec = variant("cuda-convnet")
    assert layers("cuda-convnet", SpatialNorm) == {"spatial_norm2": SpatialNorm(alpha=1e-3, size=5, beta=0.75)}
    assert (spec.bias_lr, spec.bias_decay, spec.input_size, spec.columns) == (2, False, 224, 2)


@pytest.mark.parametrize("name", ["caffe", "caffenet"])
def test_what_caffe_does_differently(name):
    spec = variant(name)
    assert (spec.bias_lr, spec.bias_decay, spec.input_size, spec.columns) == (2, False, 227, 2)
    assert {drop.scale_at for drop in layers(name, Drop).values()} == {"train"}
    assert not spec.layers["conv1"].ceil_mode


@pytest.mark.parametrize(
    ("name", "units", "norms"), [("cifar10-full", [None], ["norm1", "norm2"]), ("cifar10-quick", [64, None], [])]
)
def test_the_nets_for_cifar10(name, units, norms):
    """Caffe's prototxts: three convolutions of 5 x 5 in one column; pooling by the maximum, then twice by the mean."""
    spec = variant(name)
    assert [(conv.kernels, conv.size, conv.stride, conv.pad) for conv in layers(name, Conv).values()] == [
        (32, 5, 1, 2),
        (32, 5, 1, 2),
        (64, 5, 1, 2),
    ]
    assert layers(name, Pool) == {"pool1": Pool(3, 2, ceil_mode=True)}
    assert layers(name, AveragePool) == dict.fromkeys(["pool2", "pool3"], AveragePool(3, 2, ceil_mode=True))
    assert layers(name, SpatialNorm) == dict.fromkeys(norms, SpatialNorm(alpha=5e-5, size=3, beta=0.75))
    assert [full.units for full in layers(name, Full).values()] == units
    assert (spec.input_size, spec.columns, spec.pixel_scale, spec.bias_lr) == (32, 1, 1, 2)


def test_the_recipes_for_cifar10():
    """Caffe's solvers, batches of 100 of 50,000 images: 60,000 steps and twice 5,000; 4,000 steps and 1,000."""
    full, quick = variant("cifar10-full").recipe, variant("cifar10-quick").recipe
    for recipe in (full, quick):
        assert (recipe.batch, recipe.lr, recipe.momentum, recipe.weight_decay) == (100, 0.001, 0.9, 0.004)
    assert (full.epochs, drop_epochs(140, full.drops)) == (140, [120, 130])
    assert (quick.epochs, drop_epochs(10, quick.drops)) == (10, [8])


@pytest.mark.parametrize("name", ["paper", "one-column", "non-overlapping", "no-lrn", "six-conv", "mini"])
def test_what_the_paper_says_of_all_layers(name):
    """One learning rate and decay for all; dropout scaled when testing; pixels as they are, but in mini."""
    spec = variant(name)
    assert (spec.bias_lr, spec.bias_decay) == (1, True)
    assert {drop.scale_at for drop in layers(name, Drop).values()} == {"test"}
    assert spec.columns == (1 if name == "one-column" else 2)
    assert (spec.pixel_scale == 1) == (name != "mini")


@pytest.mark.parametrize(("name", "window"), [("paper", (3, 2)), ("non-overlapping", (2, 2)), ("torchvision", (3, 2))])
def test_pooling(name, window):
    assert [(pool.size, pool.stride) for pool in layers(name, Pool).values()] == [window] * 3


def test_which_convolutions_read_all_columns_in_any_case():
    for name in NAMES:
        expected = {"conv1", "conv6"} if name == "six-conv" else {"conv1"}
        assert {key for key, conv in layers(name, Conv).items() if conv.reads_all} == expected


def test_mini_has_all_that_the_papers_net_has():
    """Two columns, both normalisations within them, overlapping pooling, dropout, for images of CIFAR's size."""
    spec = variant("mini")
    assert (spec.columns, spec.input_size) == (2, 32)
    assert {(norm.size, norm.within_columns) for norm in layers("mini", Norm).values()} == {(5, True)}
    assert {(pool.size, pool.stride) for pool in layers("mini", Pool).values()} == {(3, 2)}
    assert len(layers("mini", Drop)) == 2


def test_the_papers_recipe():
    """Section 5: batches of 128, rate 0.01, momentum 0.9, decay 0.0005, 90 passes; the released log divides the rate
    in its epochs 25, 51 and 79, counted from 1."""
    recipe = variant("paper").recipe
    assert (recipe.epochs, recipe.batch) == (90, 128)
    assert (recipe.lr, recipe.momentum, recipe.weight_decay) == (0.01, 0.9, 0.0005)
    assert drop_epochs(90, recipe.drops) == [24, 50, 78]


def test_stored_size():
    """Section 4.1: crops of 224 from images of 256; CIFAR's 32 from 36."""
    assert [stored_size(size) for size in (224, 227, 32, 64, 16)] == [256, 256, 36, 72, 16]


@pytest.mark.parametrize(("name", "classes"), [("mini", 10), ("cifar10-full", 10), ("paper", 1000), ("caffe", 1000)])
def test_usual_classes(name, classes):
    assert usual_classes(variant(name)) == classes


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: Initial(-0.1), "got std=-0.1: expected 0 or more"),
        (lambda: Initial(None, gain=-1), "got gain=-1: expected 0 or more"),
        (lambda: Conv(0, 3), "got kernels=0: expected 1 or more"),
        (lambda: Conv(8, 0), "got size=0: expected 1 or more"),
        (lambda: Conv(8, 3, stride=0), "got stride=0: expected 1 or more"),
        (lambda: Conv(8, 3, pad=-1), "got pad=-1: expected 0 or more"),
        (lambda: Pool(0), "got size=0: expected 1 or more"),
        (lambda: Pool(2, 0), "got stride=0: expected 1 or more"),
        (lambda: AveragePool(0), "got size=0: expected 1 or more"),
        (lambda: AveragePool(2, 0), "got stride=0: expected 1 or more"),
        (lambda: Norm(size=0), "got size=0: expected 1 or more"),
        (lambda: Norm(alpha=-1e-4), "got alpha=-0.0001: expected 0 or more"),
        (lambda: Norm(k=math.nan), "got k=nan: expected 0 or more"),
        (lambda: SpatialNorm(size=-1), "got size=-1: expected 1 or more"),
        (lambda: SpatialNorm(alpha=-1), "got alpha=-1: expected 0 or more"),
        (lambda: Full(0), "got units=0: expected 1 or more"),
        (lambda: Recipe(epochs=0), "got epochs=0: expected 1 or more"),
        (lambda: Recipe(lr=-1), "got lr=-1: expected 0 or more"),
        (lambda: Recipe(drops=(0.5, -1)), "got drops=-1: expected 0 or more"),
        (lambda: replace(MINI, columns=0), "got columns=0: expected 1 or more"),
        (lambda: replace(MINI, input_size=0), "got input_size=0: expected 1 or more"),
        (lambda: replace(MINI, bias_lr=-2), "got bias_lr=-2: expected 0 or more"),
        (lambda: replace(MINI, pixel_scale=0), "got pixel_scale=0: expected a number above 0"),
        (lambda: replace(MINI, layers={"a.b": Flat()}), "got the layer name 'a.b': expected letters"),
    ],
)
def test_numbers_out_of_range(make, message):
    with pytest.raises(UsageError) as raised:
        make()
    assert str(raised.value).startswith(message)
