"""The words that figure, widget and page share, and how they count.

Words count from 1: the first of 32 maps is "map 1 of 32". Brackets count from 0, as in Python: its first number is
y[0, 0, 0].
"""

from tinyalex.viz import frame

WORDS = frame.WORDS | {
    "image": "what the cell sees",
    "field": "{} × {} pixels: rows {} to {}, columns {} to {}",
    "map": "map {} of {}",
    "kernel": "kernel {} of {}",
    "unit": "unit {} of {}",
    "units": "{} units",
    "window": "x in the window",
    "weights": "w, the weights",
    "windows": "dy of the windows",
    "products": "the products",
    "sum": "sum of {} products",
    "bias": "bias b",
    "squares": "x² of the maps in the window",
    "patches": "patches {} to {} of {}, a row each",
    "kernels": "kernels {} to {} of {}, a row each",
    "marked": "the marked rows, multiplied entry by entry",
    "logits": "logits x",
    "probabilities": "probabilities p",
    "gradient": "gradient dx",
    "loss": "L = −log p = {}",
}


def say(name: str, *values: int | str) -> str:
    """The words of that name, with values in their places."""
    return WORDS[name].format(*(f"{value:,}" if isinstance(value, int) else value for value in values))


def entry(array: str, *place: int) -> str:
    """One number of an array, as in Python: "y[3, 0, 4]"."""
    return f"{array}[{', '.join(map(str, place))}]"
