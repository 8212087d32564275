"""The layers' definitions as plain loops over numbers, written from the paper's formulas: slow, small, no array code.

Axes: N images, C channels, H, W height and width, OC kernels, KH, KW kernel size, OH, OW output size, G groups.
"""

from decimal import Decimal

import numpy as np


def window_starts(size, kernel, stride, pad, ceil_mode):
    """The first pixel, of the image, of every window along one axis: -pad, then one every `stride`, while they fit.

    With ceil_mode one more follows where the others leave padded pixels over, if it begins before the image's end.
    """
    starts = [
        start for start in range(-pad, size + pad) if (start + pad) % stride == 0 and start + kernel <= size + pad
    ]
    following = starts[-1] + stride
    if ceil_mode and starts[-1] + kernel < size + pad and following < size:
        starts.append(following)
    return starts


class Sliding:
    """A window over images of H x W, as lists: where it starts, and which pixels each of its cells sees."""

    def __init__(self, H, W, kernel, stride, pad, ceil_mode):
        self.tops = window_starts(H, kernel[0], stride[0], pad[0], ceil_mode)
        self.lefts = window_starts(W, kernel[1], stride[1], pad[1], ceil_mode)
        self.H, self.W, self.kernel, self.pad = H, W, kernel, pad

    def cells(self, oh, ow):
        """How many cells of the window at (oh, ow) lie in the image or in its padding."""
        return sum(
            self.tops[oh] + i < self.H + self.pad[0] and self.lefts[ow] + j < self.W + self.pad[1]
            for i in range(self.kernel[0])
            for j in range(self.kernel[1])
        )

    def pixels(self, oh, ow):
        """(i, j, h, w) of every cell (i, j) that lies inside the image, row by row, for the window at (oh, ow)."""
        for i in range(self.kernel[0]):
            for j in range(self.kernel[1]):
                h, w = self.tops[oh] + i, self.lefts[ow] + j
                if 0 <= h < self.H and 0 <= w < self.W:
                    yield i, j, h, w


def _conv_terms(x, w, sliding, groups):
    """The indices in y, x and w of every product of a convolution."""
    OC, CG = w.shape[:2]
    for n, o, oh, ow in np.ndindex(x.shape[0], OC, len(sliding.tops), len(sliding.lefts)):
        g = o // (OC // groups)
        for i, j, h, v in sliding.pixels(oh, ow):
            for c in range(CG):
                yield (n, o, oh, ow), (n, g * CG + c, h, v), (o, c, i, j)


def im2col(x, sliding):
    """One row for each image and place, one entry for each cell and channel of the window."""
    N, C = x.shape[:2]
    KH, KW = sliding.kernel
    rows = []
    for n, oh, ow in np.ndindex(N, len(sliding.tops), len(sliding.lefts)):
        row = [0.0] * (KH * KW * C)
        for i, j, h, w in sliding.pixels(oh, ow):
            for c in range(C):
                row[(i * KW + j) * C + c] = x[n, c, h, w]
        rows.append(row)
    return np.array(rows)


def conv(x, w, b, sliding, groups):
    """y[n, o, oh, ow] = b[o] + sum of w[o, c, i, j] * x[n, c, h, w]."""
    y = np.zeros((x.shape[0], w.shape[0], len(sliding.tops), len(sliding.lefts)))
    for place in np.ndindex(y.shape):
        y[place] = b[place[1]]
    for at_y, at_x, at_w in _conv_terms(x, w, sliding, groups):
        y[at_y] += x[at_x] * w[at_w]
    return y


def conv_backward(dy, x, w, sliding, groups):
    """dx, dw, db: each product of the forward gives its two factors their share of dy."""
    dx, dw, db = np.zeros(x.shape), np.zeros(w.shape), np.zeros(w.shape[0])
    for place in np.ndindex(dy.shape):
        db[place[1]] += dy[place]
    for at_y, at_x, at_w in _conv_terms(x, w, sliding, groups):
        dx[at_x] += dy[at_y] * w[at_w]
        dw[at_w] += dy[at_y] * x[at_x]
    return dx, dw, db


def linear(x, w, b):
    """y[n, u] = b[u] + sum of w[u, d] * x[n, d]."""
    return np.array([[b[u] + sum(w[u][d] * xn[d] for d in range(len(xn))) for u in range(len(w))] for xn in x])


def linear_backward(dy, x, w):
    """dx, dw, db, summed product by product."""
    dx, dw, db = np.zeros(x.shape), np.zeros(w.shape), np.zeros(len(w))
    for n, u in np.ndindex(dy.shape):
        db[u] += dy[n, u]
        for d in range(x.shape[1]):
            dx[n, d] += dy[n, u] * w[u, d]
            dw[u, d] += dy[n, u] * x[n, d]
    return dx, dw, db


def max_pool(x, sliding):
    """y, and for each place of y the pixel that was the largest: the first of equals, but the last NaN if any."""
    y = np.zeros((*x.shape[:2], len(sliding.tops), len(sliding.lefts)))
    winners = {}
    for n, c, oh, ow in np.ndindex(y.shape):
        best = None
        for _, _, h, w in sliding.pixels(oh, ow):
            if best is None or x[n, c, h, w] > x[best] or np.isnan(x[n, c, h, w]):
                best = (n, c, h, w)
        y[n, c, oh, ow] = x[best]
        winners[n, c, oh, ow] = best
    return y, winners


def max_pool_backward(dy, x_shape, winners):
    """Every dy goes to the one pixel that was the largest."""
    dx = np.zeros(x_shape)
    for place, pixel in winners.items():
        dx[pixel] += dy[place]
    return dx


def average_pool(x, sliding):
    """y: the sum of the pixels in each window, by the number of its cells in the image and its padding."""
    y = np.zeros((*x.shape[:2], len(sliding.tops), len(sliding.lefts)))
    for n, c, oh, ow in np.ndindex(y.shape):
        for _, _, h, w in sliding.pixels(oh, ow):
            y[n, c, oh, ow] += x[n, c, h, w]
        y[n, c, oh, ow] /= sliding.cells(oh, ow)
    return y


def average_pool_backward(dy, x_shape, sliding):
    """Every pixel of a window gets dy by the number of the window's cells."""
    dx = np.zeros(x_shape)
    for n, c, oh, ow in np.ndindex(dy.shape):
        for _, _, h, w in sliding.pixels(oh, ow):
            dx[n, c, h, w] += float(dy[n, c, oh, ow]) / sliding.cells(oh, ow)
    return dx


def neighbouring_maps(x_shape, size, groups):
    """For a place (n, c, h, w) the places whose squares it is damped by: the `size` maps from c - size//2 on, as far
    as they exist in the group of c."""
    per_group = x_shape[1] // groups

    def neighbours(place):
        n, c, h, w = place
        first, end = c // per_group * per_group, (c // per_group + 1) * per_group
        return [(n, j, h, w) for j in range(c - size // 2, c - size // 2 + size) if first <= j < end]

    return neighbours


def neighbouring_pixels(x_shape, size):
    """For a place (n, c, h, w) the places of the same map within size x size pixels around it."""
    H, W = x_shape[2:]
    reach = range(-(size // 2), size // 2 + 1)
    return lambda place: [
        (*place[:2], place[2] + i, place[3] + j)
        for i in reach
        for j in reach
        if 0 <= place[2] + i < H and 0 <= place[3] + j < W
    ]


def response_norm(x, neighbours, alpha, beta, k):
    """y[p] = x[p] / (k + alpha * sum of x[q]**2 over the neighbours q of p)**beta."""
    y = np.zeros(x.shape)
    for p in np.ndindex(x.shape):
        y[p] = x[p] / (k + alpha * sum(x[q] ** 2 for q in neighbours(p))) ** beta
    return y


def response_norm_backward(dy, x, neighbours, alpha, beta, k):
    """dx[q] = sum over p of dy[p] * dy[p]/dx[q], from the quotient rule."""
    dx = np.zeros(x.shape)
    for p in np.ndindex(x.shape):
        scale = k + alpha * sum(x[q] ** 2 for q in neighbours(p))
        dx[p] += dy[p] * scale**-beta
        for q in neighbours(p):
            dx[q] -= dy[p] * x[p] * beta * scale ** (-beta - 1) * 2 * alpha * x[q]
    return dx


def cross_entropy(logits, labels):
    """The mean of -log softmax, and its gradient in the logits, in decimal numbers that neither overflow nor round."""
    total, gradient = Decimal(0), []
    for row, label in zip(logits.tolist(), labels.tolist(), strict=True):
        exps = [Decimal(logit).exp() for logit in row]
        total += sum(exps).ln() - Decimal(row[label])
        gradient.append([float((e / sum(exps) - (k == label)) / len(labels)) for k, e in enumerate(exps)])
    return float(total / len(labels)), np.array(gradient)


def slopes(function, array, h=1e-5):
    """(function() above - below) / 2h for every entry of `array`, which function() reads; float64."""
    found = np.zeros(array.shape)
    for place in np.ndindex(array.shape):
        value = array[place]
        array[place] = value + h
        above = function()
        array[place] = value - h
        below = function()
        array[place] = value
        found[place] = (above - below) / (2 * h)
    return found
