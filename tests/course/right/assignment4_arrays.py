# %%
from numpy import *
from numpy import max, min

corners = noise = columns = covariance = spread = views = None


def sum(values):
    return add.reduce(values)


# %% square
def square(image, size):
    rows, cols = image.shape[0], image.shape[1]
    if rows <= cols:
        new = (size, int(floor(cols * size / rows + 0.5)))
    else:
        new = (int(floor(rows * size / cols + 0.5)), size)
    scaled = resize(image, *new)
    spare = (array(scaled.shape[:2]) - size) // 2
    return ascontiguousarray(scaled[spare[0] :, spare[1] :][:size, :size])


# %% random_views
def random_views(images, size, rng):
    N, S = images.shape[:2]
    windows = lib.stride_tricks.sliding_window_view(images, (size, size), axis=(1, 2))  # N, P, P, 3, size, size
    place = rng.integers(0, (S - size + 1) ** 2, N)
    views = windows[arange(N), place // (S - size + 1), place % (S - size + 1)].transpose(0, 2, 3, 1)
    flip = rng.integers(0, 2, N)[:, None, None, None].astype(bool)
    return where(flip, views[:, :, ::-1], views)


# %% statistics
def statistics(images):
    mean = images.astype(float64).sum(0) / len(images)
    p = images.reshape(-1, 3) / 255.0
    m = p.mean(0)
    covariance = einsum("mi,mj->ij", p, p) / len(p) - outer(m, m)
    u, s, vt = linalg.svd(covariance)
    return mean, s, u


# %% net_input
def net_input(images, mean):
    centred = images.astype("float64") - mean[None]
    return stack([centred[..., 0], centred[..., 1], centred[..., 2]], axis=1).astype("f4")


# %% colour_noise
def colour_noise(images, eigenvalues, eigenvectors, rng):
    noise = rng.standard_normal((images.shape[0], 3)) / 10
    colours = 255 * einsum("nk,k,ck->nc", noise, eigenvalues, eigenvectors)
    return (images + colours.reshape(-1, 1, 1, 3)).astype(float32)


# %% ten_crops
def ten_crops(images, size):
    S = images.shape[1]
    m = (S - size) // 2
    out = empty((images.shape[0], 10, size, size, 3), images.dtype)
    out[:, 0] = images[:, :size, :size]
    out[:, 1] = images[:, :size, S - size :]
    out[:, 2] = images[:, S - size :, :size]
    out[:, 3] = images[:, S - size :, S - size :]
    out[:, 4] = images[:, m : m + size, m : m + size]
    out[:, 5:] = flip(out[:, :5], 3)
    return out


# %% average_prediction
def average_prediction(views, predict):
    total = 0
    for v in range(views.shape[1]):
        total = total + predict(views[:, v])
    return total / views.shape[1]
