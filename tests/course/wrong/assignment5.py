"""More mistakes in assignment 5."""

from course.mistakes import Mistake

MISTAKES = [
    Mistake(
        "sgd_step",
        "Nesterov",
        "return w + v, v",
        "return w + momentum * v - lr * (g + weight_decay * w), v",
        "Nesterov",
    ),
    Mistake("sgd_step", "gradient without the rate", "- lr * g", "- g", "not multiplied by the learning rate"),
    Mistake("sgd_step", "decay of w alone", "return w + v, v", "return (1 - weight_decay) * w + v, v", ""),
    Mistake("sgd_step", "in the other order", "return w + v, v", "return v, w + v", "the other order"),
    Mistake("stepped_rate", "halved", "10**passed", "2**passed", ""),
    Mistake("stepped_rate", "divided by 10 times the count", "10**passed", "max(1, 10 * passed)", "divide by 10 twice"),
    Mistake("stepped_rate", "only at the drop", "epoch >= drop", "epoch == drop", "must stay divided"),
    Mistake("stepped_rate", "one epoch early", "epoch >= drop", "epoch + 1 >= drop", "too early"),
    Mistake("plateau_rate", "one epoch late", "waited == patience and", "waited == patience + 1 and", "too late"),
    Mistake(
        "plateau_rate", "minimum reset", "            waited = 0\n", "            waited, best = 0, np.inf\n", "keep it"
    ),
    Mistake("plateau_rate", "count never starts again", "best, waited = error, 0", "best = error", "starts again"),
    Mistake(
        "shuffled_batches",
        "sorted in each batch",
        "order = rng.permutation(count)",
        "order = np.random.default_rng(0).permutation(count)",
        "",
    ),
    Mistake(
        "shuffled_batches",
        "batches shuffled",
        "return [order[start : start + size] for start in range(0, count, size)]",
        "starts = list(range(0, count - size, size))\n    rng.shuffle(starts)\n    starts.append(max(0, (count - 1) // size * size))\n    return [np.arange(start, min(start + size, count)) for start in starts]",
        "neighbouring images",
    ),
    Mistake(
        "shuffled_batches", "one too many in each", "order[start : start + size]", "order[start : start + size + 1]", ""
    ),
    Mistake(
        "shuffled_batches",
        "a list of lists",
        "order[start : start + size] for",
        "order[start : start + size].tolist() for",
        "a list of arrays",
    ),
    Mistake(
        "train_epoch",
        "loss of the last batch",
        "total += loss * len(batch)",
        "total = loss * len(images)",
        "the loss of the last batch",
    ),
    Mistake(
        "train_epoch",
        "weights only",
        "for name in net.params:",
        'for name in [one for one in net.params if one.endswith("w")]:',
        "",
    ),
    Mistake("train_epoch", "no weight decay", "lr, momentum, weight_decay)", "lr, momentum, 0.0)", ""),
    Mistake("train_epoch", "step before backward", "        net.backward(net.criterion.backward())\n", "", ""),
    Mistake("train_epoch", "not a number only", "if not np.isfinite(loss):", "if np.isnan(loss):", "a loss of inf"),
    Mistake("error_rate", "smallest logit", "logits.argmax(axis=1)", "logits.argmin(axis=1)", ""),
    Mistake("error_rate", "count", "wrong / len(images)", "wrong", "the number of wrong images"),
    Mistake(
        "error_rate", "in one batch", "images[start : start + size])", "images)[start : start + size]", "with size=3"
    ),
    Mistake(
        "trained_net", "mean of 0 to 1", "return dict(arrays)", 'return {**arrays, "mean": arrays["mean"] / 255}', ""
    ),
    Mistake(
        "trained_net",
        "first kernels forgotten",
        "return dict(arrays)",
        'return {**arrays, "conv1.w": 0 * arrays["conv1.w"]}',
        "",
    ),
    Mistake(
        "shuffled_batches",
        "reversed from a random place on",
        "order = rng.permutation(count)",
        "order = np.roll(np.arange(count)[::-1], rng.integers(count))",
        "the same step",
    ),
    Mistake(
        "shuffled_batches",
        "steps of seven from a random place on",
        "order = rng.permutation(count)",
        "step = next(one for one in (7, 11, 13, 17) if np.gcd(one, count) == 1)\n"
        "    order = (np.arange(count) * step + rng.integers(count)) % count",
        "the same step",
    ),
    Mistake(
        "shuffled_batches",
        "steps of a random size",
        "order = rng.permutation(count)",
        "step = rng.choice([one for one in range(1, count + 1) if np.gcd(one, count) == 1])\n"
        "    order = (np.arange(count) * step + rng.integers(count)) % count",
        "the same step",
    ),
    Mistake(
        "shuffled_batches",
        "shuffled in blocks and among them",
        "order = rng.permutation(count)",
        "blocks = [start + rng.permutation(min(20, count - start)) for start in range(0, count, 20)]\n"
        "    order = np.concatenate([blocks[one] for one in rng.permutation(len(blocks))])",
        "the same two images",
    ),
    Mistake(
        "shuffled_batches",
        "nearly sorted, from a random place on",
        "order = rng.permutation(count)",
        "order = np.roll(np.argsort(np.arange(count) + rng.uniform(0, 12, count)), rng.integers(count))",
        "the same two images",
    ),
    Mistake(
        "shuffled_batches",
        "the same batches in another order",
        "order = rng.permutation(count)",
        "fixed = np.random.default_rng(0).permutation(count)\n"
        "    whole = count - count % size\n"
        "    order = np.concatenate(\n"
        "        [rng.permuted(rng.permutation(fixed[:whole].reshape(-1, size)), axis=1).ravel(), fixed[whole:]]\n"
        "    )",
        "",
    ),
    Mistake(
        "shuffled_batches",
        "pairs that stay together",
        "order = rng.permutation(count)",
        "pairs = np.random.default_rng(0).permutation(count + count % 2).reshape(-1, 2)\n"
        "    order = rng.permuted(rng.permutation(pairs), axis=1).ravel()\n"
        "    order = order[order < count]",
        "the same two images",
    ),
    Mistake(
        "shuffled_batches",
        "swapped with any image, not with one that is left",
        "order = rng.permutation(count)",
        "order = np.arange(count)\n"
        "    for one in range(count):\n"
        "        other = rng.integers(count)\n"
        "        order[[one, other]] = order[[other, one]]",
        "all orders are equally likely",
    ),
    Mistake(
        "shuffled_batches",
        "never swapped with itself",
        "order = rng.permutation(count)",
        "order = np.arange(count)\n"
        "    for one in range(count - 1, 0, -1):\n"
        "        other = rng.integers(one)\n"
        "        order[[one, other]] = order[[other, one]]",
        "equally likely to be the first",
    ),
    Mistake(
        "shuffled_batches",
        "as many swaps as images",
        "order = rng.permutation(count)",
        "order = np.arange(count)\n"
        "    for _ in range(count):\n"
        "        one, other = rng.integers(count, size=2)\n"
        "        order[[one, other]] = order[[other, one]]",
        "",
    ),
]
