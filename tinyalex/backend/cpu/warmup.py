"""Calls every compiled kernel once for each dtype, so that its code is cached on disk before it is needed."""

import numpy as np

from tinyalex.backend.cpu import activations, conv, direct, dropout, few, linear, loss, lrn, optim, pool, winograd
from tinyalex.backend.cpu.augment import augment
from tinyalex.backend.cpu.registers import ROWS, multiply, panel_width
from tinyalex.window import Window

IMAGES = 8  # enough for the convolution to choose Winograd's algorithm


def load_code() -> None:
    """Run the smallest loop: with the first one Numba loads what it needs to run any."""
    activations.relu_forward(np.zeros((1, 1, 1, 1), "float32"))


def warm_up() -> None:
    """Compile all loops for float32 and float64. It takes about fifteen seconds, and less once they are cached."""
    for dtype in ("float32", "float64"):
        _call_each(dtype)


def _call_each(dtype: str) -> None:
    rng = np.random.default_rng(0)
    x = rng.random((IMAGES, 12, 12, 32)).astype(dtype).transpose(0, 3, 1, 2)
    b = np.zeros(32, dtype)
    for size, groups in ((3, 1), (2, 2)):  # by Winograd's algorithm, and by the direct sum
        window = Window((size, size), (1, 1), (1, 1), False)
        w = np.ones((32, 32 // groups, size, size), dtype)
        y = conv.conv_forward(x, w, b, window, groups, relu=True)
        conv.conv_backward(y, x, w, window, groups)
        for plan in winograd.plans((1, 12, 12, 32), w.shape, window, groups, few.SIZES[:1]):
            few.computed(plan, x[:1], w, b, window, groups, False)
    window = Window((1, 1), (1, 1), (0, 0), False)
    for rows in ROWS:  # a few images, in blocks of each height; the input of a net, and that of its other layers
        image = x[:1, :, :1, :1].repeat(rows, axis=3)
        for maps_last in (image, image.transpose(0, 2, 3, 1).copy().transpose(0, 3, 1, 2)):
            few.computed(None, maps_last, w[:, :, :1, :1], b, window, 1, False)
        panel = np.zeros((1, 1, 1, panel_width(x.dtype)), dtype)
        multiply(np.zeros((1, rows, 1), dtype), panel, np.zeros((1, rows, panel.size), dtype), rows)
    colours, w, window = x[:, :3], np.ones((32, 3, 5, 5), dtype), Window((5, 5), (1, 1), (2, 2), False)
    conv.conv_backward(conv.conv_forward(colours, w, b, window, 1), colours, w, window, 1, input_gradient=False)
    window = Window((3, 3), (2, 2), (0, 0), False)
    direct.col2im(direct.im2col(x, window), x.shape, window)
    y, argmax = pool.max_pool_forward(x, window)
    pool.max_pool_backward(y, argmax, x.shape, window)
    pool.maxima(x, window)
    pool.average_pool_backward(pool.average_pool_forward(x, window), x.shape, window)
    y = lrn.lrn_forward(x, 5, 1e-4, 0.75, 2.0, 2)
    lrn.lrn_backward(y, x, 5, 1e-4, 0.75, 2.0, 2)
    activations.relu_backward(activations.relu_forward(x), x)
    dropout.masked(x, x > 0.5, 1.0)
    linear.linear_forward(x[:, :, 0, 0], w[:, :, 0, 0], b)
    loss.softmax(x.reshape(IMAGES, -1))
    optim.sgd_update(b, b.copy(), b.copy(), 0.1, 0.9, 0.0)
    zeros, images = np.zeros(1, "int32"), np.zeros((1, 4, 4, 3), "uint8")
    augment(images[0].astype(dtype), images, zeros, zeros, zeros > 0, np.zeros((1, 3), dtype), 4, 1.0)
