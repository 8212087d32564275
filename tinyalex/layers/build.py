"""The layer that a row of a counted net describes: data in, object out."""

from typing import assert_never

from numpy.random import Generator

from tinyalex import spec as nets
from tinyalex.count import Row
from tinyalex.layers.activations import Flatten, ReLU, Tanh
from tinyalex.layers.conv import Conv2D
from tinyalex.layers.dropout import Dropout
from tinyalex.layers.layer import Layer
from tinyalex.layers.linear import Linear
from tinyalex.layers.lrn import LocalResponseNorm, SpatialResponseNorm
from tinyalex.layers.pool import AveragePool2D, MaxPool2D


def build_layer(row: Row, *, dropout: float, dtype: str, weight_rng: Generator | None, mask_rng: Generator) -> Layer:
    """The layer of `row`, with initial weights drawn from `weight_rng` and dropout masks from `mask_rng`.

    dropout: the probability that a unit is dropped.   dtype: of the parameters.
    weight_rng: None for a layer whose parameters are all zero, and filled in later.
    """
    match row.layer:
        case nets.Conv() as conv:
            return _convolution(row, conv, dtype, weight_rng)
        case nets.Full() as full:
            std, bias = _initial(row, full.initial, weight_rng)
            units = row.out_shape[0]
            return Linear(row.in_shape[0], units, init_std=std, init_bias=bias, rng=weight_rng, dtype=dtype)
        case nets.Pool() as pool:
            return MaxPool2D(pool.size, pool.stride, ceil_mode=pool.ceil_mode)
        case nets.AveragePool() as pool:
            return AveragePool2D(pool.size, pool.stride, ceil_mode=pool.ceil_mode)
        case nets.Norm() as norm:
            settings = (norm.size, norm.alpha, norm.beta, norm.k)
            return LocalResponseNorm(*settings, groups=row.groups, alpha_over_size=norm.alpha_over_size)
        case nets.SpatialNorm() as norm:
            return SpatialResponseNorm(norm.size, norm.alpha, norm.beta)
        case nets.Drop() as drop:
            return Dropout(dropout, rng=mask_rng, scale_at=drop.scale_at)
        case nets.Flat():
            return Flatten()
        case nets.Activation() as activation:
            return Tanh() if activation.kind == "tanh" else ReLU()
        case _:
            assert_never(row.layer)


def _convolution(row: Row, conv: nets.Conv, dtype: str, weight_rng: Generator | None) -> Conv2D:
    std, bias = _initial(row, conv.initial, weight_rng)
    return Conv2D(
        row.in_shape[0],
        conv.kernels,
        conv.size,
        stride=conv.stride,
        pad=conv.pad,
        groups=row.groups,
        ceil_mode=conv.ceil_mode,
        init_std=std,
        init_bias=bias,
        rng=weight_rng,
        dtype=dtype,
    )


def _initial(row: Row, initial: nets.Initial, weight_rng: Generator | None) -> tuple[float, float]:
    """The standard deviation of the weights, and the value of the biases; zeros where nothing is drawn."""
    if weight_rng is None:
        return 0.0, 0.0
    fan_in = row.parameters // row.out_shape[0] - 1  # the weights of one kernel or unit, without its bias
    return initial.std_for(fan_in), initial.bias
