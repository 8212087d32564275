"""Mistakes that the checks of the tutorials must find, by tutorial and task.

Each is a piece of the answer, another piece, and where it matters what the check must say.
"""

MISTAKES = {
    "01": {
        1: [("axis=1, keepdims=True", ""), ("axis=1, keepdims", "axis=0, keepdims"), ("np.exp(logits)", "logits")],
        2: [("1 - (", "("), ("[:, -k:]", "[:, :k]"), ("-k:", "-k - 1:"), (".any(axis=1)", ".all(axis=1)")],
        3: [("-np.log", "np.log"), (".mean()", ".sum()"), ("np.log", "np.log2"), ("np.arange(len(labels))", "0")],
    },
    "02": {
        1: [
            ("height - size + 1", "height - size"),
            ("ravel()", "T.ravel()"),
            ("width - size + 1", "height - size + 1"),
        ],
        2: [("1 + (", "("), ("2 * pad", "pad"), ("// stride", "/ stride"), ("- kernel) //", ") //")],
        3: [
            ("+= dpatches", "= dpatches"),
            ("oh * across + ow", "ow * across + oh"),
            (".reshape(size, size)", ".reshape(size, size).T"),
        ],
    },
    "03": {
        1: [("1 - y**2", "1 - y"), ("y > 0", "dy > 0"), ("y > 0", "y >= 0"), ("dy * (y", "(y")],
        2: [("np.ceil(", "("), ("np.ceil", "1 + np.ceil"), (" - 0.5", ""), ("0.05 / ", "1 / ")],
        3: [(".all(axis=0)", ".any(axis=0)"), (".all(axis=0)", ""), ("axis=0", "axis=1"), (".sum()", ".mean()")],
    },
    "04": {
        1: [
            ("max(0, first)", "first"),
            ("first + size", "first + size + 1"),
            ("(window**2).sum()", "window.sum() ** 2"),
            ("(k + alpha * (", "(k + alpha / size * ("),
            ("** beta", "* beta"),
        ],
        2: [("<= j <", "< j <="), ("- size // 2 <=", "- (size - 1) // 2 <="), ("range(maps)", "range(1, maps)")],
        3: [
            ("da[j] -=", "da[c] -="),
            ("-=", "+="),
            ("2 * alpha", "alpha"),
            ("db[c] * b[c]", "db[c]"),
            ("/ s[c]", "/ s[j]"),
            ("da = db * s**-beta", "da = db * s**beta"),
        ],
    },
    "05": {
        1: [
            (".max()", ".max(initial=0)"),
            ("(W - z)", "(H - z)"),
            ("s * oh :", "z * oh :"),
            ("1 + (H - z)", "(H - z)"),
        ],
        2: [
            ("+= dy", "= dy"),
            ("window.argmax()", "z * z - 1 - window.ravel()[::-1].argmax()"),
            ("s * oh + i", "z * oh + i"),
        ],
        3: [("% s > 0", "% s == 0"), ("size - z", "size"), ("% s", "% z")],
    },
    "06": {
        1: [
            ("1 + int(", "int("),
            ("np.ceil(", "np.floor(", "224 rows: conv1 does not make 54"),
            ("conv2 = pool1", "conv2 = pool1 - 4"),
            ("pool2 = places(conv2, 3, 2)", "pool2 = (conv2 - 1) // 2", "100 rows: pool2 does not make 5"),
            ('        "conv5": conv5,\n', "", "conv5 is missing"),
            ("places(image_rows, 11, 4)", "count(PAPER)[0].out_shape[1]", "calls tinyalex.count"),
        ],
        2: [
            ("seen(3, 256)", "128", "(3,) read both: conv3 does not have"),
            ("seen(4, 384)", "192", "(2, 4) read both: conv4 does not have"),
            ("seen(5, 384)", "192", "(3, 5) read both: conv5 does not have"),
            ("11 * 3) + 96", "11 * 3)", "but it has biases too"),
            ("1000 * 4096", "1000 * 9216"),
            ('        "fc7": 4096 * 4096 + 4096,\n', "", "fc7 is missing"),
            ("4096 * 9216 + 4096", "count(PAPER)[15].parameters", "calls tinyalex.count"),
        ],
        3: [("output[1:]", "output"), ("prod(kernel)", "prod(kernel[1:])"), (" * prod(output[1:])", "")],
    },
    "07": {
        1: [
            ("dy @ w", "dy @ w.T"),
            ("dy.T @ x", "(dy.T @ x).T"),
            (".sum(axis=0)", ".mean(axis=0)"),
            ("axis=0", "axis=1"),
        ],
        2: [
            ("-= 1", "+= 1"),
            (" / len(labels)", ""),
            ("np.arange(len(labels))", ":"),
            ("softmax(logits)", "np.exp(logits)"),
        ],
        3: [
            ("x > 0, dy, 0.1 * dy", "dy > 0, dy, 0.1 * dy"),
            ("0.1 * dy", "0"),
            ("x > 0, x, 0.1 * x", "x > 0, x, 0.01 * x"),
            ("dy, 0.1", "dy * x, 0.1"),
            ("np.where(x > 0, dy, 0.1 * dy)", "dy * np.where(x > 0, 1, 0.1)", "got dx in float64: expected float32"),
            ("np.where(x > 0, x, 0.1 * x)", "x * np.where(x > 0, 1, 0.1)", "got y in float64: expected float32"),
            ("np.where(x > 0, dy, 0.1 * dy)", "np.where(x > 0, 1, 0.1)", "gradient of x["),
        ],
    },
    "08": {
        1: [
            (">= p", "< p"),
            ("x.shape", "x.shape[1]"),
            ("rng.random(", "np.random.default_rng(0).random("),
            ("x * (", "x / (1 - p) * ("),
        ],
        2: [("dy * factor", "dy * mask"), ("/ (1 - p)", "/ p"), ("mask / (1 - p)", "mask"), ("dy * factor", "dy")],
        3: [
            ("(terms**2).sum()", "terms.sum() ** 2"),
            ("(1 - p) * terms", "p * terms"),
            ("p * (1 - p)", "(1 - p) ** 2"),
            ("terms**2", "w**2"),
        ],
    },
    "09": {
        1: [
            (" + 1, 2", "  , 2"),
            ("[:, ::-1]", "[::-1]"),
            ("< 0.5", "< 0.1"),
            (
                "top, left = rng.integers(0, len(image) - crop + 1, 2)",
                "top = left = rng.integers(0, len(image) - crop + 1)",
            ),
        ],
        2: [
            ("alpha * values", "alpha * np.sqrt(values)"),
            ("vectors @", "vectors.T @"),
            ("255 * ", ""),
            ("np.cov(pixels.T)", "pixels.T @ pixels / len(pixels)"),
        ],
        3: [
            ("[:, :, ::-1]", "[:, ::-1]"),
            ("last // 2", "len(image) // 2"),
            ("(0, last), (last, 0)", "(last, 0), (0, last)"),
            ("(last, last)", "(last - 1, last - 1)"),
        ],
    },
    "10": {
        1: [
            ("decay * lr * w", "decay * w"),
            ("- lr * g", "+ lr * g"),
            ("w + new, new", "w + v, new"),
            ("momentum * v", "v"),
        ],
        2: [("v * momentum /", "v /"), ("/ (1 - momentum)", "* (1 - momentum)"), ("v * momentum", "v * momentum**2")],
        3: [
            ("error < best", "error <= best"),
            ("            waited = 0\n    return", "    return"),
            ("start=1", "start=0"),
            ("        else:\n            waited", "        else:\n            best = error\n            waited"),
        ],
    },
    "11": {
        1: [
            (" ** 0.5", ""),
            ("(1 - error)", "1"),
            ("/ images) ** 0.5", ") ** 0.5 / images"),
            ("error * (1 - error)", "(1 - error)"),
        ],
        2: [
            ("[true, guess]", "[guess, true]"),
            (
                "    for true, guess in zip(labels, predicted, strict=True):\n        counts[true, guess] += 1",
                "    counts[labels, predicted] += 1",
            ),
            ("+= 1", "= 1"),
        ],
        3: [
            (" ** 2", ""),
            ("((rows - query) ** 2).sum(axis=1)", "-rows @ query"),
            ("(rows - query) ** 2", "abs(rows - query)"),
            ("np.argsort(squares)", "np.argsort(-squares)"),
            ("argsort(squares)", "argpartition(squares, k - 1)"),
        ],
    },
    "12": {
        1: [
            ("axis=1", "axis=0"),
            ("w[: K // 2]", "w[K // 2 :]"),
            ("[first, second]", "[second, first]"),
            ("x[:, C // 2 :]", "x[:, : C // 2]"),
        ],
        2: [
            ("changed < meeting", "changed <= meeting"),
            ("meeting <= n", "meeting < n"),
            ("any(", "all("),
            ("changed < meeting <= n", "meeting <= n"),
        ],
        3: [("return 2 * ", "return "), ("2 * images", "images**2"), (" * 4", ""), ("np.prod(shape)", "shape[0]")],
    },
    "13": {
        1: [
            ("r + i", "r"),
            ("j : j + places", "i : i + places"),
            ("w[:, i, j]", "w[:, j, i]"),
            ("x.shape[2] - 2", "x.shape[1] - 2"),
        ],
        2: [
            ("m2 - m3 - m4", "m2 - m3 + m4"),
            ("m1 + m2 + m3", "m1 + m2 - m3"),
            ("(d[2] - d[1])", "(d[1] - d[2])"),
            (
                "    return m1 + m2 + m3, m2 - m3 - m4",
                "    return d[0] * g[0] + d[1] * g[1] + d[2] * g[2], m2 - m3 - m4",
            ),
        ],
        3: [
            ("np.ceil", "np.floor"),
            ("(2 * parameters - 4 * ridge * numbers)", "(2 * parameters)"),
            ("4 * ridge * parameters", "ridge * parameters"),
            ("2 * parameters -", "parameters -"),
        ],
    },
    "14": {
        1: [
            ("w.mean(axis=1", "w.sum(axis=1"),
            ("w.mean(axis=1", "w.mean(axis=0"),
            ("w.mean(axis=1, keepdims=True)", "w[:, :1]"),
            ("w.mean(axis=1, keepdims=True)", "w.max(axis=1, keepdims=True)"),
        ],
        2: [
            ("[123, 117, 104]", "[104, 117, 123]"),
            ("[:, :, ::-1]", ""),
            (
                'picture.astype("float32") - np.array([123, 117, 104], "float32")',
                '(picture - np.array([123, 117, 104], "uint8")).astype("float32")',
            ),
            ("transpose(2, 0, 1)", "transpose(2, 1, 0)"),
        ],
        3: [
            ("1 : k + 1", ":k"),
            ("axis=1, keepdims", "axis=0, keepdims"),
            ("-likeness", "likeness"),
            (" / np.linalg.norm(rows, axis=1, keepdims=True)", ""),
        ],
    },
    "15": {
        1: [
            ("(x_val - mean)", "(x_val - x_val.mean(axis=0))"),
            (".sum(axis=1).mean()", ".mean()"),
            ("x.mean(axis=0)", "x.mean()"),
            ("np.sqrt(((x - mean) ** 2)", "np.sqrt(((x) ** 2)"),
        ],
        2: [
            ("p / len(x)", "p"),
            ("    p[np.arange(len(x)), labels] -= 1\n", ""),
            ("x @ w.T + b", "x @ w.T"),
            ("dlogits.sum(axis=0)", "dlogits.mean(axis=0)"),
        ],
        3: [("c - w @ mean", "c"), ("c - w", "c + w"), ("w @ mean", "u @ mean"), ("u / size", "u * size")],
    },
}
