# %%
columns = halves = whole = right = wrong = sums = own = None


def half(a, column, axis=0):
    return np.split(a, 2, axis)[column]


# %% split_layer
def split_layer(w, b):
    return [(np.array(half(w, column)), np.array(half(b, column))) for column in (0, 1)]


# %% widen
def widen(w):
    zeros = np.zeros_like(half(w, 0))
    return np.vstack([np.hstack([half(w, 0), zeros]), np.hstack([zeros, half(w, 1)])])


# %% all_gather
def all_gather(halves, link):
    received = {to: link.send(halves[1 - to], to) for to in range(2)}
    return [np.hstack([received[column] if k != column else halves[column] for k in range(2)]) for column in range(2)]


# %% reduce_scatter
def reduce_scatter(wholes, link):
    out = []
    for column in (0, 1):
        theirs = link.send(half(wholes[1 - column], column, 1), to=column)
        theirs += half(wholes[column], column, 1)  # what arrives is a copy
        out.append(theirs)
    return tuple(out)


# %% forward
def forward(image, layers, columns, link):
    def step(at, inputs):
        if at == len(layers):
            return []
        layer = layers[at]
        if layer.reads == "both":
            inputs = all_gather(inputs, link)
        outputs = [conv_forward(x, *column[layer.name], layer.stride, layer.pad) for x, column in zip(inputs, columns)]
        if at < len(layers) - 1:
            outputs = [y * (y > 0) for y in outputs]
        return [(inputs, outputs), *step(at + 1, outputs)]

    return step(0, [image, image.copy()])


# %% backward
def backward(dys, layers, columns, kept, link):
    grads = [dict(), dict()]
    for at in range(len(layers) - 1, -1, -1):
        layer, (xs, ys) = layers[at], kept[at]
        if at + 1 < len(layers):
            dys = [np.where(y > 0, dy, np.zeros_like(dy)) for dy, y in zip(dys, ys)]
        dxs = []
        for k in range(2):
            dx, *grads[k][layer.name] = conv_backward(dys[k], xs[k], columns[k][layer.name][0], layer.stride, layer.pad)
            dxs.append(dx)
        dys = reduce_scatter(dxs, link) if layer.reads == "both" else dxs
    return grads


# %% crossing
def crossing(rows, N, itemsize=4):
    return {row.name: 2 * N * itemsize * np.multiply.reduce(row.in_shape) if row.reads == "both" else 0 for row in rows}


# %% data_parallel
def data_parallel(rows, devices, itemsize=4):
    weights = 0
    for row in rows:
        size = 1
        for n in row.kernel:
            size *= n
        weights += size + row.kernel[0]
    return (devices - 1) * devices * weights * itemsize * 2 // devices
