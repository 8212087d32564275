"""What the tests of all twins share: the definitions by name, windows, and a call of each kernel with its arguments."""

import numpy as np

from tinyalex import optim
from tinyalex.backend import cpu, use_kernels
from tinyalex.data import augment
from tinyalex.layers import activations, conv, dropout, linear, loss, lrn, pool
from tinyalex.window import Window

DEFINITIONS = {
    name: getattr(module, name)
    for module in (activations, conv, dropout, linear, loss, lrn, pool, optim, augment)
    for name in cpu.__all__
    if hasattr(module, name)
}
WINDOWS = {
    "the paper's conv2": (Window((5, 5), (1, 1), (2, 2), False), 9, 8),
    "non-square, past the edge": (Window((3, 4), (2, 3), (1, 0), True), 10, 9),
    "gaps between windows": (Window((1, 2), (2, 3), (0, 0), True), 8, 9),
    "one cell": (Window((1, 1), (1, 1), (0, 0), False), 1, 1),
    "the whole image": (Window((4, 5), (1, 1), (0, 0), False), 4, 5),
}


def calls(dtype, N, window, H, W, groups=1, channels=3, size=5, beta=0.75):
    """(name, arguments) of a call of every twin, on the same random images."""
    rng = np.random.default_rng(1)

    def draw(*shape):
        return rng.standard_normal(shape).astype(dtype)

    C, OC = groups * channels, groups * 4
    OH, OW = window.output_size(H, W)
    x, w, b = draw(N, C, H, W), draw(OC, channels, *window.kernel), draw(OC)
    dy = draw(N, OC, OH, OW)
    features, units, dunits = draw(N, 7), draw(5, 7), draw(N, 5)
    unpadded = window._replace(pad=(0, 0)) if min(H - window.kernel[0], W - window.kernel[1]) >= 0 else window
    with use_kernels("reference"):
        pooled, argmax = pool.max_pool_forward(x, unpadded)
    yield "im2col", (x, window)
    yield "col2im", (draw(N * OH * OW, C * window.kernel[0] * window.kernel[1]), x.shape, window)
    yield "conv_forward", (x, w, b, window, groups)
    yield "conv_forward", (x, w, b, window, groups, True)
    yield "conv_backward", (dy, x, w, window, groups)
    yield "conv_backward", (dy, x, w, window, groups, False)
    yield "linear_forward", (features, units, draw(5))
    yield "linear_backward", (dunits, features, units)
    yield "max_pool_forward", (x, unpadded)
    yield "maxima", (x, unpadded)
    yield "max_pool_backward", (draw(*pooled.shape), argmax, x.shape, unpadded)
    yield "average_pool_forward", (x, window)
    yield "average_pool_backward", (draw(N, C, OH, OW), x.shape, window)
    yield "lrn_forward", (x, size, 0.5, beta, 2.0, groups)
    yield "lrn_backward", (draw(*x.shape), x, size, 0.5, beta, 2.0, groups)
    yield "relu_forward", (x,)
    yield "relu_backward", (draw(*x.shape), np.maximum(x, 0))
    yield "masked", (features, rng.random(features.shape) < 0.5, 1.25)
    yield "softmax", (10 * draw(N, 7),)
    yield "augment", (*stored_images(dtype, N), 5, 1.25)
    yield "sgd_update", (w, draw(*w.shape), draw(*w.shape), 0.1, 0.9, 0.25)


def stored_images(dtype, N, views=2, S=9, margin=4, seed=3):
    """The first arguments of `augment`: a mean image, N images of S x S, and all that says what is seen of them."""
    rng = np.random.default_rng(seed)
    mean, images = rng.uniform(0, 255, (S, S, 3)).astype(dtype), rng.integers(0, 256, (N, S, S, 3), np.uint8)
    tops, lefts = rng.integers(0, margin, (2, N * views), np.int32, endpoint=True)
    return mean, images, tops, lefts, rng.random(N * views) < 0.5, rng.normal(0, 9, (N * views, 3)).astype(dtype)


def outcome(function, arguments):
    """The arrays that a kernel returns, as a list; for a kernel that works in place, its arguments afterwards."""
    copies = [arg.copy() if isinstance(arg, np.ndarray) else arg for arg in arguments]
    found = function(*copies)
    if found is None:
        return [arg for arg in copies if isinstance(arg, np.ndarray)]
    return list(found) if isinstance(found, tuple) else [found]
