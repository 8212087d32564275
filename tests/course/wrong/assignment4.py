"""More mistakes in assignment 4."""

from course.mistakes import Mistake

MISTAKES = [
    Mistake(
        "square",
        "rounded up",
        "round(H * size / shorter), round(W * size / shorter)",
        "-(-H * size // shorter), -(-W * size // shorter)",
        "",
    ),
    Mistake(
        "square",
        "half a pixel too far right",
        "(height - size) // 2, (width - size) // 2",
        "(height - size + 1) // 2, (width - size + 1) // 2",
        "too far right",
    ),
    Mistake("square", "the longer side scaled to size", "shorter = min(H, W)", "shorter = max(H, W)", ""),
    Mistake("square", "width first", "resize(image, height, width)", "resize(image, width, height)", ""),
    Mistake(
        "random_views", "a quarter mirrored", "rng.random() < 0.5", "rng.random() < 0.25", "% of the views are mirrored"
    ),
    Mistake(
        "random_views",
        "not with rng",
        "rng.integers(0, S - size, 2, endpoint=True)",
        "np.random.default_rng().integers(0, S - size, 2, endpoint=True)",
        "the same seed",
    ),
    Mistake(
        "random_views",
        "the middle preferred",
        "rng.integers(0, S - size, 2, endpoint=True)",
        "rng.integers(0, S - size, (2, 2), endpoint=True).sum(axis=0) // 2",
        "a view came",
    ),
    Mistake("random_views", "mirrored by the place", "rng.random() < 0.5", "top > (S - size) / 2", ""),
    Mistake("statistics", "divided by M - 1", "/ len(pixels)", "/ (len(pixels) - 1)", "M - 1"),
    Mistake("statistics", "not divided by 255", "/ 255", "/ 1", "divide the colours by 255"),
    Mistake(
        "statistics",
        "standard deviations",
        "return mean, eigenvalues[::-1]",
        "return mean, np.sqrt(eigenvalues[::-1])",
        "square roots",
    ),
    Mistake("statistics", "mean of 0 to 1", "mean = images.mean(axis=0)", "mean = images.mean(axis=0) / 255", ""),
    Mistake("net_input", "divided by 255", "(images - mean)", "((images - mean) / 255)", ""),
    Mistake("net_input", "float64", ".astype(np.float32)", "", "is float64"),
    Mistake("net_input", "blue first", "(images - mean)", "(images - mean)[..., ::-1]", "reversed along colour"),
    Mistake("net_input", "mean forgotten", "(images - mean)", "images", ""),
    Mistake("colour_noise", "0.1 as the variance", "rng.normal(0, 0.1,", "rng.normal(0, 0.1**0.5,", "variance"),
    Mistake(
        "colour_noise",
        "clipped",
        "return images + noise[:, None, None, :].astype(images.dtype)",
        "return np.clip(images + noise[:, None, None, :], 0, 255).astype(images.dtype)",
        "clipped",
    ),
    Mistake(
        "colour_noise", "uniform", "rng.normal(0, 0.1,", "rng.uniform(-0.1 * 3**0.5, 0.1 * 3**0.5,", "is alpha normal"
    ),
    Mistake("colour_noise", "one alpha", "(len(images), 3))", "(len(images), 1))", "draw three"),
    Mistake("colour_noise", "colours from 0 to 1", "255 * (alpha", "(alpha", "the factor 255 is missing"),
    Mistake(
        "ten_crops",
        "each view beside its mirror image",
        "np.concatenate([views, views[:, :, :, ::-1]], axis=1)",
        "np.stack([views, views[:, :, :, ::-1]], axis=2).reshape(len(images), 10, size, size, 3)",
        "",
    ),
    Mistake("ten_crops", "centre rounded up", "far // 2", "(far + 1) // 2", "one pixel too late"),
    Mistake(
        "ten_crops",
        "bottom first",
        "[(0, 0), (0, far), (far, 0), (far, far)",
        "[(far, 0), (far, far), (0, 0), (0, far)",
        "",
    ),
    Mistake("average_prediction", "the largest", ".mean(axis=1)", ".max(axis=1)", ""),
    Mistake(
        "average_prediction",
        "the median",
        "predictions.reshape(N, V, -1).mean(axis=1)",
        "np.median(predictions.reshape(N, V, -1), axis=1)",
        "",
    ),
    Mistake(
        "average_prediction",
        "geometric mean",
        "predictions.reshape(N, V, -1).mean(axis=1)",
        "np.exp(np.log(predictions).reshape(N, V, -1).mean(axis=1))",
        "",
    ),
    Mistake(
        "random_views",
        "a view for two images",
        "        top, left = rng.integers(0, S - size, 2, endpoint=True)\n"
        "        view = images[n, top : top + size, left : left + size]\n"
        "        views[n] = view[:, ::-1] if rng.random() < 0.5 else view",
        "        if n % 2 == 0:\n"
        "            (top, left), mirror = rng.integers(0, S - size, 2, endpoint=True), rng.random() < 0.5\n"
        "        view = images[n, top : top + size, left : left + size]\n"
        "        views[n] = view[:, ::-1] if mirror else view",
        "1 image away",
    ),
    Mistake(
        "random_views",
        "a place for two images",
        "        top, left = rng",
        "        if n % 2 == 0:\n            top, left = rng",
        "1 image away",
    ),
    Mistake("random_views", "every second mirrored", "rng.random() < 0.5", "n % 2 == 0", "away"),
    Mistake(
        "random_views",
        "rows in turns",
        "top, left = rng.integers(0, S - size, 2, endpoint=True)",
        "top, left = n % (S - size + 1), rng.integers(0, S - size, endpoint=True)",
        "away",
    ),
    Mistake(
        "colour_noise",
        "a colour for two images",
        "rng.normal(0, 0.1, (len(images), 3))",
        "rng.normal(0, 0.1, (len(images), 3)).repeat(2, axis=0)[: len(images)]",
        "1 image away",
    ),
    Mistake(
        "colour_noise",
        "a sum of zero over the batch",
        "alpha = rng.normal(0, 0.1, (len(images), 3))",
        "alpha = rng.normal(0, 0.1, (len(images), 3))\n    alpha -= alpha.mean(axis=0)",
        "",
    ),
    Mistake(
        "colour_noise",
        "triangular",
        "rng.normal(0, 0.1,",
        "rng.triangular(-0.06**0.5, 0, 0.06**0.5,",
        "is alpha normal",
    ),
    Mistake("colour_noise", "Laplace", "rng.normal(0, 0.1,", "rng.laplace(0, 0.005**0.5,", "is alpha normal"),
    Mistake("random_views", "a remainder for the difference", "S - size", "S % size", ""),
    Mistake(
        "square",
        "only the height rounded down",
        "round(H * size / shorter)",
        "H * size // shorter",
        "rounded down",
    ),
    Mistake(
        "colour_noise",
        "alpha cut off",
        "rng.normal(0, 0.1, (len(images), 3))",
        "np.clip(rng.normal(0, 0.1, (len(images), 3)), -0.25, 0.25)",
        "is alpha normal",
    ),
]
