"""What every layer keeps to, whatever it computes."""

import ast
import re
import types
from inspect import getdoc, signature
from pathlib import Path

import numpy as np
import pytest

import tinyalex.layers
from cases import laid_out
from tinyalex import AveragePool2D, Conv2D, Dropout, Flatten, Linear, LocalResponseNorm, MaxPool2D, ReLU, Tanh
from tinyalex.errors import DTypeError, ShapeError, UsageError
from tinyalex.layers import Layer, SpatialResponseNorm

pytestmark = pytest.mark.usefixtures("kernels")
IMAGES, FEATURES = (3, 4, 6, 5), (3, 7)
MAKERS = {
    "Conv2D": (lambda **given: Conv2D(4, 6, (3, 2), stride=2, pad=1, groups=2, init_std=1.0, **given), IMAGES),
    "Conv2D of few channels": (lambda **given: Conv2D(4, 6, (3, 2), pad=1, init_std=1.0, **given), IMAGES),
    "Linear": (lambda **given: Linear(7, 5, init_std=1.0, **given), FEATURES),
    "MaxPool2D": (lambda **_: MaxPool2D(ceil_mode=True), IMAGES),
    "AveragePool2D": (lambda **_: AveragePool2D(ceil_mode=True), IMAGES),
    "LocalResponseNorm": (lambda **_: LocalResponseNorm(3, alpha=1.0, groups=2), IMAGES),
    "SpatialResponseNorm": (lambda **_: SpatialResponseNorm(3, alpha=1.0), IMAGES),
    "ReLU": (lambda **_: ReLU(), IMAGES),
    "Tanh": (lambda **_: Tanh(), IMAGES),
    "Flatten": (lambda **_: Flatten(), IMAGES),
    "Dropout": (lambda rng, **_: Dropout(rng=rng), FEATURES),
    "inverted Dropout": (lambda rng, **_: Dropout(rng=rng, scale_at="train"), FEATURES),
}


def make(name, dtype="float32", seed=1):
    """A layer, an input for it and a dy, the same ones for the same seed."""
    layer, shape = MAKERS[name][0](rng=np.random.default_rng(seed), dtype=dtype), MAKERS[name][1]
    rng = np.random.default_rng(seed + 1)
    x = rng.standard_normal(shape).astype(dtype)
    return layer, x, rng.standard_normal(layer.forward(x).shape).astype(dtype)


def results(layer, x, dy):
    """y, dx and the gradients of one pass."""
    y = layer.forward(x, train=True)
    return [y, layer.backward(dy), *layer.grads.values()]


@pytest.fixture(params=list(MAKERS))
def name(request):
    return request.param


def test_every_layer_is_here():
    exported = {kind for kind in tinyalex.layers.__all__ if kind not in ("Layer", "SoftmaxCrossEntropy")}
    assert exported == {kind for kind in MAKERS if " " not in kind}


def test_help_tells_every_argument_and_the_parameters(name):
    """help(Conv2D): a labelled part for each, and no label of an argument that is not there."""
    kind = type(make(name)[0])
    labels = ", ".join(re.findall(r"(?:^ *| {3})(\w+(?:, \w+)*): ", getdoc(kind), re.MULTILINE)).split(", ")
    arguments = list(signature(kind).parameters)
    assert set(labels) >= {*arguments, "params", "grads"}
    assert [label for label in labels if label.islower() and label not in arguments] in (
        ["params", "grads"],
        ["dtype", "params", "grads"],  # of x and y
    )
    for method in (kind.forward, kind.backward):
        for argument in [*signature(method).parameters][1:]:
            assert re.search(rf"\b{argument}\b", getdoc(method)), argument


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_dtype_stays_and_nothing_is_written_to(name, dtype):
    """x and dy may even be read-only, in training and in testing."""
    layer, x, dy = make(name, dtype)
    kept = x.copy(), dy.copy()
    x.flags.writeable = dy.flags.writeable = False
    found = results(layer, x, dy)
    assert {array.dtype.name for array in [*found, *layer.params.values(), layer.forward(x)]} == {dtype}
    np.testing.assert_array_equal(x, kept[0])
    np.testing.assert_array_equal(dy, kept[1])


def test_dx_and_gradients_have_the_shapes_of_x_and_parameters(name):
    layer, x, dy = make(name)
    y, dx, *_ = results(layer, x, dy)
    assert y.shape == dy.shape
    assert dx.shape == x.shape
    assert {key: grad.shape for key, grad in layer.grads.items()} == {k: p.shape for k, p in layer.params.items()}
    assert list(layer.params) in ([], ["w", "b"])


@pytest.mark.parametrize("layout", ["channels-last", "reversed axes", "every second", "backwards"])
def test_order_in_memory_does_not_matter(name, layout):
    """The same numbers, to rounding, wherever they lie."""
    layer, x, dy = make(name, "float64")
    plain = results(layer, x, dy)
    layer, x, dy = make(name, "float64")
    for array, expected in zip(results(layer, laid_out(x, layout), laid_out(dy, layout)), plain, strict=True):
        np.testing.assert_allclose(array, expected, rtol=1e-12, atol=1e-14)


def test_the_same_bits_on_every_run(name):
    first, second = (results(*make(name)) for _ in range(2))
    for one, other in zip(first, second, strict=True):
        assert one.tobytes() == other.tobytes()


@pytest.mark.parametrize("name", [name for name in MAKERS if "Dropout" not in name])  # a batch draws its masks at once
def test_images_do_not_touch_each_other(name):
    """The output for a batch is that of its images one by one, and so is dx."""
    layer, x, dy = make(name, "float64")
    y, dx, *_ = results(layer, x, dy)
    for n in range(len(x)):
        one = slice(n, n + 1)
        yn, dxn, *_ = results(layer, x[one], dy[one])
        np.testing.assert_allclose(yn, y[one], rtol=1e-12, atol=1e-14)
        np.testing.assert_allclose(dxn, dx[one], rtol=1e-12, atol=1e-14)


def test_no_images_at_all(name):
    """An empty batch goes through, and its gradients are sums of nothing."""
    layer, x, dy = make(name)
    assert layer.forward(x[:0]).shape == dy[:0].shape
    y, dx, *grads = results(layer, x[:0], dy[:0])
    assert (y.shape, dx.shape) == (dy[:0].shape, x[:0].shape)
    assert not any(grad.any() for grad in grads)


def test_backward_needs_a_forward_each_time(name):
    layer, x, dy = make(name)
    kind = type(layer).__name__
    with pytest.raises(RuntimeError, match=rf"{kind}.backward: call forward\(x, train=True\) first, once for each"):
        layer.backward(dy)
    layer.forward(x, train=True)
    layer.backward(dy)
    with pytest.raises(RuntimeError, match=f"{kind}.backward: call"):
        layer.backward(dy)
    layer.forward(x, train=True)
    layer.forward(x)  # testing in between leaves nothing to go back through
    with pytest.raises(RuntimeError, match=f"{kind}.backward: call"):
        layer.backward(dy)


def test_the_last_forward_counts_and_gradients_start_anew(name):
    """No trace of an earlier pass, finished or not: neither in a cache nor in sums."""
    layer, x, dy = make(name)
    expected = results(layer, x, dy)
    layer, x, dy = make(name)
    state = layer.rng.bit_generator.state if hasattr(layer, "rng") else None
    results(layer, 2 + x[::-1], 3 * dy)
    layer.forward(x[:1] - 1, train=True)
    if state is not None:
        layer.rng.bit_generator.state = state
    for array, right in zip(results(layer, x, dy), expected, strict=True):
        np.testing.assert_array_equal(array, right)


def test_a_dy_of_another_shape_is_refused(name):
    """NumPy would stretch some of these to the right shape in silence."""
    layer, x, dy = make(name)
    for wrong in (dy[:1], dy[:, :1], dy[..., :1], dy[None], dy.ravel(), np.concatenate([dy, dy]), np.zeros((), "f")):
        layer.forward(x, train=True)
        with pytest.raises(ShapeError, match=rf"{type(layer).__name__}.backward: got dy of shape .*: expected \(3, "):
            layer.backward(wrong)


@pytest.mark.parametrize("name", ["Conv2D", "Linear"])
def test_a_dy_of_another_dtype_is_refused_and_changes_nothing(name):
    layer, x, dy = make(name)
    layer.forward(x, train=True)
    before = layer.grads
    with pytest.raises(
        DTypeError, match=r"backward: got dy of float64: expected float32, as the parameters; convert it with dy.astype"
    ):
        layer.backward(dy.astype("float64"))
    assert layer.grads is before


@pytest.mark.parametrize("name", ["ReLU", "Dropout", "inverted Dropout"])
def test_infinite_slopes_of_what_does_not_count(name):
    """They are left out, not multiplied by 0: an infinity times 0 would be NaN."""
    layer, x, dy = make(name)
    y = layer.forward(x, train=True)
    dy[y == 0] = np.inf
    assert np.isfinite(layer.backward(dy)).all()


def test_gradients_before_the_first_backward_are_zeros(name):
    layer, _, _ = make(name)
    assert list(layer.grads) == list(layer.params)
    for key, grad in layer.grads.items():
        np.testing.assert_array_equal(grad, np.zeros_like(layer.params[key]))


@pytest.mark.parametrize(
    "layer",
    [
        Conv2D(4, 2, 3, init_std=np.float64(0.1), init_bias=np.float64(1)),
        LocalResponseNorm(5, np.float64(1e-4), np.float64(0.75), np.float64(2)),
        SpatialResponseNorm(5, np.float64(1e-4), np.float64(0.75)),
        Dropout(np.float64(0.5)),
        Dropout(np.float64(0.5), scale_at="train"),
    ],
)
def test_settings_that_are_numpy_numbers_do_not_widen_float32(layer):
    x = np.ones((2, 4, 5, 5), "float32")
    y = layer.forward(x, train=True)
    assert {y.dtype.name, layer.backward(y).dtype.name, layer.forward(x).dtype.name} == {"float32"}


def on_another_device(shape, dtype="float32"):
    """Something that looks like an array of CuPy's on the card cuda:1."""
    kind = type("ndarray", (), {"__module__": "cupy"})
    array = kind()
    array.shape, array.ndim, array.dtype = shape, len(shape), np.dtype(dtype)
    array.device = types.SimpleNamespace(id=1)
    return array


@pytest.mark.parametrize("name", ["Conv2D", "Linear"])
def test_parameters_and_input_on_different_devices(name):
    layer, x, _ = make(name)
    with pytest.raises(UsageError, match="arrays on different devices, cpu and cuda:1: move them to one"):
        layer.forward(on_another_device(x.shape))


def test_a_layer_of_ones_own():
    """Layer takes care of the cache; a subclass without forward or backward cannot be made."""

    class Square(Layer):
        def forward(self, x, *, train=False):
            self._cache = x if train else None
            return x * x

        def backward(self, dy):
            return 2 * self._take_cache() * dy

    layer = Square()
    assert layer.params == layer.grads == {}
    np.testing.assert_array_equal(layer.forward(np.array([3.0]), train=True), [9])
    np.testing.assert_array_equal(layer.backward(np.array([10.0])), [60])
    with pytest.raises(RuntimeError, match=r"Square\.backward: call forward"):
        layer.backward(np.array([10.0]))
    with pytest.raises(TypeError, match="abstract"):
        Layer()


@pytest.mark.parametrize("path", sorted(Path(tinyalex.layers.__file__).parent.glob("*.py")), ids=lambda path: path.name)
def test_layers_ask_which_library_owns_their_arrays(path):
    """No call of NumPy's own, so that the same lines run on CuPy: only its random generators, which draw on the host,
    and the initial parameters made from them."""
    tree = ast.parse(path.read_text())
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom):
            assert not node.module.startswith(("numpy", "cupy")) or node.module == "numpy.random"
        if isinstance(node, ast.Import):
            assert all((alias.name, alias.asname) == ("numpy", None) for alias in node.names if "py" in alias.name)
    makers = [n for n in ast.walk(tree) if isinstance(n, ast.FunctionDef) and n.name == "initial_parameters"]
    excepted = {id(node) for maker in makers for node in ast.walk(maker)}
    for node in ast.walk(tree):
        if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name) and node.value.id in ("np", "numpy"):
            assert node.attr == "random" or id(node) in excepted, f"{path.name}, line {node.lineno}"
