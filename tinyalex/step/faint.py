"""A pass with hardly any gradient: the net is sure of the label, so there is nothing to learn from it."""

from tinyalex.backend import Array
from tinyalex.step.facts import number
from tinyalex.step.recording import Recording

FAINT = 1e-3  # of a logit's gradient, which is 1 at most


def largest_gradient(recording: Recording, image: int = 0) -> float:
    """The largest gradient of an image's own loss by its logits; a pass without labels has none.

    It is the probability that the net does not give to the label: 1 - p[label].
    """
    gradient: Array = recording["loss"].forward.dx[image]
    return float(abs(gradient).max()) * len(recording.x)  # the recorded loss is the mean over the images


def second_class(recording: Recording, image: int = 0) -> str:
    """The class with the largest logit but for the label."""
    assert recording.labels is not None
    order = (-recording["loss"].forward.x[image]).argsort()
    return str(recording.classes[next(k for k in order if k != recording.labels[image])])


def faintness(recording: Recording, image: int = 0) -> str:
    """What to say of a pass whose gradients are too small to be seen, and what to record instead; else ""."""
    if recording.labels is None or len(recording.classes) < 2:
        return ""
    largest = largest_gradient(recording, image)
    if not largest < FAINT:  # NaN is none either
        return ""
    label = recording.classes[int(recording.labels[image])]
    return (
        f"The net is sure of the label “{label}”: no logit has a gradient above {number(largest)}, so hardly anything "
        f"comes back. Record the pass with another label, such as “{second_class(recording, image)}”, or a picture "
        "that the net is not sure of."
    )
