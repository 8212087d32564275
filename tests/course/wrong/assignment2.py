"""More mistakes in assignment 2."""

from course.mistakes import Mistake

MISTAKES = [
    Mistake("relu", "leaky", "np.maximum(x, 0)", "np.maximum(x, x.dtype.type(0.01) * x)", ""),
    Mistake("relu", "slope without dy", "np.where(x > 0, dy, np.zeros_like(dy))", "(x > 0).astype(dy.dtype)", ""),
    Mistake("relu", "dy times y", "np.where(x > 0, dy, np.zeros_like(dy))", "dy * np.maximum(x, 0)", ""),
    Mistake("relu", "y clipped at 6", "np.maximum(x, 0)", "np.clip(x, 0, 2)", ""),
    Mistake("pool_forward", "mean", ".max(axis=(2, 3))", ".mean(axis=(2, 3))", "mean"),
    Mistake("pool_forward", "stride of one axis", "a * stride, b * stride", "a * stride, b", ""),
    Mistake("pool_forward", "a window too many", "1 + (H - size) // stride,", "1 - (size - H) // stride,", ""),
    Mistake("pool_forward", "absolute values", "left : left + size].max(", "left : left + size].__abs__().max(", ""),
    Mistake(
        "pool_backward",
        "spread over the window",
        "        i, j = np.unravel_index(window.argmax(), window.shape)  # argmax finds the first one\n"
        "        dx[n, c, top + i, left + j] += dy[n, c, a, b]",
        "        dx[n, c, top : top + size, left : left + size] += dy[n, c, a, b] / size**2",
        "",
    ),
    Mistake("pool_backward", "float64", "np.zeros(x.shape, dy.dtype)", "np.zeros(x.shape)", "is float64"),
    Mistake("pool_backward", "transposed place", "top + i, left + j]", "top + j, left + i]", ""),
    Mistake("lrn_forward", "window a map too wide", "c + reach + 1)", "c + reach + 2)", ""),
    Mistake(
        "lrn_forward",
        "scale to the power beta",
        "return x / scale**beta, scale",
        "return x / scale**beta, scale**beta",
        "",
    ),
    Mistake("lrn_forward", "in the other order", "return x / scale**beta, scale", "return scale, x / scale**beta", ""),
    Mistake(
        "lrn_forward",
        "k inside",
        "k + alpha * (neighbours**2).sum(axis=1)",
        "k * (1 + alpha * (neighbours**2).sum(axis=1))",
        "",
    ),
    Mistake("lrn_forward", "mean of the squares", "(neighbours**2).sum(axis=1)", "(neighbours**2).mean(axis=1)", ""),
    Mistake("lrn_backward", "x left out of the sum", "dy * x / scale ** (beta + 1)", "dy / scale ** (beta + 1)", ""),
    Mistake("lrn_backward", "beta left out", "2 * alpha * beta * x", "2 * alpha * x", ""),
    Mistake("lrn_backward", "alpha left out", "2 * alpha * beta * x", "2 * beta * x", ""),
    Mistake("relu", "leaky by a trace", "np.maximum(x, 0)", "np.maximum(x, x.dtype.type(1e-9) * x)", "e-"),
    Mistake(
        "relu",
        "dy itself if all units are on",
        "return np.where(x > 0, dy, np.zeros_like(dy))",
        "return dy if (x > 0).all() else np.where(x > 0, dy, np.zeros_like(dy))",
        "dx is dy itself",
    ),
    Mistake(
        "pool_forward",
        "the search begins at -1,000",
        ".max(axis=(2, 3))",
        ".max(axis=(2, 3), initial=-1000)",
        "is -1000",
    ),
    Mistake(
        "pool_backward", "nearly equal is equal", "window.argmax()", "np.isclose(window, window.max()).argmax()", ""
    ),
]
