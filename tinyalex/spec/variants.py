"""The other nets: what the authors ran, those of Caffe and PyTorch, the paper's controls, and nets for small images."""

from dataclasses import replace
from typing import Any

from tinyalex.errors import UsageError
from tinyalex.spec.kinds import (
    AveragePool,
    Conv,
    Drop,
    Flat,
    Full,
    Initial,
    LayerSpec,
    Norm,
    Pool,
    Recipe,
    SpatialNorm,
    Spec,
)
from tinyalex.spec.paper import ONE, PAPER, RELU


def _changed(base: Spec, name: str, changes: dict[str, LayerSpec], order: str | None = None, **settings: Any) -> Spec:
    """`base` under another name, with other layers under the names in `changes`; `order` names the layers in order."""
    layers = {**base.layers, **changes}
    return replace(
        base, name=name, layers={key: layers[key] for key in (order or " ".join(layers)).split()}, **settings
    )


# What Krizhevsky's program ran (layers-145.cfg): normalisation before ReLU in layer 1, one more normalisation in
# layer 2, alpha divided by the size of the window, wider initial weights in conv3-5, biases at twice the rate.
_RELEASED_NORM = Norm(alpha_over_size=True)
CUDA_CONVNET = _changed(
    PAPER,
    "cuda-convnet",
    {
        "norm1": _RELEASED_NORM,
        "norm2": _RELEASED_NORM,
        "spatial_norm2": SpatialNorm(),
        "conv3": Conv(384, 3, pad=1, initial=Initial(0.03)),
        "conv4": Conv(384, 3, pad=1, initial=Initial(0.03, 1.0)),
        "conv5": Conv(256, 3, pad=1, initial=Initial(0.03, 1.0)),
    },
    order="conv1 norm1 pool1 relu1 conv2 relu2 norm2 spatial_norm2 pool2 conv3 relu3 conv4 relu4 conv5 pool5 relu5 "
    "flatten fc6 relu6 dropout6 fc7 relu7 dropout7 fc8",
    bias_lr=2.0,
    bias_decay=False,
)

# BVLC's bvlc_alexnet: crops of 227, k = 1, normalisation across both columns, biases 0.1, inverted dropout.
_CAFFE_NORM = Norm(k=1.0, alpha_over_size=True, within_columns=False)
_TENTH = Initial(bias=0.1)
CAFFE = _changed(
    PAPER,
    "caffe",
    {
        "conv1": Conv(96, 11, stride=4, reads_all=True),
        "norm1": _CAFFE_NORM,
        "conv2": Conv(256, 5, pad=2, initial=_TENTH),
        "norm2": _CAFFE_NORM,
        "conv4": Conv(384, 3, pad=1, initial=_TENTH),
        "conv5": Conv(256, 3, pad=1, initial=_TENTH),
        "fc6": Full(4096, Initial(0.005, 0.1)),
        "dropout6": Drop("train"),
        "fc7": Full(4096, Initial(0.005, 0.1)),
        "dropout7": Drop("train"),
    },
    input_size=227,
    bias_lr=2.0,
    bias_decay=False,
)

# BVLC's bvlc_reference_caffenet: it pools before it normalises, and biases start at 1 as in the paper.
CAFFENET = _changed(
    CAFFE,
    "caffenet",
    {
        "conv2": Conv(256, 5, pad=2, initial=ONE),
        "conv4": Conv(384, 3, pad=1, initial=ONE),
        "conv5": Conv(256, 3, pad=1, initial=ONE),
        "fc6": Full(4096, Initial(0.005, 1.0)),
        "fc7": Full(4096, Initial(0.005, 1.0)),
    },
    order="conv1 relu1 pool1 norm1 conv2 relu2 pool2 norm2 conv3 relu3 conv4 relu4 conv5 relu5 pool5 "
    "flatten fc6 relu6 dropout6 fc7 relu7 dropout7 fc8",
)

# torchvision.models.alexnet: one column, no normalisation, dropout before fc6 and fc7; the variance of its uniform
# initial weights is 1 / (3 fan-in).
_FAN_IN = Initial(None, gain=1 / 3)
_FLOOR_POOL = Pool(ceil_mode=False)
TORCHVISION = _changed(
    PAPER,
    "torchvision",
    {
        "conv1": Conv(64, 11, stride=4, pad=2, initial=_FAN_IN, reads_all=True),
        "pool1": _FLOOR_POOL,
        "conv2": Conv(192, 5, pad=2, initial=_FAN_IN),
        "pool2": _FLOOR_POOL,
        "conv3": Conv(384, 3, pad=1, initial=_FAN_IN),
        "conv4": Conv(256, 3, pad=1, initial=_FAN_IN),
        "conv5": Conv(256, 3, pad=1, initial=_FAN_IN),
        "pool5": _FLOOR_POOL,
        "dropout6": Drop("train"),
        "fc6": Full(4096, _FAN_IN),
        "dropout7": Drop("train"),
        "fc7": Full(4096, _FAN_IN),
        "fc8": Full(None, _FAN_IN),
    },
    order="conv1 relu1 pool1 conv2 relu2 pool2 conv3 relu3 conv4 relu4 conv5 relu5 pool5 "
    "flatten dropout6 fc6 relu6 dropout7 fc7 relu7 fc8",
    columns=1,
    pixel_scale=58.0,  # torchvision divides by 0.225 ... 0.229 of the range, a little different for each colour
    recipe=Recipe(weight_decay=0.0001, drops=(1 / 3, 2 / 3)),
)

# The control of section 3.2: one column, with half of the kernels in conv1 to conv4, and all of them from conv5 on (the
# released layers-145-half.cfg), so that it has about as many parameters as the paper's net.
ONE_COLUMN = _changed(
    PAPER,
    "one-column",
    {
        "conv1": Conv(48, 11, stride=4, ceil_mode=True, reads_all=True),
        "conv2": Conv(128, 5, pad=2, initial=ONE),
        "conv3": Conv(192, 3, pad=1),
        "conv4": Conv(192, 3, pad=1, initial=ONE),
    },
    columns=1,
)

# The control of section 3.4: windows of 2 x 2, 2 apart; pads chosen as in the released layers-147.cfg.
NON_OVERLAPPING = _changed(
    PAPER,
    "non-overlapping",
    {
        "pool1": Pool(2),
        "conv2": Conv(256, 5, pad=1, initial=ONE),
        "pool2": Pool(2),
        "conv5": Conv(256, 3, initial=ONE),
        "pool5": Pool(2),
    },
)

# The control of section 3.3: no normalisation anywhere.
NO_LRN = replace(PAPER, name="no-lrn", layers={k: v for k, v in PAPER.layers.items() if not isinstance(v, Norm)})

# The net of section 6 with a sixth convolution after the last pooling layer; it reads both columns.
SIX_CONV = _changed(
    PAPER,
    "six-conv",
    {
        "conv6": Conv(256, 3, pad=1, initial=ONE, reads_all=True),
        "fc8": Full(4096, ONE),
        "relu8": RELU,
        "dropout8": Drop(),
        "fc9": Full(None),
    },
    order="conv1 relu1 norm1 pool1 conv2 relu2 norm2 pool2 conv3 relu3 conv4 relu4 conv5 relu5 pool5 conv6 relu6 "
    "flatten fc7 relu7 dropout7 fc8 relu8 dropout8 fc9",
)

# Krizhevsky's nets for CIFAR-10, as Caffe has them; section 3.3 tries normalisation on a net of this family.
# cifar10_full is his layers-18pct.cfg: it normalises within maps, and pools by the mean from layer 2 on. Caffe trains
# its fc4 with 250 times the weight decay of the others, and its conv3 with one rate for weights and biases; a spec has
# one decay and one bias_lr for all.
_TINY = Initial(0.0001)
_WITHIN_MAP = SpatialNorm(alpha=5e-5, size=3)
CIFAR10_FULL = Spec(
    "cifar10-full",
    {
        "conv1": Conv(32, 5, pad=2, initial=_TINY, reads_all=True),
        "pool1": Pool(),
        "relu1": RELU,
        "norm1": _WITHIN_MAP,
        "conv2": Conv(32, 5, pad=2),
        "relu2": RELU,
        "pool2": AveragePool(),
        "norm2": _WITHIN_MAP,
        "conv3": Conv(64, 5, pad=2),
        "relu3": RELU,
        "pool3": AveragePool(),
        "flatten": Flat(),
        "fc4": Full(None),
    },
    input_size=32,
    columns=1,
    bias_lr=2.0,
    recipe=Recipe(epochs=140, lr=0.001, weight_decay=0.004, batch=100, drops=(120 / 140, 130 / 140)),
)
CIFAR10_QUICK = _changed(
    CIFAR10_FULL,
    "cifar10-quick",
    {"fc4": Full(64, Initial(0.1)), "fc5": Full(None, Initial(0.1))},
    order="conv1 pool1 relu1 conv2 relu2 pool2 conv3 relu3 pool3 flatten fc4 fc5",
    recipe=Recipe(epochs=10, lr=0.001, weight_decay=0.004, batch=100, drops=(0.8,)),
)

# The same ingredients for small images, two columns included. N(0, 0.01**2) stalls at this size. So from conv2 on the
# weights have the variance 2 / fan-in, which keeps the variance of activations from layer to layer (He et al. 2015).
# conv1 starts smaller, so that after a few minutes its kernels show what they learned and not their initial noise
# (figure 3). Pixels are divided by 32, so activations are smaller than in the paper's net; alpha is larger to match,
# and k is 1, as k = 2 would only shrink the activations.
_HE = Initial(None)
_MINI_NORM = Norm(alpha=0.1, k=1.0)
MINI = _changed(
    PAPER,
    "mini",
    {
        "conv1": Conv(32, 5, pad=2, initial=Initial(0.02), reads_all=True),
        "norm1": _MINI_NORM,
        "conv2": Conv(64, 5, pad=2, initial=_HE),
        "norm2": _MINI_NORM,
        "conv3": Conv(96, 3, pad=1, initial=_HE),
        "conv4": Conv(96, 3, pad=1, initial=_HE),
        "conv5": Conv(64, 3, pad=1, initial=_HE),
        "fc6": Full(512, _HE),
        "fc7": Full(512, _HE),
    },
    input_size=32,
    pixel_scale=32.0,
    recipe=Recipe(epochs=30, lr=0.02, drops=(0.7, 0.9)),
)

VARIANTS = {
    spec.name: spec
    for spec in (
        PAPER, CUDA_CONVNET, CAFFE, CAFFENET, TORCHVISION, ONE_COLUMN, NON_OVERLAPPING, NO_LRN, SIX_CONV,
        CIFAR10_FULL, CIFAR10_QUICK, MINI
    )
}  # fmt: skip


def variant(name: str) -> Spec:
    """The net of that name. Raises UsageError, which lists all names, for another."""
    if name not in VARIANTS:
        raise UsageError(f"got the variant {name!r}: expected one of {', '.join(VARIANTS)}")
    return VARIANTS[name]


def begun_as(spec: Spec, other: Spec) -> Spec:
    """The net of `spec`, but its layers begin with the weights and biases of the layers of the same name in `other`."""
    layers = dict(spec.layers)
    for name, layer in spec.layers.items():
        like = other.layers.get(name)
        if isinstance(layer, Conv | Full) and isinstance(like, Conv | Full):
            layers[name] = replace(layer, initial=like.initial)
    return replace(spec, layers=layers)
