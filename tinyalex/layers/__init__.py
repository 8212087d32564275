"""The layers, one file a kind; each holds the definition of its operations and the class that trains with them."""

from tinyalex.layers.activations import Flatten, ReLU, Tanh
from tinyalex.layers.conv import Conv2D
from tinyalex.layers.dropout import Dropout
from tinyalex.layers.layer import Layer
from tinyalex.layers.linear import Linear
from tinyalex.layers.loss import SoftmaxCrossEntropy
from tinyalex.layers.lrn import LocalResponseNorm, SpatialResponseNorm
from tinyalex.layers.pool import AveragePool2D, MaxPool2D

__all__ = [
    "AveragePool2D",
    "Conv2D",
    "Dropout",
    "Flatten",
    "Layer",
    "Linear",
    "LocalResponseNorm",
    "MaxPool2D",
    "ReLU",
    "SoftmaxCrossEntropy",
    "SpatialResponseNorm",
    "Tanh",
]
