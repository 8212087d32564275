"""The images of a run, and the smallest image that a net can read."""

from tinyalex import spec as nets
from tinyalex.data import Dataset, open_data
from tinyalex.training.settings import Settings


def images_of(settings: Settings) -> tuple[Dataset, Dataset]:
    """The training and the validation images of a run, in the size that crops are taken from."""
    smallest = first_kernel(nets.variant(settings.variant))
    return open_data(settings.data, size=settings.stored_size, seed=0, smallest=smallest)


def first_kernel(spec: nets.Spec) -> int:
    """Height and width in pixels of conv1's kernels: an image must be at least as large."""
    first = spec.layers["conv1"]
    assert isinstance(first, nets.Conv)
    return first.size
