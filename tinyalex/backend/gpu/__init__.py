"""All twins for CuPy arrays, under the names of their definitions, and how many bytes they use."""

from tinyalex.backend.gpu import memory as workspace
from tinyalex.backend.gpu.memory import PoolOnPaper as simulated_pool
from tinyalex.backend.gpu.twins import (
    col2im,
    conv_backward,
    conv_forward,
    im2col,
    linear_backward,
    linear_forward,
    lrn_backward,
    lrn_forward,
    masked,
    max_pool_backward,
    max_pool_forward,
    relu_backward,
    relu_forward,
    sgd_update,
    softmax,
)

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
    "relu_backward",
    "relu_forward",
    "sgd_update",
    "simulated_pool",
    "softmax",
    "workspace",
]
