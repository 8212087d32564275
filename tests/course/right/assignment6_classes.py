# %%
import math


class Column:
    def __init__(self, number, parameters, link):
        self.number, self.parameters, self.link = number, parameters, link

    def hear(self, array):
        return self.link.send(array, self.number)

    def run(self, layer, x, last):
        y = conv_forward(x, *self.parameters[layer.name], layer.stride, layer.pad)
        return y if last else np.maximum(y, 0)


# %% split_layer
def split_layer(w, b):
    OC = w.shape[0]
    first, second = (w[: OC // 2] + 0, b[: OC // 2] + 0), (w[OC // 2 :] + 0, b[OC // 2 :] + 0)
    return (first, second)


# %% widen
def widen(w):
    OC, C = w.shape[:2]
    mask = np.kron(np.eye(2, dtype=w.dtype), np.ones((OC // 2, C), w.dtype))
    return np.tile(w, (1, 2, 1, 1)) * mask[:, :, None, None]


# %% all_gather
def all_gather(halves, link):
    out = []
    for column in (0, 1):
        N, C = halves[0].shape[:2]
        whole = np.empty((N, 2 * C, *halves[0].shape[2:]), halves[0].dtype)
        whole[:, column * C : (column + 1) * C] = halves[column]
        other = 1 - column
        whole[:, other * C : (other + 1) * C] = link.send(halves[other], to=column)
        out.append(whole)
    return out


# %% reduce_scatter
def reduce_scatter(wholes, link):
    C = wholes[0].shape[1]
    a, b = wholes
    to_0, to_1 = link.send(b[:, range(C // 2)], 0), link.send(a[:, range(C // 2, C)], 1)
    return [np.add(a[:, : C // 2], to_0), np.add(b[:, C // 2 :], to_1)]


# %% forward
def forward(image, layers, columns, link):
    parts = [Column(k, columns[k], link) for k in range(2)]
    kept, now = [], [image] * 2
    for number, layer in enumerate(layers):
        if layer.reads == "both":
            now = all_gather(now, link)
        then = [part.run(layer, x, number == len(layers) - 1) for part, x in zip(parts, now)]
        kept.append((now, then))
        now = then
    return kept


# %% backward
def backward(dys, layers, columns, kept, link):
    grads = [{}, {}]
    stack = list(zip(layers, kept))
    last = True
    while stack:
        layer, (xs, ys) = stack.pop()
        if not last:
            dys = [dy * (y > 0) for dy, y in zip(dys, ys)]
        last = False
        triples = [
            conv_backward(dys[k], xs[k], columns[k][layer.name][0], layer.stride, layer.pad) for k in (0, 1)
        ]
        for k, (_, dw, db) in enumerate(triples):
            grads[k][layer.name] = (dw, db)
        dys = [dx for dx, _, _ in triples]
        if layer.reads == "both":
            dys = reduce_scatter(dys, link)
    return grads


# %% crossing
def crossing(rows, N, itemsize=4):
    result = {}
    for row in rows:
        forward = 0
        if row.reads == "both":
            forward = N * math.prod(row.in_shape) * itemsize
        result[row.name] = forward + forward
    return result


# %% data_parallel
def data_parallel(rows, devices, itemsize=4):
    P = sum(math.prod(row.kernel) + row.kernel[0] for row in rows)
    share = P / devices
    each = (devices - 1) * share * itemsize
    return round(2 * devices * each)
