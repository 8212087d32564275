"""More mistakes in assignment 6."""

from course.mistakes import Mistake

MISTAKES = [
    Mistake(
        "split_layer",
        "second half first",
        "return [(w[:half].copy(), b[:half].copy()), (w[half:].copy(), b[half:].copy())]",
        "return [(w[half:].copy(), b[half:].copy()), (w[:half].copy(), b[:half].copy())]",
        "",
    ),
    Mistake("split_layer", "bias shared", "b[half:].copy())]", "b[:half].copy())]", ""),
    Mistake("widen", "only the first half of the kernels", "    wide[OC // 2 :, half:] = w[OC // 2 :]\n", "", ""),
    Mistake("widen", "ones for zeros", "np.zeros((OC", "np.ones((OC", ""),
    Mistake(
        "all_gather",
        "maps in turns",
        "return [np.concatenate([halves[0], from_1], axis=1), ",
        "return [np.stack([halves[0], from_1], axis=2).reshape(len(from_1), -1, *from_1.shape[2:]), ",
        "",
    ),
    Mistake(
        "all_gather",
        "own half twice",
        "np.concatenate([from_0, halves[1]], axis=1)]",
        "np.concatenate([halves[1], halves[1]], axis=1)]",
        "",
    ),
    Mistake(
        "all_gather",
        "sent twice",
        "from_1 = link.send(halves[1], to=0)",
        "link.send(halves[1], to=0)\n    from_1 = link.send(halves[1], to=0)",
        "once",
    ),
    Mistake(
        "reduce_scatter", "subtracted", "wholes[0][:, :half] + from_1", "wholes[0][:, :half] - from_1", "the difference"
    ),
    Mistake(
        "reduce_scatter", "the larger", "wholes[0][:, :half] + from_1", "np.maximum(wholes[0][:, :half], from_1)", ""
    ),
    Mistake(
        "reduce_scatter",
        "halves swapped",
        "return [wholes[0][:, :half] + from_1, wholes[1][:, half:] + from_0]",
        "return [wholes[1][:, half:] + from_0, wholes[0][:, :half] + from_1]",
        "the other column",
    ),
    Mistake("forward", "no pad", "layer.stride, layer.pad)", "layer.stride, (0, 0))", ""),
    Mistake(
        "forward",
        "no bias",
        "*params[layer.name], layer",
        "params[layer.name][0], 0 * params[layer.name][1], layer",
        "",
    ),
    Mistake(
        "forward",
        "kept before the ReLU",
        "                y = np.maximum(y, 0)\n            ys.append(y)",
        "                ys.append(y)\n                continue\n            ys.append(y)",
        "",
    ),
    Mistake("forward", "input kept after the exchange only", "kept.append((xs, ys))", "kept.append((ys, ys))", ""),
    Mistake(
        "crossing", "one direction", "crossed[row.name] = 2 * numbers", "crossed[row.name] = numbers", "half of it"
    ),
    Mistake("crossing", "four times", "2 * numbers * itemsize", "4 * numbers * itemsize", "twice as much"),
    Mistake("crossing", "maps only", "int(np.prod(row.in_shape))", "row.in_shape[0]", ""),
    Mistake(
        "crossing",
        "names left out",
        "        crossed[row.name]",
        "        if numbers:\n            crossed[row.name]",
        "expected all layers",
    ),
    Mistake(
        "data_parallel",
        "what one device sends",
        "return 2 * (devices - 1)",
        "return 2 * (devices - 1) / devices",
        "all devices together",
    ),
    Mistake("data_parallel", "biases of every weight", "+ row.kernel[0]", "* 2", ""),
    Mistake("data_parallel", "one step", "return 2 * (devices - 1)", "return (devices - 1)", "half of it"),
]
