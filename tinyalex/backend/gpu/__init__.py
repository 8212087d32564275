"""All twins for CuPy arrays, under the names of their definitions, and how many bytes they use."""

from tinyalex.backend.gpu import memory as workspace
from tinyalex.backend.gpu.convolution import conv_backward, conv_forward
from tinyalex.backend.gpu.memory import SimulatedPool as simulated_pool
from tinyalex.backend.gpu.patches import col2im, forget, im2col
from tinyalex.backend.gpu.twins import (
    augment,
    average_pool_backward,
    average_pool_forward,
    linear_backward,
    linear_forward,
    lrn_backward,
    lrn_forward,
    masked,
    max_pool_backward,
    max_pool_forward,
    maxima,
    relu_backward,
    relu_forward,
    sgd_update,
    sgd_update_all,
    softmax,
)

__all__ = [
    "augment",
    "average_pool_backward",
    "average_pool_forward",
    "col2im",
    "conv_backward",
    "conv_forward",
    "forget",
    "im2col",
    "linear_backward",
    "linear_forward",
    "lrn_backward",
    "lrn_forward",
    "masked",
    "max_pool_backward",
    "max_pool_forward",
    "maxima",
    "relu_backward",
    "relu_forward",
    "sgd_update",
    "sgd_update_all",
    "simulated_pool",
    "softmax",
    "workspace",
]
