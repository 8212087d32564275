# %%
class Crop:
    def __init__(self, top, left, size, mirrored=False):
        self.rows = list(range(top, top + size))
        self.cols = list(range(left, left + size))
        if mirrored:
            self.cols.reverse()

    def of(self, image):
        return image[np.ix_(self.rows, self.cols)]


# %% square
def square(image, size):
    H, W, _ = image.shape
    factor = size / min(H, W)
    h, w = int(round(H * factor)), int(round(W * factor))
    big = resize(image, h, w)
    return Crop((h - size) // 2, (w - size) // 2, size).of(big)


# %% random_views
def random_views(images, size, rng):
    def view(image):
        offsets = np.arange(len(image) - size + 1)
        return Crop(rng.choice(offsets), rng.choice(offsets), size, mirrored=rng.choice([True, False])).of(image)

    return np.array([view(image) for image in images])


# %% statistics
def statistics(images):
    mean = np.average(images, axis=0)
    colours = [images[..., c].ravel() / 255 for c in range(3)]
    covariance = np.zeros((3, 3))
    for i in range(3):
        for j in range(3):
            covariance[i, j] = np.mean((colours[i] - colours[i].mean()) * (colours[j] - colours[j].mean()))
    values, vectors = np.linalg.eigh(covariance)
    order = np.argsort(-values)
    return mean, values[order], -vectors[:, order]


# %% net_input
def net_input(images, mean):
    x = np.zeros((len(images), 3, *images.shape[1:3]), dtype=np.float32)
    for c in range(3):
        for n in range(len(images)):
            x[n, c] = images[n, :, :, c].astype(float) - mean[:, :, c]
    return x


# %% colour_noise
def colour_noise(images, eigenvalues, eigenvectors, rng):
    out = []
    for image in images:
        colour = np.zeros(3)
        for i in range(3):
            colour += rng.normal(0.0, 0.1) * eigenvalues[i] * eigenvectors[:, i]
        out.append(image + (255 * colour).astype(np.float32))
    return np.stack(out)


# %% ten_crops
def ten_crops(images, size):
    gap = images.shape[1] - size
    places = [(0, 0), (0, gap), (gap, 0), (gap, gap), (gap // 2, gap // 2)]
    crops = [Crop(t, l, size, m) for m in (False, True) for t, l in places]
    return np.array([[crop.of(image) for crop in crops] for image in images])


# %% average_prediction
def average_prediction(views, predict):
    return np.vstack([np.mean(predict(own), 0) for own in views])
