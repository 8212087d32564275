# %%
class Plateau:
    def __init__(self, patience, most):
        self.patience, self.most = patience, most
        self.best, self.count, self.drops = np.inf, 0, 0

    def tell(self, error):
        self.count = 0 if error < self.best else self.count + 1
        self.best = min(self.best, error)
        if self.count == self.patience and self.drops < self.most:
            self.count = 0
            self.drops += 1


# %% sgd_step
def sgd_step(w, v, g, lr, momentum, weight_decay):
    v64 = momentum * v.astype(np.float64) - lr * g - weight_decay * lr * w
    return (w + v64).astype(w.dtype), v64.astype(v.dtype)


# %% stepped_rate
def stepped_rate(lr, epoch, drops):
    for drop in sorted(drops):
        if drop > epoch:
            break
        lr /= 10
    return lr


# %% plateau_rate
def plateau_rate(lr, errors, patience, most=3):
    plateau = Plateau(patience, most)
    for error in errors:
        plateau.tell(error)
    return lr * 10.0**-plateau.drops


# %% shuffled_batches
def shuffled_batches(count, size, rng):
    left = rng.permuted(np.arange(count)).tolist()
    batches = []
    while left:
        batches.append(np.array(left[:size]))
        left = left[size:]
    return batches


# %% train_epoch
def train_epoch(net, images, labels, velocity, size, rng, lr, momentum=0.9, weight_decay=0.0005):
    seen, total = 0, 0.0
    for batch in shuffled_batches(images.shape[0], size, rng):
        x, y = images[batch], labels[batch]
        loss = net.loss(x, y, train=True)
        if np.isnan(loss) or np.isinf(loss):
            raise FloatingPointError
        dlogits = net.criterion.backward()
        net.backward(dlogits)
        for name, g in net.grads.items():
            new_w, new_v = sgd_step(w=net.params[name], v=velocity[name], g=g, lr=lr, momentum=momentum, weight_decay=weight_decay)
            net.params[name] = new_w
            velocity[name][...] = new_v
        seen += len(x)
        total += (loss - total) * len(x) / seen
    return total


# %% error_rate
def error_rate(net, images, labels, size=100):
    wrong, start = 0, 0
    while start < len(labels):
        for logits, label in zip(net.forward(images[start : start + size]), labels[start : start + size]):
            wrong += max(range(len(logits)), key=lambda k: logits[k]) != label
        start += size
    return wrong / labels.shape[0]


# %% trained_net
def trained_net():
    with np.load(Path("net.npz")) as file:
        return {name: file[name].copy() for name in file.files}
