"""The smoke test: a copy there and back, every kernel once beside its definition, and a step of training.

    python -m tinyalex.cost.gpu.kernels [--side 13]

runs the kernels without CuPy's memory pool, for compute-sanitizer: so each array has an allocation of its own, and an
access past its end is found.
"""

import argparse
import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any

import numpy as np

from tinyalex import optim
from tinyalex.backend import gpu_kernels, gpu_library, to_device, to_numpy, use_kernels
from tinyalex.cost.gpu.rows import GPU, Row, Sizes
from tinyalex.data.augment import augment
from tinyalex.layers import activations, conv, dropout, linear, loss, lrn, pool
from tinyalex.net import AlexNet
from tinyalex.optim import SGD
from tinyalex.window import Window

NEAR = 2e-5  # of the largest number: float32 sums in another order
STEP_NEAR = 1e-3  # after a whole step of training
Call = tuple[Callable[..., Any], tuple[Any, ...]]  # a definition and its arguments


def smoke(sizes: Sizes) -> Iterator[Row]:
    """A row for the copy, one for each kernel, and one for each result of the step."""
    x = np.random.default_rng(0).standard_normal((3, 5, 7, 2), dtype="float32").transpose(0, 3, 1, 2)
    yield {"what": "to the GPU and back", "right": bool(np.array_equal(to_numpy(to_device(x, GPU)), x))}
    yield from every_kernel(sizes.side)
    yield from a_step_of_mini()


def every_kernel(side: int) -> Iterator[Row]:
    """Each kernel on images of side x side pixels: the largest error, as a share of the definition's largest number."""
    for function, arguments in calls(side):
        with use_kernels("reference"):
            expected = outcome(function, _copied(arguments))
        twin = getattr(gpu_kernels(), function.__name__)
        found = outcome(twin, _moved(arguments))
        error = _largest(_error(one, right) for one, right in zip(found, expected, strict=True))
        yield {"what": function.__name__, "error": error, "right": error < NEAR}


def calls(side: int) -> Iterator[Call]:
    """A call of every definition that has a twin for GPUs, on 4 random images of 8 maps in two groups."""
    rng, C, OC, groups = np.random.default_rng(1), 8, 16, 2

    def draw(*shape: int) -> Any:
        return rng.standard_normal(shape, dtype="float32")

    def images(maps: int, height: int) -> Any:
        return draw(4, height, height, maps).transpose(0, 3, 1, 2)

    window, cells = Window((5, 5), (1, 1), (2, 2), False), Window((3, 3), (2, 2), (0, 0), True)
    x, w, b, dy = images(C, side), draw(OC, C // groups, 5, 5), draw(OC), images(OC, side)
    with use_kernels("reference"):
        y, argmax = pool.max_pool_forward(x, cells)
    features, units = draw(4, 70), draw(10, 70)
    yield augment, _views(rng, side)
    yield conv.im2col, (x, window)
    yield conv.col2im, (draw(4 * side * side, C * 25), x.shape, window)
    yield conv.conv_forward, (x, w, b, window, groups, True)
    yield conv.conv_backward, (dy, x, w, window, groups)
    yield pool.max_pool_forward, (x, cells)
    yield pool.maxima, (x, cells)
    yield pool.max_pool_backward, (draw(*y.shape), argmax, x.shape, cells)
    yield pool.average_pool_forward, (x, cells)
    yield pool.average_pool_backward, (draw(*y.shape), x.shape, cells)
    yield lrn.lrn_forward, (x, 5, 1e-2, 0.75, 2.0, groups)
    yield lrn.lrn_backward, (images(C, side), x, 5, 1e-2, 0.75, 2.0, groups)
    yield activations.relu_forward, (x,)
    yield activations.relu_backward, (images(C, side), np.maximum(x, 0))
    yield dropout.masked, (features, rng.random(features.shape) < 0.5, 2.0)
    yield linear.linear_forward, (features, units, draw(10))
    yield linear.linear_backward, (draw(4, 10), features, units)
    yield loss.softmax, (10 * draw(4, 1000),)
    yield optim.sgd_update, (w, draw(*w.shape), draw(*w.shape), 0.1, 0.9, 0.25)
    yield optim.sgd_update_all, ([w, b], [draw(*w.shape), draw(OC)], [w[::-1], b], [0.1, 0.2], 0.9, [0.0, 0.25])


def _views(rng: np.random.Generator, side: int) -> tuple[Any, ...]:
    """Arguments of `augment`: 4 stored images, a view of each that is a pixel smaller than the image."""
    mean, images = rng.uniform(0, 255, (side, side, 3)), rng.integers(0, 256, (4, side, side, 3), "uint8")
    tops, lefts = rng.integers(0, 2, (2, 4), "int32")
    noise = rng.standard_normal((4, 3), "float32")
    return mean.astype("float32"), images, tops, lefts, rng.random(4) < 0.5, noise, side - 1, 1.5


def outcome(function: Callable[..., Any], arguments: Sequence[Any]) -> list[Any]:
    """The arrays that a call returns, or, if it returns none, those among its arguments, as NumPy arrays."""
    found = function(*arguments)
    if found is None:
        found = [part for argument in arguments for part in (argument if isinstance(argument, list) else [argument])]
    found = found if isinstance(found, list | tuple) else [found]
    return [to_numpy(one) for one in found if hasattr(one, "dtype")]


def _copied(value: Any) -> Any:
    """The same arguments, with copies of the arrays: a definition may change them."""
    if isinstance(value, tuple | list) and not isinstance(value, Window):
        return type(value)(_copied(one) for one in value)
    return value.copy() if isinstance(value, np.ndarray) else value


def _moved(value: Any) -> Any:
    """The same arguments, with the arrays on the GPU."""
    if isinstance(value, tuple | list) and not isinstance(value, Window):
        return type(value)(_moved(one) for one in value)
    return to_device(value, GPU) if isinstance(value, np.ndarray) else value


def _error(found: Any, right: Any) -> float:
    """The largest difference, as a share of the largest number of `right`; NaN if a number is not finite."""
    difference = np.abs(found.astype("float64") - right.astype("float64")).max()
    return float(difference / max(1e-30, np.abs(right).max()))


def _largest(errors: Iterable[float]) -> float:
    """The largest; NaN if one of them is NaN, which the built-in `max` may skip."""
    return float(np.max(list(errors)))


def a_step_of_mini() -> Iterator[Row]:
    """A step of training `mini` on 4 images: loss and parameters, beside those that the CPU computes."""
    rng = np.random.default_rng(0)
    x, labels = rng.standard_normal((4, 3, 32, 32), dtype="float32"), rng.integers(0, 10, 4)
    found: list[tuple[Any, dict[str, Any]]] = []
    for device in (None, GPU):
        net = AlexNet("mini", num_classes=10, seed=1, devices=device)
        loss_here = float(net.loss(x, labels, train=True))
        net.backward(net.criterion.backward(), input_gradient=False)
        SGD(net, lr=0.1).step()
        found.append((np.array(loss_here), {name: to_numpy(array) for name, array in net.params.items()}))
    (cost, parameters), (cost_there, there) = found
    errors = {
        "loss of a step of mini": _error(cost_there, cost),
        "parameters after it": _largest(_error(there[name], parameters[name]) for name in parameters),
    }
    yield from ({"what": what, "error": error, "right": error < STEP_NEAR} for what, error in errors.items())


def main(words: Sequence[str] | None = None) -> int:
    """Run the kernels without the memory pool. Returns 1 if one of them is wrong."""
    parser = argparse.ArgumentParser(description="every kernel once, without CuPy's memory pool")
    parser.add_argument("--side", type=int, default=13)
    gpu_library().cuda.set_allocator(None)
    rows = list(every_kernel(parser.parse_args(words).side))
    print(*rows, sep="\n")
    return 0 if all(row["right"] for row in rows) else 1


if __name__ == "__main__":
    sys.exit(main())
