# %%
# plain loops over range, as most begin; patches place by place; einsum; lists of groups.


# %% conv_loops
def conv_loops(x, w, b, stride, pad):
    n_images, n_channels, height, width = x.shape
    n_kernels, _, kh, kw = w.shape
    xp = np.zeros((n_images, n_channels, height + 2 * pad[0], width + 2 * pad[1]), dtype=x.dtype)
    xp[:, :, pad[0] : pad[0] + height, pad[1] : pad[1] + width] = x
    out_h = (height + 2 * pad[0] - kh) // stride[0] + 1
    out_w = (width + 2 * pad[1] - kw) // stride[1] + 1
    out = np.zeros((n_images, n_kernels, out_h, out_w), dtype=x.dtype)
    for n in range(n_images):
        for k in range(n_kernels):
            for i in range(out_h):
                for j in range(out_w):
                    top, left = i * stride[0], j * stride[1]
                    out[n, k, i, j] = np.sum(xp[n, :, top : top + kh, left : left + kw] * w[k]) + b[k]
    return out


# %% conv_loops_backward
def conv_loops_backward(dy, x, w, stride, pad):
    kh, kw = w.shape[2:]
    xp = np.pad(x, [(0, 0), (0, 0), (pad[0],) * 2, (pad[1],) * 2])
    dxp = np.zeros_like(xp)
    dw = np.zeros_like(w)
    for i in range(dy.shape[2]):
        for j in range(dy.shape[3]):
            top, left = i * stride[0], j * stride[1]
            g = dy[:, :, i, j]
            dw += np.einsum("nk,nchw->kchw", g, xp[:, :, top : top + kh, left : left + kw])
            dxp[:, :, top : top + kh, left : left + kw] += np.einsum("nk,kchw->nchw", g, w)
    dx = dxp[:, :, pad[0] : dxp.shape[2] - pad[0], pad[1] : dxp.shape[3] - pad[1]]
    return dx, dw, dy.sum(axis=(0, 2, 3))


# %% im2col
def im2col(x, kernel, stride, pad):
    xp = np.pad(x, ((0, 0), (0, 0), (pad[0], pad[0]), (pad[1], pad[1])))
    rows = []
    for image in xp:
        for top in range(0, image.shape[1] - kernel[0] + 1, stride[0]):
            for left in range(0, image.shape[2] - kernel[1] + 1, stride[1]):
                rows.append(image[:, top : top + kernel[0], left : left + kernel[1]].ravel())
    return np.array(rows)


# %% col2im
def col2im(patches, x_shape, kernel, stride, pad):
    n_images, n_channels, height, width = x_shape
    out = np.zeros((n_images, n_channels, height + 2 * pad[0], width + 2 * pad[1]), dtype=patches.dtype)
    row = 0
    for n in range(n_images):
        for top in range(0, out.shape[2] - kernel[0] + 1, stride[0]):
            for left in range(0, out.shape[3] - kernel[1] + 1, stride[1]):
                patch = patches[row].reshape(n_channels, *kernel)
                out[n, :, top : top + kernel[0], left : left + kernel[1]] += patch
                row += 1
    return out[:, :, pad[0] : pad[0] + height, pad[1] : pad[1] + width]


# %% conv_forward
def conv_forward(x, w, b, stride, pad):
    rows = im2col(x, w.shape[2:], stride, pad)
    out_h = (x.shape[2] + 2 * pad[0] - w.shape[2]) // stride[0] + 1
    out = rows.dot(w.reshape(w.shape[0], -1).T)
    out = out + b
    out = out.reshape(x.shape[0], out_h, -1, w.shape[0])
    return np.moveaxis(out, -1, 1)


# %% conv_backward
def conv_backward(dy, x, w, stride, pad):
    g = np.moveaxis(dy, 1, -1).reshape(-1, w.shape[0])
    rows = im2col(x, w.shape[2:], stride, pad)
    dw = np.dot(g.T, rows).reshape(w.shape)
    db = np.sum(g, axis=0)
    dx = col2im(np.dot(g, w.reshape(w.shape[0], -1)), x.shape, w.shape[2:], stride, pad)
    return dx, dw, db


# %% grouped_forward
def grouped_forward(x, w, b, stride, pad, groups):
    out = []
    for xs, ws, bs in zip(np.split(x, groups, axis=1), np.split(w, groups), np.split(b, groups), strict=True):
        out.append(conv_forward(xs, ws, bs, stride, pad))
    return np.concatenate(out, axis=1)


# %% grouped_backward
def grouped_backward(dy, x, w, stride, pad, groups):
    dx, dw, db = [], [], []
    for i in range(groups):
        g, xs, ws = (np.split(one, groups, axis=axis)[i] for one, axis in ((dy, 1), (x, 1), (w, 0)))
        a, b, c = conv_backward(g, xs, ws, stride, pad)
        dx.append(a)
        dw.append(b)
        db.append(c)
    return np.concatenate(dx, axis=1), np.concatenate(dw, axis=0), np.concatenate(db)
