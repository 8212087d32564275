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
]
