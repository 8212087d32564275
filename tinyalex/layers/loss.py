"""The softmax and its loss (Krizhevsky, Sutskever & Hinton 2012, section 3.5: multinomial logistic regression).

Axes: N images, K classes.
"""

from typing import Any

from tinyalex.backend import Array, beside, device_of, get_array_module, kernel, to_device, to_numpy
from tinyalex.errors import DTypeError, LabelError, ShapeError


@kernel
def softmax(logits: Array) -> Array:
    """p[n, k] = exp(logits[n, k]) / sum over j of exp(logits[n, j]): (N, K) -> (N, K), rows that sum to 1.

    The largest logit of a row is subtracted first, which changes nothing but keeps exp from overflowing.
    """
    xp = get_array_module(logits)
    exps = xp.exp(logits - logits.max(axis=1, keepdims=True))
    return exps / exps.sum(axis=1, keepdims=True)


class SoftmaxCrossEntropy:
    """The mean over the images of -log p[n, label[n]], p = softmax(logits). It has no parameters.

    forward: logits (N, K) float32 or float64, labels (N,) integers of 0 ... K-1 -> the mean loss in nats: a float, or
        for logits on a GPU an array there with no axes, as a float would make the host wait for the GPU.
    backward: dlogits[n, k] = (p[n, k] - [k = label[n]]) / N, shape and dtype of logits.
    labels may lie on the CPU, wherever the logits are: they are checked there, then moved. Labels on a GPU are
    copied to the host to be checked.
    Raises ShapeError, DTypeError, or LabelError for labels that are not integers of 0 ... K-1.
    """

    def __init__(self) -> None:
        self._cache: Any = None

    def forward(self, logits: Array, labels: Array) -> Any:
        """The mean loss. log p comes from the logits, not from p, so it stays finite for logits of 1e4."""
        xp, device, labels = get_array_module(logits), device_of(logits), to_numpy(labels)
        if logits.ndim != 2 or labels.shape != logits.shape[:1]:
            raise ShapeError(
                f"got logits of shape {logits.shape} and labels of shape {labels.shape}: expected (N, K) and (N,)"
            )
        if logits.dtype.kind != "f":
            raise DTypeError(
                f"got logits of {logits.dtype}: expected floats; convert them with logits.astype('float32')"
            )
        N, K = logits.shape
        if labels.dtype.kind not in "iu":
            raise LabelError(f"got labels of {labels.dtype}: expected integers of 0 ... {K - 1}")
        if N == 0 or labels.min() < 0 or labels.max() >= K:
            found = f"labels from {labels.min()} to {labels.max()}" if N else "no labels"
            raise LabelError(f"got {found}: expected integers of 0 ... {K - 1}, one for each image")
        with beside(logits):
            labels = to_device(labels, device)
            shifted = logits - logits.max(axis=1, keepdims=True)  # (N, K), at most 0
            exps = xp.exp(shifted)
            totals = exps.sum(axis=1)  # (N,)
            self._cache = (exps / totals[:, None], labels)
            log_p = shifted[xp.arange(N), labels] - xp.log(totals)  # (N,)
            loss = -log_p.mean()
        return float(loss) if device == "cpu" else loss

    def backward(self) -> Array:
        """dlogits (N, K)."""
        if self._cache is None:
            raise RuntimeError("SoftmaxCrossEntropy.backward: call forward(logits, labels) first")
        (dlogits, labels), self._cache = self._cache, None  # p, and dlogits in its place
        N = len(labels)
        with beside(dlogits):
            dlogits[get_array_module(dlogits).arange(N), labels] -= 1
            dlogits /= N
        return dlogits
