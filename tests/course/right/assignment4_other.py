# %%
# all numbers drawn beforehand, np.cov and np.linalg.eig, image by image, view by view.


# %% square
def square(image, size):
    H, W, _ = image.shape
    height, width = (size, int(W / H * size + 0.5)) if H < W else (int(H / W * size + 0.5), size)
    scaled = resize(image, height, width)  # noqa: F821  given in the notebook
    top, left = int((scaled.shape[0] - size) / 2), int((scaled.shape[1] - size) / 2)
    return scaled[top : top + size, left : left + size].copy()


# %% random_views
def random_views(images, size, rng):
    N, S = images.shape[:2]
    mirrored = rng.integers(0, 2, N)
    tops, lefts = rng.choice(S - size + 1, N), rng.choice(S - size + 1, N)
    views = []
    for image, top, left, mirror in zip(images, tops, lefts, mirrored, strict=True):
        crop = image[top : top + size, left : left + size]
        views.append(np.fliplr(crop) if mirror else crop)
    return np.array(views)


# %% statistics
def statistics(images):
    covariance = np.cov(images.reshape(-1, 3).astype(float).T / 255, bias=True)
    values, vectors = (array.real for array in np.linalg.eig(covariance))  # complex since NumPy 2.5
    order = np.argsort(-values)
    return images.astype(float).mean(0), values[order], -vectors[:, order]


# %% net_input
def net_input(images, mean):
    return np.moveaxis(images.astype("float32") - mean.astype("float32"), -1, 1)


# %% colour_noise
def colour_noise(images, eigenvalues, eigenvectors, rng):
    noisy = images.copy()
    for n in range(len(images)):
        alpha = 0.1 * rng.standard_normal(3)
        noisy[n] += 255 * (eigenvectors @ (alpha * eigenvalues))
    return noisy


# %% ten_crops
def ten_crops(images, size):
    N, S = images.shape[:2]
    far, middle = S - size, (S - size) // 2
    views = np.zeros((N, 10, size, size, 3), images.dtype)
    views[:, 0] = images[:, :size, :size]
    views[:, 1] = images[:, :size, far:]
    views[:, 2] = images[:, far:, :size]
    views[:, 3] = images[:, far:, far:]
    views[:, 4] = images[:, middle : middle + size, middle : middle + size]
    for v in range(5):
        views[:, 5 + v] = views[:, v, :, ::-1]
    return views


# %% average_prediction
def average_prediction(views, predict):
    return np.mean([predict(views[:, v]) for v in range(views.shape[1])], axis=0)
