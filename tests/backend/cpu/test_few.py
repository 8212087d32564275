"""The convolution of a few images in inference: each algorithm against the definition, and when it is used."""

import numpy as np
import pytest

from tinyalex import Conv2D
from tinyalex.backend import use_kernels, use_threads
from tinyalex.backend.cpu import conv, few, registers, winograd
from tinyalex.layers import conv as definition
from tinyalex.window import Window

# name: window, H, W, channels of a group, groups, kernels of a group
CASES = {
    "3x3, two groups": (Window((3, 3), (1, 1), (1, 1), False), 13, 12, 3, 2, 2),
    "3x3, more kernels than a panel": (Window((3, 3), (1, 1), (0, 0), False), 9, 14, 20, 1, 69),
    "3x3, wide pad": (Window((3, 3), (1, 1), (2, 1), False), 4, 5, 2, 1, 1),
    "3x3, one output": (Window((3, 3), (1, 1), (0, 0), False), 3, 3, 1, 1, 1),
    "5x5, two groups, two panels each": (Window((5, 5), (1, 1), (2, 2), False), 9, 8, 7, 2, 36),
    "5x5, non-square": (Window((5, 5), (1, 1), (0, 3), False), 7, 12, 3, 1, 2),
    "11x11, stride 4, past the edge": (Window((11, 11), (4, 4), (0, 0), True), 40, 31, 3, 1, 2),
    "6x6, stride 2": (Window((6, 6), (2, 2), (1, 2), False), 10, 13, 2, 1, 2),
    "11x11, stride 4, pixels that no kernel sees": (Window((11, 11), (4, 4), (0, 0), False), 34, 33, 2, 1, 2),
    "non-square kernel, past the edge": (Window((3, 4), (2, 3), (1, 0), True), 10, 9, 3, 2, 5),
    "gaps between windows": (Window((1, 2), (2, 3), (0, 0), True), 8, 9, 2, 3, 1),
    "one cell": (Window((1, 1), (1, 1), (0, 0), False), 1, 1, 1, 1, 1),
}


@pytest.fixture(autouse=True)
def _any_number_of_maps(monkeypatch):
    monkeypatch.setattr(winograd, "FEWEST_MAPS", 1)


def arrays(name, N, dtype):
    window, H, W, C, groups, OC = CASES[name]
    rng = np.random.default_rng(3)
    shapes = (N, groups * C, H, W), (groups * OC, C, *window.kernel), (groups * OC,)
    return [rng.standard_normal(shape).astype(dtype) for shape in shapes], window, groups


def agrees(x, w, b, window, groups, tolerance):
    """Each algorithm, with ReLU and without, within `tolerance` of the definition in float64, norm over norm."""
    wide = [array.astype("float64") for array in (x, w, b)]
    N, C, H, W = x.shape
    plans = [None, *few.plans((N, H, W, C), w.shape, window, groups, few.SIZES)]
    for relu in (False, True):
        with use_kernels("reference"):
            expected = definition.conv_forward(*wide, window, groups, relu)
        for plan in plans:
            found = few.computed(plan, x, w, b, window, groups, relu)
            assert found.dtype == x.dtype
            assert found.shape == expected.shape
            assert np.linalg.norm(found - expected) <= tolerance * np.linalg.norm(expected), plan
    return len(plans)


@pytest.mark.parametrize("name", CASES)
@pytest.mark.parametrize(("dtype", "tolerance"), [("float64", 1e-13), ("float32", 1e-5)])
def test_each_algorithm_agrees_with_the_definition(name, dtype, tolerance):
    operands, window, groups = arrays(name, 2, dtype)
    assert agrees(*operands, window, groups, tolerance) >= (3 if name[0] == name[2] in "356" else 1)


@pytest.mark.parametrize("threads", [1, 2, 3])
@pytest.mark.parametrize("N", [1, 3, 8])
@pytest.mark.parametrize(
    "name", ["5x5, two groups, two panels each", "3x3, more kernels than a panel", "6x6, stride 2"]
)
def test_however_the_threads_divide_it(name, N, threads):
    operands, window, groups = arrays(name, N, "float64")
    with use_threads(threads):
        agrees(*operands, window, groups, 1e-13)


@pytest.mark.parametrize("cells", [1, 27, 1 << 20])
def test_however_many_kernels_are_transposed_at_a_time(monkeypatch, cells):
    monkeypatch.setattr(registers, "AT_ONCE", cells)
    operands, window, groups = arrays("3x3, more kernels than a panel", 1, "float64")
    agrees(*operands, window, groups, 1e-13)


def test_any_order_in_memory():
    (x, w, b), window, groups = arrays("3x3, two groups", 2, "float64")
    x = np.ascontiguousarray(x.transpose(3, 1, 0, 2)).transpose(2, 1, 3, 0)
    w = np.asfortranarray(w)
    agrees(x, w, np.repeat(b, 2)[::2], window, groups, 1e-13)


@pytest.mark.parametrize("count", [1, 2, 3, 5, 9, 13, 16, 25, 49, 3025])
def test_blocks_cover_all_rows(count):
    rows = registers.block_rows(count)
    assert rows == tuple(range(len(rows)))
    assert 1 <= len(rows) <= count


@pytest.mark.parametrize("plan", ["direct", "winograd"])
def test_nan_and_infinity_reach_the_output(plan):
    (x, w, b), window, groups = arrays("3x3, two groups", 2, "float32")
    x[1, 0, 5, 5] = np.nan
    cut = None if plan == "direct" else few.plans((2, 13, 12, 6), w.shape, window, groups, (6,))[0]
    y = few.computed(cut, x, w, b, window, groups, True)
    assert [bool(np.isnan(image).any()) for image in y] == [False, True]


def test_the_same_bits_on_every_run():
    operands, window, groups = arrays("5x5, two groups, two panels each", 3, "float32")
    with use_threads(3):
        assert len({few.forward(*operands, window, groups, True).tobytes() for _ in range(5)}) == 1


class TestWhenItIsUsed:
    @pytest.fixture
    def calls(self, monkeypatch):
        found = []
        right = few.forward
        monkeypatch.setattr(few, "forward", lambda *args: found.append(len(args[0])) or right(*args))
        return found

    def test_for_few_images_in_inference(self, calls):
        layer = Conv2D(2, 3, 3, rng=np.random.default_rng(0))
        x = np.random.default_rng(1).standard_normal((few.MOST_IMAGES + 1, 2, 6, 5), dtype="float32")
        with use_kernels("numba"):
            for N in (1, few.MOST_IMAGES, few.MOST_IMAGES + 1):
                y = layer.forward(x[:N])
                np.testing.assert_allclose(layer.forward(x[:N], train=True), y, atol=1e-6)
        assert calls == [1, few.MOST_IMAGES]

    def test_changed_kernels_are_used_at_once(self):
        """Nothing is kept from call to call."""
        (x, w, b), window, groups = arrays("3x3, two groups", 1, "float64")
        before = conv.conv_forward(x, w, b, window, groups, inference=True)
        w *= 2
        b *= 2
        after = conv.conv_forward(x, w, b, window, groups, inference=True)
        np.testing.assert_allclose(after, 2 * before, atol=1e-12)

    def test_the_rule_counts_operations_and_bytes(self):
        """Many tiles make a large n worthwhile, one tile does not."""
        window = Window((3, 3), (1, 1), (1, 1), False)
        large, small = (
            min(
                few.plans((1, size, size, 64), (64, 64, 3, 3), window, 1, few.SIZES),
                key=lambda plan, size=size: few.cost(plan, (1, 64, size, size), (64, 64, 3, 3), window),
            )
            for size in (120, 4)
        )
        assert large.n > small.n
        assert few.cost(None, (1, 64, 4, 4), (64, 64, 3, 3), window) < few.cost(
            large, (1, 64, 4, 4), (64, 64, 3, 3), window
        )
