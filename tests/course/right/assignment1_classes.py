# %%
from dataclasses import dataclass
from itertools import product


@dataclass
class Geometry:
    kernel: tuple
    stride: tuple
    pad: tuple

    def places(self, h, w):
        rows = range(-self.pad[0], h + self.pad[0] - self.kernel[0] + 1, self.stride[0])
        cols = range(-self.pad[1], w + self.pad[1] - self.kernel[1] + 1, self.stride[1])
        return list(rows), list(cols)


# %% conv_loops
def conv_loops(x, w, b, stride, pad):
    geometry = Geometry(w.shape[2:], stride, pad)
    rows, cols = geometry.places(*x.shape[2:])
    out = np.empty((len(x), len(w), len(rows), len(cols)))  # in float64, then back
    for n, image in enumerate(x.astype(np.float64)):
        for o, kernel in enumerate(w):
            for p, top in enumerate(rows):
                for q, left in enumerate(cols):
                    total = float(b[o])
                    for c in range(image.shape[0]):
                        for i, j in product(range(kernel.shape[1]), range(kernel.shape[2])):
                            if 0 <= top + i < image.shape[1] and 0 <= left + j < image.shape[2]:
                                total += image[c, top + i, left + j] * kernel[c, i, j]
                    out[n, o, p, q] = total
    return out.astype(x.dtype)


# %% conv_loops_backward
def conv_loops_backward(dy, x, w, stride, pad):
    rows, cols = Geometry(w.shape[2:], stride, pad).places(*x.shape[2:])
    dx = np.zeros(x.shape, x.dtype)
    dw = np.zeros(w.shape, w.dtype)
    for n, o in product(range(dy.shape[0]), range(dy.shape[1])):
        for p, q in product(range(len(rows)), range(len(cols))):
            g = dy[n, o, p, q]
            for i in range(w.shape[2]):
                for j in range(w.shape[3]):
                    a, b = rows[p] + i, cols[q] + j
                    if a >= 0 and b >= 0 and a < x.shape[2] and b < x.shape[3]:
                        dx[n, :, a, b] += g * w[o, :, i, j]
                        dw[o, :, i, j] += g * x[n, :, a, b]
    return dx, dw, dy.sum((0, 2, 3))


# %% im2col
def im2col(x, kernel, stride, pad):
    rows, cols = Geometry(kernel, stride, pad).places(*x.shape[2:])
    big = np.zeros((*x.shape[:2], x.shape[2] + 2 * pad[0], x.shape[3] + 2 * pad[1]), x.dtype)
    big[:, :, pad[0] : pad[0] + x.shape[2], pad[1] : pad[1] + x.shape[3]] = x
    found = []
    for image in big:
        for top in rows:
            for left in cols:
                top_, left_ = top + pad[0], left + pad[1]
                found.append(image[:, top_ : top_ + kernel[0], left_ : left_ + kernel[1]].ravel())
    return np.stack(found)


# %% col2im
def col2im(patches, x_shape, kernel, stride, pad):
    def add(image, rest, places):
        """Adds the rows one after the other, by recursion."""
        if not places:
            return image
        (top, left), *others = places
        image[:, top : top + kernel[0], left : left + kernel[1]] += rest[0].reshape(-1, *kernel)
        return add(image, rest[1:], others)

    rows, cols = Geometry(kernel, stride, pad).places(*x_shape[2:])
    places = [(top + pad[0], left + pad[1]) for top in rows for left in cols]
    images = []
    for rest in np.split(patches, x_shape[0]):
        big = np.zeros((x_shape[1], x_shape[2] + 2 * pad[0], x_shape[3] + 2 * pad[1]), patches.dtype)
        add(big, rest, places)
        images.append(big[:, pad[0] : pad[0] + x_shape[2], pad[1] : pad[1] + x_shape[3]])
    return np.array(images)


# %% conv_forward
def conv_forward(x, w, b, stride, pad):
    patches = im2col(x, w.shape[2:], stride, pad)
    wide = np.hstack([patches, np.ones((len(patches), 1), x.dtype)])  # a column of ones for b
    y = wide @ np.vstack([w.reshape(len(w), -1).T, b])
    OH, OW = output_size(x.shape[2:], w.shape[2:], stride, pad)
    return np.moveaxis(y.reshape(-1, OH, OW, len(w)), -1, 1)


# %% conv_backward
def conv_backward(dy, x, w, stride, pad):
    patches = im2col(x, w.shape[2:], stride, pad)
    rows = np.stack([dy[:, o].ravel() for o in range(len(w))], axis=1)
    dw = np.array([rows[:, o] @ patches for o in range(len(w))], dtype=w.dtype).reshape(w.shape)
    dpatches = np.zeros_like(patches)
    for o, kernel in enumerate(w):
        dpatches += np.outer(rows[:, o], kernel)
    return col2im(dpatches, x.shape, w.shape[2:], stride, pad), dw, np.einsum("po->o", rows)


# %% grouped_forward
def grouped_forward(x, w, b, stride, pad, groups):
    if groups == 1:
        return conv_forward(x, w, b, stride, pad)
    c, k = x.shape[1] // groups, len(w) // groups
    first = conv_forward(x[:, :c], w[:k], b[:k], stride, pad)
    return np.concatenate((first, grouped_forward(x[:, c:], w[k:], b[k:], stride, pad, groups - 1)), 1)


# %% grouped_backward
def grouped_backward(dy, x, w, stride, pad, groups):
    found = {"dx": [], "dw": [], "db": []}
    for part in zip(np.split(dy, groups, 1), np.split(x, groups, 1), np.split(w, groups)):
        for name, gradient in zip(found, conv_backward(*part, stride, pad)):
            found[name].append(gradient)
    return np.concatenate(found["dx"], 1), np.concatenate(found["dw"]), np.concatenate(found["db"])
