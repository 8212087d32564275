# %%
# by np.split, from lists of parts, by numbers of layers, by halves of bytes.


# %% split_layer
def split_layer(w, b):
    return [(np.array(ws), np.array(bs)) for ws, bs in zip(np.split(w, 2), np.split(b, 2), strict=True)]


# %% widen
def widen(w):
    first, second = np.split(w, 2)
    nothing = np.zeros_like(first)
    return np.concatenate([np.concatenate([first, nothing], 1), np.concatenate([nothing, second], 1)])


# %% all_gather
def all_gather(halves, link):
    wholes = []
    for column in range(2):
        parts = list(halves)
        parts[1 - column] = link.send(halves[1 - column], column)
        wholes.append(np.hstack(parts))
    return wholes


# %% reduce_scatter
def reduce_scatter(wholes, link):
    split = [np.split(whole, 2, axis=1) for whole in wholes]
    return [link.send(split[1 - column][column], column) + split[column][column] for column in (0, 1)]


# %% forward
def forward(image, layers, columns, link):
    kept = []
    for number, layer in enumerate(layers):
        if number == 0:
            xs = [image, image.copy()]
        elif layer.reads == "own":
            xs = kept[-1][1]
        else:
            xs = all_gather(kept[-1][1], link)
        ys = []
        for column in (0, 1):
            w, b = columns[column][layer.name]
            ys.append(conv_forward(xs[column], w, b, layer.stride, layer.pad))  # noqa: F821
        if number < len(layers) - 1:
            ys = [np.where(y > 0, y, np.zeros_like(y)) for y in ys]
        kept.append((xs, ys))
    return kept


# %% backward
def backward(dys, layers, columns, kept, link):
    grads = ({}, {})
    for number in range(len(layers) - 1, -1, -1):
        layer, (xs, _) = layers[number], kept[number]
        both = [
            conv_backward(dys[c], xs[c], columns[c][layer.name][0], layer.stride, layer.pad)  # noqa: F821
            for c in (0, 1)
        ]
        for column, (_, dw, db) in enumerate(both):
            grads[column][layer.name] = (dw, db)
        if number:
            dys = [dx for dx, _, _ in both]
            if layer.reads == "both":
                dys = reduce_scatter(dys, link)
            dys = [np.where(y > 0, dy, np.zeros_like(dy)) for dy, y in zip(dys, kept[number - 1][1], strict=True)]
    return grads


# %% crossing
def crossing(rows, N, itemsize=4):
    """Half of what is read goes each of two ways, in each of two passes."""
    half = {row.name: N * int(np.prod(row.in_shape)) // 2 * itemsize for row in rows}
    return {row.name: 4 * half[row.name] if row.reads == "both" else 0 for row in rows}


# %% data_parallel
def data_parallel(rows, devices, itemsize=4):
    total = 0
    for row in rows:
        units, inputs = row.kernel[0], int(np.prod(row.kernel[1:]))
        total += units * (inputs + 1) * itemsize * (devices - 1)
    return total + total
