"""Local response normalisation (Krizhevsky, Sutskever & Hinton 2012, section 3.3).

Axes: N images, C channels (kernel maps), H, W height and width, G groups (the net's columns).

Notebook 04, "The way back", derives the gradient. `@kernel` marks a definition that may have a faster twin: on the CPU
a call runs the twin of the same name in backend/cpu/lrn.py. SpatialResponseNorm has none.
"""

from typing import Self

from tinyalex.backend import Array, get_array_module, kernel
from tinyalex.errors import ShapeError
from tinyalex.layers.layer import Layer


@kernel
def lrn_forward(x: Array, size: int, alpha: float, beta: float, k: float, groups: int) -> Array:
    """y[c] = x[c] / scale[c]**beta, scale[c] = k + alpha * the sum of x[j]**2 over the `size` maps j around c.

    x (N, C, H, W) -> y (N, C, H, W). The window is cut off at the first and the last map of a group.
    """
    scale = k + alpha * _sum_over_neighbours(x * x, -(size // 2), size, groups)
    return x * scale**-beta


@kernel
def lrn_backward(dy: Array, x: Array, size: int, alpha: float, beta: float, k: float, groups: int) -> Array:
    """dx[j] = dy[j] / scale[j]**beta - 2 alpha beta x[j] * the sum of dy[c] y[c] / scale[c] over the c that see j.

    All (N, C, H, W). The maps c whose window holds map j form the mirrored window around j.
    The scale and y are computed again rather than kept: in the paper's net they take 3.8 MB an image.
    """
    scale = k + alpha * _sum_over_neighbours(x * x, -(size // 2), size, groups)
    y = x * scale**-beta
    seen_by = _sum_over_neighbours(dy * y / scale, size // 2 - size + 1, size, groups)
    return dy * scale**-beta - (2 * alpha * beta) * x * seen_by


def _sum_over_neighbours(maps: Array, first: int, size: int, groups: int) -> Array:
    """total[c] = the sum of maps[c + first], ..., maps[c + first + size - 1] that exist in the group of c."""
    N, C, H, W = maps.shape
    per_group = C // groups
    maps = maps.reshape(N, groups, per_group, H, W)
    total = get_array_module(maps).zeros_like(maps)
    for shift in range(max(first, 1 - per_group), min(first + size, per_group)):
        here = slice(max(0, -shift), per_group - max(0, shift))  # the maps that have a neighbour `shift` above
        there = slice(max(0, shift), per_group - max(0, -shift))  # that neighbour
        total[:, :, here] += maps[:, :, there]
    return total.reshape(N, C, H, W)


class LocalResponseNorm(Layer):
    """Each map is damped by the activity of its neighbours at the same place: competition for large responses.

    y[n, c] = x[n, c] / (k + alpha * sum of x[n, j]**2 over j = c - size//2 ... c - size//2 + size - 1)**beta
    Shapes: x (N, C, H, W) -> y (N, C, H, W).   dtype: that of x.
    Raises: ShapeError for channels that do not divide by groups.
    Source: section 3.3: k=2, size=5, alpha=1e-4, beta=0.75.

    size:   how many maps a window holds: the map itself and its neighbours. At the first and last map it is cut off.
    alpha, beta, k: the constants of the formula. A larger alpha or beta damps more.
    groups: G equal parts of C. A window stays within its part, as in the released code, where each GPU normalises the
            maps of its own column.
    alpha_over_size: divide alpha by size, as cuda-convnet, Caffe and PyTorch do; the paper and TensorFlow do not.
    params, grads: empty, as there is nothing to learn.
    """

    def __init__(
        self,
        size: int = 5,
        alpha: float = 1e-4,
        beta: float = 0.75,
        k: float = 2.0,
        *,
        groups: int = 1,
        alpha_over_size: bool = False,
    ) -> None:
        super().__init__()
        if min(size, groups) < 1:
            raise ShapeError(f"LocalResponseNorm: got size={size}, groups={groups}: expected 1 or more of each")
        self.size, self.beta, self.k, self.groups = size, float(beta), float(k), groups
        self.alpha = float(alpha / size if alpha_over_size else alpha)

    def for_column(self, units: int) -> Self:
        """A column has half of the groups."""
        column = super().for_column(units)
        column.groups //= 2
        return column

    def forward(self, x: Array, *, train: bool = False) -> Array:
        """x (N, C, H, W) -> y, same shape. train: keep x for `backward`."""
        self._check_input(x, "N C H W")
        if x.shape[1] % self.groups:
            raise ShapeError(f"LocalResponseNorm: got {x.shape[1]} maps: expected a multiple of groups={self.groups}")
        self._cache = x if train else None
        return lrn_forward(x, self._reach(x), self.alpha, self.beta, self.k, self.groups)

    def backward(self, dy: Array) -> Array:
        """dy (N, C, H, W) -> dx, same shape."""
        x = self._take_cache()
        self._check_dy(dy, x.shape)
        return lrn_backward(dy, x, self._reach(x), self.alpha, self.beta, self.k, self.groups)

    def _reach(self, x: Array) -> int:
        """The size of the window, cut to twice the maps of a group: a larger one sees the same maps, and costs time."""
        return min(self.size, 2 * int(x.shape[1]) // self.groups)


class SpatialResponseNorm(Layer):
    """The same damping by neighbours within one map: cuda-convnet's `rnorm`, which the paper does not have.

    y[n, c, h, w] = x[n, c, h, w] / (1 + alpha / size**2 * sum of x[n, c]**2 over size x size cells around h, w)**beta
    Shapes: x (N, C, H, W) -> y (N, C, H, W).   dtype: that of x.
    Raises: ShapeError for an even size.
    Source: the released code's `cnorm2` between norm2 and pool2 (layers-145.cfg): size 5, alpha 1e-3, beta 0.75.

    size:   height and width of the window in cells: an odd number. At the edges the window is cut off.
    alpha, beta: the constants of the formula. A larger one damps more.
    params, grads: empty, as there is nothing to learn.
    """

    def __init__(self, size: int = 5, alpha: float = 1e-3, beta: float = 0.75) -> None:
        super().__init__()
        if size < 1 or size % 2 == 0:
            raise ShapeError(f"SpatialResponseNorm: got size={size}: expected an odd number, such as 5")
        self.size, self.alpha, self.beta = size, float(alpha / size**2), float(beta)

    def forward(self, x: Array, *, train: bool = False) -> Array:
        """x (N, C, H, W) -> y, same shape. train: keep x, y and the scale for `backward`."""
        self._check_input(x, "N C H W")
        scale = 1.0 + self.alpha * self._sum_around(x * x)
        y = x * scale**-self.beta
        self._cache = (x, y, scale) if train else None
        return y

    def backward(self, dy: Array) -> Array:
        """dx = dy / scale**beta - 2 alpha beta x * the sum of dy y / scale around: the window is its own mirror."""
        x, y, scale = self._take_cache()
        self._check_dy(dy, y.shape)
        seen_by = self._sum_around(dy * y / scale)
        return dy * scale**-self.beta - (2 * self.alpha * self.beta) * x * seen_by

    def _sum_around(self, maps: Array) -> Array:
        """The sum over the size x size cells around each cell: along the rows, then along the columns."""
        for axis in (2, 3):
            lines = maps.swapaxes(axis, 1)  # _sum_over_neighbours adds along axis 1
            maps = _sum_over_neighbours(lines, -(self.size // 2), self.size, 1).swapaxes(axis, 1)
        return maps
