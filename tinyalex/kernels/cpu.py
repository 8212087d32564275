"""All twins for NumPy arrays on the CPU, under the names of their definitions, and how many bytes they use."""

from tinyalex.kernels import workspace
from tinyalex.kernels.activations import relu_backward, relu_forward
from tinyalex.kernels.conv import conv_backward, conv_forward
from tinyalex.kernels.direct import col2im, im2col
from tinyalex.kernels.dropout import masked
from tinyalex.kernels.linear import linear_backward, linear_forward
from tinyalex.kernels.loss import softmax
from tinyalex.kernels.lrn import lrn_backward, lrn_forward
from tinyalex.kernels.memory import pool_on_paper
from tinyalex.kernels.optim import sgd_update
from tinyalex.kernels.pool import max_pool_backward, max_pool_forward
from tinyalex.kernels.warmup import warm_up

__all__ = [
    "col2im",
    "conv_backward",
    "conv_forward",
    "im2col",
    "linear_backward",
    "linear_forward",
    "lrn_backward",
    "lrn_forward",
    "masked",
    "max_pool_backward",
    "max_pool_forward",
    "pool_on_paper",
    "relu_backward",
    "relu_forward",
    "sgd_update",
    "softmax",
    "warm_up",
    "workspace",
]
