"""The twins for CuPy's arrays against the definitions that a student reads, on the stand-in and on a GPU.

The stand-in runs the very source of the kernels on the processor, a thread of the grid at a time.
"""

import numpy as np
import pytest

from cases import assert_close, laid_out
from tinyalex.backend import to_device, to_numpy, use_kernels
from tinyalex.kernels import gpu as twins
from twins import DEFINITIONS, WINDOWS, calls, outcome


def moved(arguments, layout=None):
    """The arguments with their arrays on the GPU, in any order of memory."""
    return [
        to_device(laid_out(arg, layout) if layout and arg.ndim > 1 else arg, "cuda:0")
        if isinstance(arg, np.ndarray)
        else arg
        for arg in arguments
    ]


def twins_agree(dtype, *case, layout=None, **settings):
    for name, arguments in calls(dtype, *case, **settings):
        with use_kernels("reference"):
            expected = outcome(DEFINITIONS[name], arguments)
        on_gpu = moved(arguments, layout)
        found = getattr(twins, name)(*on_gpu)
        if found is None:
            found = [arg for arg in on_gpu if hasattr(arg, "get")]
        found = found if isinstance(found, tuple | list) else [found]
        for actual, right in zip(found, expected, strict=True):
            if right is None:
                assert actual is None
            else:
                assert actual.dtype == right.dtype, name
                assert_close(to_numpy(actual).astype(dtype), right)


pytestmark = pytest.mark.usefixtures("gpu")


@pytest.mark.parametrize("window", list(WINDOWS))
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_twins_agree_with_their_definitions(dtype, window):
    twins_agree(dtype, 4, *WINDOWS[window], groups=2)
