# %%
from functools import reduce

losses = places = w = v = {}
rate = 3


def min(*_):
    raise RuntimeError("not Python's min")


# %% sgd_step
def sgd_step(w, v, g, lr, momentum, weight_decay):
    new_v = np.multiply(v, momentum)
    np.subtract(new_v, lr * (weight_decay * w + g), out=new_v)
    return np.add(w, new_v), new_v


# %% stepped_rate
def stepped_rate(lr, epoch, drops):
    return reduce(lambda rate, drop: rate * 0.1 if epoch >= drop else rate, drops, lr)


# %% plateau_rate
def plateau_rate(lr, errors, patience, most=3):
    def rest(errors, best, count, left):
        if not errors:
            return lr * 0.1 ** (most - left)
        error, *errors = errors
        if error < best:
            return rest(errors, error, 0, left)
        count += 1
        if count >= patience and left:
            return rest(errors, best, 0, left - 1)
        return rest(errors, best, count, left)

    return rest(list(errors), float("inf"), 0, most)


# %% shuffled_batches
def shuffled_batches(count, size, rng):
    numbers = np.arange(count)
    rng.shuffle(numbers)
    return np.array_split(numbers, range(size, count, size))


# %% train_epoch
def train_epoch(net, images, labels, velocity, size, rng, lr, momentum=0.9, weight_decay=0.0005):
    def one(batch):
        loss = net.loss(images[batch], labels[batch], train=True)
        if loss != loss or loss in (float("inf"), float("-inf")):
            raise FloatingPointError("diverged")
        net.backward(net.criterion.backward())
        for name in list(net.params):
            net.params[name], velocity[name] = sgd_step(
                net.params[name], velocity[name], net.grads[name], lr, momentum, weight_decay
            )
        return loss

    batches = shuffled_batches(len(images), size, rng)
    return float(np.average([one(batch) for batch in batches], weights=[len(batch) for batch in batches]))


# %% error_rate
def error_rate(net, images, labels, size=100):
    batches = np.array_split(np.arange(len(images)), range(size, len(images), size))
    guesses = np.concatenate([np.argsort(net.forward(images[b]), axis=1)[:, -1] for b in batches])
    return 1 - np.mean(guesses == labels)


# %% trained_net
def trained_net():
    return {name: array for name, array in np.load("net.npz").items()}
