# %%
import math


class Window:
    def __init__(self, x, a, b, size, stride):
        self.top, self.left = a * stride, b * stride
        self.cells = [(self.top + i, self.left + j) for i in range(size) for j in range(size)]
        self.values = [x[cell] for cell in self.cells]

    def first_largest(self):
        return self.cells[self.values.index(max(self.values))]


# %% relu
def relu_forward(x):
    y = x.copy()
    y[y < 0] = 0
    return y


def relu_backward(dy, x):
    return (dy * (x > 0)).astype(dy.dtype)


# %% pool_forward
def pool_forward(x, size, stride):
    N, C, H, W = x.shape
    maps = [
        [[max(Window(m, a, b, size, stride).values) for b in range((W - size) // stride + 1)]
         for a in range((H - size) // stride + 1)]
        for image in x for m in image
    ]
    y = np.array(maps, dtype=x.dtype)
    return y.reshape(N, C, *y.shape[1:])


# %% pool_backward
def pool_backward(dy, x, size, stride):
    dx = np.zeros(x.shape)
    for n in range(x.shape[0]):
        for c in range(x.shape[1]):
            for a in range(dy.shape[2]):
                for b in range(dy.shape[3]):
                    dx[n, c][Window(x[n, c], a, b, size, stride).first_largest()] += dy[n, c, a, b]
    return dx.astype(dy.dtype)


# %% lrn_forward
def lrn_forward(x, size, alpha, beta, k):
    scale = np.full(x.shape, k, x.dtype)
    for shift in range(-(size // 2), size // 2 + 1):
        for c in range(x.shape[1]):
            if 0 <= c + shift < x.shape[1]:
                scale[:, c] += alpha * x[:, c + shift] * x[:, c + shift]
    y = x / np.exp(beta * np.log(scale))
    return y, scale


# %% lrn_backward
def lrn_backward(dy, x, scale, size, alpha, beta):
    dx = np.zeros(x.shape, dtype=dy.dtype)
    C = x.shape[1]
    for c in range(C):  # output c, and every map that it depends on
        for j in range(C):
            if abs(c - j) <= size // 2:
                dx[:, j] -= 2 * alpha * beta * dy[:, c] * x[:, c] * x[:, j] / scale[:, c] ** (beta + 1)
        dx[:, c] += dy[:, c] / scale[:, c] ** beta
    return dx
