"""tinyalex: AlexNet (Krizhevsky, Sutskever & Hinton 2012), whole and by hand, in NumPy."""

from tinyalex.gradcheck import GradientError, check_function, check_layer, check_net
from tinyalex.layers import (
    AveragePool2D,
    Conv2D,
    Dropout,
    Flatten,
    Linear,
    LocalResponseNorm,
    MaxPool2D,
    ReLU,
    SoftmaxCrossEntropy,
    Tanh,
)
from tinyalex.net import AlexNet
from tinyalex.optim import SGD
from tinyalex.step import record
from tinyalex.weights import load, save
from tinyalex.weights.example import load_example

__all__ = [
    "SGD",
    "AlexNet",
    "AveragePool2D",
    "Conv2D",
    "Dropout",
    "Flatten",
    "GradientError",
    "Linear",
    "LocalResponseNorm",
    "MaxPool2D",
    "ReLU",
    "SoftmaxCrossEntropy",
    "Tanh",
    "check_function",
    "check_layer",
    "check_net",
    "load",
    "load_example",
    "record",
    "save",
]
__version__ = "0.1.0"
