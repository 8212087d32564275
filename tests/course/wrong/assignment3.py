"""More mistakes in assignment 3."""

from course.mistakes import Mistake

MISTAKES = [
    Mistake("softmax", "maximum over the images", "logits.max(axis=1, keepdims=True)", "logits.max(axis=0)", ""),
    Mistake(
        "softmax", "the mean subtracted", "logits.max(axis=1, keepdims=True)", "logits.mean(axis=1, keepdims=True)", ""
    ),
    Mistake("softmax", "base 2", "np.exp(logits", "np.exp2(logits", ""),
    Mistake("cross_entropy", "base 2", "log_sums = np.log(", "log_sums = np.log2(", ""),
    Mistake(
        "cross_entropy", "the likeliest class", "shifted[np.arange(len(labels)), labels]", "shifted.max(axis=1)", ""
    ),
    Mistake("cross_entropy", "the first images only", ").mean())", ")[:2].mean())", ""),
    Mistake(
        "cross_entropy",
        "a probability clipped at 1e-12",
        "return float((log_sums - shifted[np.arange(len(labels)), labels]).mean())",
        "p = np.exp(shifted - log_sums[:, None])[np.arange(len(labels)), labels]\n    return float(-np.log(np.maximum(p, 1e-12)).mean())",
        "",
    ),
    Mistake(
        "cross_entropy_backward",
        "the likeliest class",
        "dlogits[np.arange(N), labels]",
        "dlogits[np.arange(N), p.argmax(axis=1)]",
        "",
    ),
    Mistake("cross_entropy_backward", "divided by K", "dlogits / N", "dlogits / p.shape[1]", ""),
    Mistake(
        "cross_entropy_backward", "the sign of a step", "return dlogits / N", "return -dlogits / N", "the sign is wrong"
    ),
    Mistake("linear", "dx through the transpose", "return dy @ w,", "return dy @ w.T,", ""),
    Mistake("linear", "dw divided by N", "dy.T @ x,", "dy.T @ x / len(x),", "dw was averaged over the images"),
    Mistake("linear", "bias subtracted", "x @ w.T + b", "x @ w.T - b", ""),
    Mistake("linear", "float64", "dy.sum(axis=0)", "dy.sum(axis=0, dtype=float)", "is float64"),
    Mistake("dropout", "times p in testing", "x * (1 - self.p)", "x * self.p", ""),
    Mistake(
        "dropout", "the smallest are dropped", "self.rng.random(x.shape) >= self.p", "x >= np.quantile(x, self.p)", ""
    ),
    Mistake("dropout", "scaled backward", "return dy * self.mask", "return dy * self.mask * (1 - self.p)", ""),
    Mistake("dropout", "its own generator", "self.rng.random(x.shape)", "np.random.default_rng(0).random(x.shape)", ""),
    Mistake(
        "numerical_gradient",
        "divided by h",
        "(above - below) / (2 * h)",
        "(above - below) / h",
        "divided by h, not by 2 h",
    ),
    Mistake("numerical_gradient", "own step", "(above - below) / (2 * h)", "(above - below) / 2e-5", ""),
    Mistake("numerical_gradient", "backward minus forward", "(above - below)", "(below - above)", "wrong sign"),
    Mistake(
        "worst_entry",
        "divided by the analytic one",
        "np.maximum(np.abs(analytic), np.abs(numerical))",
        "np.abs(analytic)",
        "",
    ),
    Mistake(
        "worst_entry",
        "divided by the sum",
        "np.maximum(np.abs(analytic), np.abs(numerical))",
        "np.abs(analytic) + np.abs(numerical)",
        "",
    ),
    Mistake("worst_entry", "the mean error", "float(errors[index])", "float(errors.mean())", ""),
    Mistake(
        "worst_entry",
        "NaN of one array only",
        "errors[np.isnan(errors)] = np.inf",
        "errors[np.isnan(analytic)] = np.inf\n    errors = np.nan_to_num(errors, nan=0)",
        "",
    ),
    Mistake("dropout", "absolute values in training", "return x * self.mask", "return abs(x) * self.mask", ""),
    Mistake(
        "dropout",
        "a mask for two images",
        "self.rng.random(x.shape)",
        "self.rng.random((len(x), x.shape[1])).repeat(2, axis=0)[: len(x)]",
        "depends on image",
    ),
    Mistake(
        "dropout",
        "the masks of half the batch again",
        "self.rng.random(x.shape)",
        "np.tile(self.rng.random(((len(x) + 1) // 2, x.shape[1])), (2, 1))[: len(x)]",
        "depends on image",
    ),
    Mistake(
        "dropout",
        "each image has one of ten masks",
        "self.rng.random(x.shape)",
        "self.rng.random((10, x.shape[1]))[self.rng.integers(0, 10, len(x))]",
        "depends on image",
    ),
    Mistake(
        "dropout",
        "the numbers of half the units, and one minus these",
        "self.rng.random(x.shape)",
        "(lambda a: np.concatenate([a, 1 - a], axis=1))(self.rng.random((len(x), x.shape[1] // 2)))",
        "depends on unit",
    ),
    Mistake(
        "dropout",
        "1,990 numbers again and again",
        "self.rng.random(x.shape)",
        "np.resize(self.rng.random(1990), x.shape)",
        "mask:",
    ),
    Mistake(
        "dropout",
        "a fixed count for each unit",
        "self.mask = self.rng.random(x.shape) >= self.p",
        "kept = np.arange(len(x))[:, None] >= round(self.p * len(x))\n"
        "        self.mask = self.rng.permuted(np.tile(kept, (1, x.shape[1])), axis=0)",
        "too even",
    ),
    Mistake(
        "dropout",
        "a fixed count for each batch",
        "self.mask = self.rng.random(x.shape) >= self.p",
        "kept = np.arange(x.size) >= round(self.p * x.size)\n"
        "        self.mask = self.rng.permutation(kept).reshape(x.shape)",
        "too even",
    ),
    Mistake(
        "dropout", "absolute values backward", "return dy * self.mask", "return abs(dy) * self.mask", "backward pass"
    ),
    Mistake(
        "worst_entry",
        "ties by columns",
        "index = np.unravel_index(errors.argmax(), errors.shape)",
        "index = np.unravel_index(errors.T.argmax(), errors.T.shape)[::-1]",
        "the first in reading order",
    ),
    Mistake(
        "worst_entry",
        "the last of several NaN",
        "index = np.unravel_index(errors.argmax(), errors.shape)",
        "index = np.unravel_index(errors.argmax(), errors.shape)\n"
        "    if np.isinf(errors).any():\n"
        "        index = tuple(np.argwhere(np.isinf(errors))[-1])",
        "the first in reading order",
    ),
    Mistake(
        "dropout",
        "the first unit is never dropped",
        "self.mask = self.rng.random(x.shape) >= self.p",
        "self.mask = self.rng.random(x.shape) >= self.p\n        self.mask[:, 0] = True",
        "mask:",
    ),
    Mistake(
        "dropout",
        "the last image keeps all units",
        "self.mask = self.rng.random(x.shape) >= self.p",
        "self.mask = self.rng.random(x.shape) >= self.p\n        self.mask[-1] = True",
        "mask:",
    ),
]
