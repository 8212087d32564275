"""Settings and fixtures that all tests share."""

import numpy as np
import pytest
from hypothesis import HealthCheck, settings

from tinyalex.backend import use_kernels

# The same few examples on every run; compiling a kernel at first use may take a second, so there is no deadline.
settings.register_profile(
    "tinyalex",
    derandomize=True,
    deadline=None,
    max_examples=25,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
settings.load_profile("tinyalex")


@pytest.fixture(params=["reference", "numba"])
def kernels(request):
    """One test body over both: the definitions in array code, and their compiled twins."""
    with use_kernels(request.param):
        yield request.param


@pytest.fixture
def rng():
    return np.random.default_rng(2012)
