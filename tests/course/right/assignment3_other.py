# %%
# image by image, by one-hot rows, by outer products, entry by entry.


# %% softmax
def softmax(logits):
    rows = []
    for row in logits:
        exps = np.exp(row - max(row))
        rows.append(exps / exps.sum())
    return np.array(rows, dtype=logits.dtype)


# %% cross_entropy
def cross_entropy(logits, labels):
    total = 0
    for row, label in zip(logits, labels, strict=True):
        most = row.max()
        total += most + np.log(np.exp(row - most).sum()) - row[label]
    return total / len(labels)


# %% cross_entropy_backward
def cross_entropy_backward(p, labels):
    right = np.eye(p.shape[1], dtype=p.dtype)[labels]
    return (p - right) / p.shape[0]


# %% linear
def linear_forward(x, w, b):
    return np.dot(w, x.T).T + b[None]


def linear_backward(dy, x, w):
    dw = np.zeros_like(w)
    for n in range(len(x)):
        dw += np.outer(dy[n], x[n])
    return np.dot(dy, w), dw, np.ones(len(dy), dy.dtype) @ dy


# %% dropout
class Dropout:
    def __init__(self, p, rng):
        self.p, self.rng = p, rng
        self.mask = None

    def forward(self, x, train):
        if train:
            self.mask = (self.rng.uniform(0, 1, size=x.shape) < 1 - self.p).astype(x.dtype)
            return x * self.mask
        return (1 - self.p) * x

    def backward(self, dy):
        return self.mask * dy


# %% numerical_gradient
def numerical_gradient(f, x, dy, h=1e-5):
    gradient = np.zeros(x.shape)
    for i in range(x.size):
        up, down = np.array(x, dtype=np.float64), np.array(x, dtype=np.float64)
        up.flat[i] += h
        down.flat[i] -= h
        gradient.flat[i] = np.sum(dy * (f(up) - f(down))) / (2 * h)
    return gradient


# %% worst_entry
def worst_entry(analytic, numerical):
    worst, at = -1.0, None
    for index in np.ndindex(analytic.shape):
        a, n = analytic[index], numerical[index]
        error = np.inf if np.isnan(a) or np.isnan(n) else abs(a - n) / max(abs(a), abs(n), 1e-8)
        if error > worst:
            worst, at = error, index
    return at, worst
