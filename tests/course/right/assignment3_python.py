# %%
from math import exp, log


class Mask:
    """A mask that remembers its numbers."""

    def __init__(self, shape, p, rng):
        draws = rng.random(int(np.prod(shape)))
        self.kept = np.array([draw >= p for draw in draws]).reshape(shape)

    def __call__(self, a):
        out = np.zeros_like(a)
        out[self.kept] = a[self.kept]
        return out


# %% softmax
def softmax(logits):
    p = np.zeros_like(logits)
    for n in range(len(logits)):
        biggest = float(max(logits[n]))
        exps = [exp(float(z) - biggest) for z in logits[n]]
        for k, e in enumerate(exps):
            p[n, k] = e / sum(exps)
    return p


# %% cross_entropy
def cross_entropy(logits, labels):
    def loss(row, label):
        biggest = max(row)
        return biggest + log(sum(exp(z - biggest) for z in row)) - row[label]

    losses = [loss(row, label) for row, label in zip(logits.astype(float).tolist(), labels.tolist())]
    return np.float64(sum(losses)) / len(losses)


# %% cross_entropy_backward
def cross_entropy_backward(p, labels):
    out = []
    for n, row in enumerate(p):
        out.append([(value - (1 if k == labels[n] else 0)) / len(p) for k, value in enumerate(row)])
    return np.asarray(out, p.dtype)


# %% linear
def linear_forward(x, w, b):
    y = np.empty((len(x), len(w)), x.dtype)
    for n in range(len(x)):
        for u in range(len(w)):
            y[n, u] = (x[n] * w[u]).sum() + b[u]
    return y


def linear_backward(dy, x, w):
    dx, dw, db = np.zeros(x.shape, x.dtype), np.zeros(w.shape, w.dtype), np.zeros(len(w), w.dtype)
    for n in range(len(x)):
        for u in range(len(w)):
            dx[n] += dy[n, u] * w[u]
            dw[u] += dy[n, u] * x[n]
            db[u] += dy[n, u]
    return dx, dw, db


# %% dropout
class Base:
    def backward(self, dy):
        return self.mask(dy)


class Dropout(Base):
    def __init__(self, p, rng):
        self.p, self.rng, self.mask = p, rng, None

    def forward(self, x, train):
        if train:
            self.mask = Mask(x.shape, self.p, self.rng)
            return self.mask(x)
        return (x * (1.0 - self.p)).astype(x.dtype)


# %% numerical_gradient
def numerical_gradient(f, x, dy, h=1e-5):
    def loss(values):
        return float(np.sum(np.asarray(dy, np.float64) * f(np.array(values, np.float64).reshape(x.shape))))

    flat, slopes = x.astype(np.float64).ravel().tolist(), []
    for i, value in enumerate(flat):
        slopes.append((loss(flat[:i] + [value + h] + flat[i + 1 :]) - loss(flat[:i] + [value - h] + flat[i + 1 :])) / 2 / h)
    return np.array(slopes).reshape(x.shape)


# %% worst_entry
def worst_entry(analytic, numerical):
    def error(index):
        a, n = float(analytic[index]), float(numerical[index])
        return float("inf") if a != a or n != n else abs(a - n) / max(abs(a), abs(n), 1e-8)

    places = list(np.ndindex(*analytic.shape))
    where = max(places, key=error)
    return where, error(where)
