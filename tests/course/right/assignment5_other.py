# %%
# written into copies, from lists of rates, by array_split, with the update in place.
from pathlib import Path


# %% sgd_step
def sgd_step(w, v, g, lr, momentum, weight_decay):
    new = v.copy()
    new *= momentum
    new -= lr * (weight_decay * w + g)
    return new + w, new


# %% stepped_rate
def stepped_rate(lr, epoch, drops):
    for drop in drops:
        if drop < epoch + 1:
            lr = lr * 0.1
    return lr


# %% plateau_rate
def plateau_rate(lr, errors, patience, most=3):
    last, left = 0, most
    for n in range(1, len(errors)):
        if errors[n] < min(errors[:n]):
            last = n
        elif n - last == patience and left:
            last, left, lr = n, left - 1, lr / 10
    return lr


# %% shuffled_batches
def shuffled_batches(count, size, rng):
    order = np.arange(count)
    rng.shuffle(order)
    return np.split(order, np.arange(size, count, size))


# %% train_epoch
def train_epoch(net, images, labels, velocity, size, rng, lr, momentum=0.9, weight_decay=0.0005):
    losses = np.zeros(len(images))
    for batch in shuffled_batches(len(images), size, rng):
        losses[batch] = net.loss(images[batch], labels[batch], train=True)
        if np.isnan(losses[batch[0]]) or np.isinf(losses[batch[0]]):
            raise FloatingPointError("not finite")
        dlogits = net.criterion.backward()
        net.backward(dlogits)
        for name, w in net.params.items():
            w[...], velocity[name][...] = sgd_step(w, velocity[name], net.grads[name], lr, momentum, weight_decay)
    return losses.mean()


# %% error_rate
def error_rate(net, images, labels, size=100):
    parts = np.split(images, range(size, len(images), size))
    said = np.concatenate([np.argmax(net.forward(part, train=False), axis=1) for part in parts])
    return np.mean(said != labels)


# %% trained_net
def trained_net():
    return np.load(Path.cwd() / "net.npz")
