"""The planted mistakes of assignment 2: ReLU, overlapping max-pooling, local response normalisation."""

from course.mistakes import Mistake

MISTAKES = [
    Mistake(
        "relu",
        "works in place",
        old="return np.maximum(x, 0)",
        new="x[x < 0] = 0\n    return x",
        symptom="changed its argument x",
    ),
    Mistake(
        "relu",
        "passes the gradient on at 0",
        old="np.where(x > 0",
        new="np.where(x >= 0",
        symptom="the gradient at x = 0 was passed on",
    ),
    Mistake(
        "relu",
        "masks by dy",
        old="np.where(x > 0",
        new="np.where(dy > 0",
        symptom="the mask was computed from dy",
    ),
    Mistake(
        "pool_forward",
        "windows do not overlap",
        old="a * stride, b * stride",
        new="a * size, b * size",
        symptom="the windows start `size` pixels apart",
    ),
    Mistake(
        "pool_forward",
        "the search begins at 0",
        old=".max(axis=(2, 3))",
        new=".max(axis=(2, 3), initial=0)",
        symptom="began at 0",
    ),
    Mistake(
        "pool_forward",
        "height and width swapped",
        old="a * stride, b * stride",
        new="b * stride, a * stride",
        symptom="height and width were swapped",
    ),
    Mistake(
        "pool_backward",
        "= for += where windows overlap",
        old="] += dy",
        new="] = dy",
        symptom="kept only the last gradient",
    ),
    Mistake(
        "pool_backward",
        "gradient to all equal pixels",
        old="dx[n, c, top + i, left + j] += dy[n, c, a, b]",
        new="dx[n, c, top : top + size, left : left + size] += dy[n, c, a, b] * (window == window.max())",
        symptom="all equally large pixels received the gradient",
    ),
    Mistake(
        "pool_backward",
        "gradient to the last equal pixel",
        old="np.unravel_index(window.argmax(), window.shape)",
        new="np.argwhere(window == window.max())[-1]",
        symptom="the last of the equally large pixels received the gradient",
    ),
    Mistake(
        "lrn_forward",
        "window one map short",
        old="c + reach + 1)",
        new="c + reach)",
        symptom="the window ends one map too early",
    ),
    Mistake(
        "lrn_forward",
        "alpha divided by size",
        old="= k + alpha * (n",
        new="= k + alpha / size * (n",
        symptom="alpha was divided by size",
    ),
    Mistake(
        "lrn_forward",
        "window wraps around",
        old="x[:, max(0, c - reach) : min(C, c + reach + 1)]",
        new="x[:, [j % C for j in range(c - reach, c + reach + 1)]]",
        symptom="the window wraps around",
    ),
    Mistake(
        "lrn_forward",
        "float64 from float32",
        old="np.empty_like(x)",
        new="np.empty(x.shape)",
        symptom="is float64, expected float32",
    ),
    Mistake(
        "lrn_backward",
        "the square's 2 forgotten",
        old="-= 2 * alpha",
        new="-= alpha",
        symptom="the factor 2 of the square's derivative is missing",
    ),
    Mistake(
        "lrn_backward",
        "neighbours forgotten",
        old="share[:, max(0, j - reach) : min(C, j + reach + 1)]",
        new="share[:, j : j + 1]",
        symptom="the sum has only the map itself",
    ),
    Mistake(
        "lrn_backward",
        "scale taken as a constant",
        old="        dx[:, j] -= 2 * alpha * beta * x[:, j] * seen_by.sum(axis=1)\n",
        new="",
        symptom="only the numerator was differentiated",
    ),
    Mistake(
        "lrn_backward",
        "wrong sign of the second term",
        old="dx[:, j] -= 2",
        new="dx[:, j] += 2",
        symptom="the second term was added",
    ),
    Mistake(
        "relu",
        "y is x",
        old="return np.maximum(x, 0)",
        new="return x if (x >= 0).all() else np.maximum(x, 0)",
        symptom="y is x itself",
    ),
    Mistake(
        "relu",
        "dx with the dtype of x",
        old="np.where(x > 0, dy, np.zeros_like(dy))",
        new="np.where(x > 0, dy, np.zeros_like(x))",
        symptom="dx has the dtype of dy",
    ),
    Mistake(
        "pool_backward",
        "overlaps averaged",
        old="    return dx",
        new="    counts = np.zeros(x.shape)\n    for n, c, a, b in np.ndindex(*dy.shape):\n"
        "        window = x[n, c, a * stride : a * stride + size, b * stride : b * stride + size]\n"
        "        i, j = np.unravel_index(window.argmax(), window.shape)\n"
        "        counts[n, c, a * stride + i, b * stride + j] += 1\n"
        "    dx = (dx / np.maximum(counts, 1)).astype(dx.dtype)\n    return dx",
        symptom="averaged where windows overlap",
    ),
]
