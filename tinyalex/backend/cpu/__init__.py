"""The twins for NumPy arrays, each under the name of its definition.

workspace: how many bytes the twins need.   simulated_pool: a memory pool without memory, to predict what they hold.
warm_up: compiles all twins.   load_code: loads what all of them need.   code_folder: where their code is kept.
winograd_where: limits the use of Winograd's algorithm, to measure what it saves.
"""

from tinyalex.backend.cpu import workspace
from tinyalex.backend.cpu.activations import relu_backward, relu_forward
from tinyalex.backend.cpu.augment import augment
from tinyalex.backend.cpu.compiled import code_folder
from tinyalex.backend.cpu.conv import conv_backward, conv_forward
from tinyalex.backend.cpu.direct import col2im, im2col
from tinyalex.backend.cpu.dropout import masked
from tinyalex.backend.cpu.linear import linear_backward, linear_forward
from tinyalex.backend.cpu.loss import softmax
from tinyalex.backend.cpu.lrn import lrn_backward, lrn_forward
from tinyalex.backend.cpu.optim import sgd_update
from tinyalex.backend.cpu.pool import (
    average_pool_backward,
    average_pool_forward,
    max_pool_backward,
    max_pool_forward,
    maxima,
)
from tinyalex.backend.cpu.warmup import load_code, warm_up
from tinyalex.backend.cpu.winograd import winograd_where
from tinyalex.backend.memory import simulated_pool

__all__ = [
    "augment",
    "average_pool_backward",
    "average_pool_forward",
    "code_folder",
    "col2im",
    "conv_backward",
    "conv_forward",
    "im2col",
    "linear_backward",
    "linear_forward",
    "load_code",
    "lrn_backward",
    "lrn_forward",
    "masked",
    "max_pool_backward",
    "max_pool_forward",
    "maxima",
    "relu_backward",
    "relu_forward",
    "sgd_update",
    "simulated_pool",
    "softmax",
    "warm_up",
    "winograd_where",
    "workspace",
]
