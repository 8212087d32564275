# %%
# in place on copies, sliding windows, sums over shifted maps, plain loops in float64.


# %% relu
class Rectifier:
    def __call__(self, x):
        y = x.copy()
        y[y < 0] = 0
        return y


relu_forward = Rectifier()


def relu_backward(dy, x):
    return dy * (x > 0)


# %% pool_forward
def pool_forward(x, size, stride):
    windows = np.lib.stride_tricks.sliding_window_view(x, (size, size), axis=(2, 3))
    return windows[:, :, ::stride, ::stride].max(axis=(-1, -2))


# %% pool_backward
def pool_backward(dy, x, size, stride):
    N, C, OH, OW = dy.shape
    dx = np.zeros_like(x)
    for a in range(OH):
        for b in range(OW):
            window = x[:, :, a * stride : a * stride + size, b * stride : b * stride + size]
            cells = window.reshape(N, C, -1).argmax(axis=2)
            for n in range(N):
                for c in range(C):
                    dx[n, c, a * stride + cells[n, c] // size, b * stride + cells[n, c] % size] += dy[n, c, a, b]
    return dx


# %% lrn_forward
def lrn_forward(x, size, alpha, beta, k):
    reach = size // 2
    squares = np.pad(x * x, ((0, 0), (reach, reach), (0, 0), (0, 0)))
    scale = k + alpha * sum(squares[:, i : i + x.shape[1]] for i in range(size))
    return x * scale**-beta, scale


# %% lrn_backward
def lrn_backward(dy, x, scale, size, alpha, beta):
    C = x.shape[1]
    exact = scale.astype("float64")
    dx = dy * exact**-beta
    for j in range(C):
        for c in range(C):
            if abs(c - j) <= size // 2:
                dx[:, j] += -2.0 * alpha * beta * x[:, j] * x[:, c] * dy[:, c] * exact[:, c] ** (-beta - 1)
    return dx.astype(dy.dtype)
