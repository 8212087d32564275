"""The images of a run, in the size that it stores."""

from tinyalex import spec as nets
from tinyalex.data import Dataset, open_data
from tinyalex.spec import stored_size
from tinyalex.training.settings import Settings


def images_of(settings: Settings) -> tuple[Dataset, Dataset]:
    """The data of a run, in the size that it stores."""
    smallest = first_kernel(nets.variant(settings.variant))
    return open_data(settings.data, size=stored_size(settings.input_size), seed=0, smallest=smallest)


def first_kernel(spec: nets.Spec) -> int:
    """The size of the kernels of conv1, the least that an image may have."""
    first = spec.layers["conv1"]
    assert isinstance(first, nets.Conv)
    return first.size
