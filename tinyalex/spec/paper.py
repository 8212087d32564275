"""The paper's net: one line for each layer (Krizhevsky, Sutskever & Hinton 2012, section 3.5 and figure 2)."""

from tinyalex.spec.kinds import Activation, Conv, Drop, Flat, Full, Initial, Norm, Pool, Spec

ONE = Initial(bias=1.0)  # conv2, conv4, conv5 and the hidden fully connected layers start with a bias of 1 (section 5)
RELU = Activation()

PAPER = Spec(
    "paper",
    {
        "conv1": Conv(96, 11, stride=4, ceil_mode=True, reads_all=True),  # 224 -> 55, as in the released code
        "relu1": RELU,
        "norm1": Norm(),
        "pool1": Pool(),
        "conv2": Conv(256, 5, pad=2, initial=ONE),
        "relu2": RELU,
        "norm2": Norm(),
        "pool2": Pool(),
        "conv3": Conv(384, 3, pad=1),
        "relu3": RELU,
        "conv4": Conv(384, 3, pad=1, initial=ONE),
        "relu4": RELU,
        "conv5": Conv(256, 3, pad=1, initial=ONE),
        "relu5": RELU,
        "pool5": Pool(),
        "flatten": Flat(),
        "fc6": Full(4096, ONE),
        "relu6": RELU,
        "dropout6": Drop(),
        "fc7": Full(4096, ONE),
        "relu7": RELU,
        "dropout7": Drop(),
        "fc8": Full(None),
    },
)
