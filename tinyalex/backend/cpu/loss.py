"""The compiled twin of tinyalex.layers.loss.softmax."""

import numpy as np

from tinyalex.backend.cpu.compiled import Floats, compiled
from tinyalex.backend.memory import empty
from tinyalex.backend.threads import WORTH_A_THREAD, in_shares


def _softmax(logits, p):
    """Fill p (rows, K) from logits (rows, K), row by row in cache, with K exponentials a row."""
    K = logits.shape[1]
    for n in range(len(logits)):
        row, out = logits[n], p[n]
        largest = row[0]
        for k in range(K):
            if row[k] > largest:  # never true for NaN; the row becomes NaN in the sum below
                largest = row[k]
        total = logits.dtype.type(0)
        for k in range(K):
            out[k] = np.exp(row[k] - largest)
            total += out[k]
        for k in range(K):
            out[k] /= total


_softmax_compiled = compiled(_softmax)


def softmax(logits: Floats) -> Floats:
    """The twin of tinyalex.layers.loss.softmax, without temporary arrays."""
    logits = np.ascontiguousarray(logits)
    p = empty(logits.shape, logits.dtype)
    rows = max(1, WORTH_A_THREAD // (10 * p.shape[1]))  # an exponential takes as long as ten additions
    in_shares(lambda first, last: _softmax_compiled(logits[first:last], p[first:last]), len(p), rows)
    return p
