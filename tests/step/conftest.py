"""A small pass to look at, and a browser to look at its page."""

import pytest

from browser import opened  # noqa: F401, the fixture
from cases import small_net
from tinyalex import record

CLASSES = ("ring", "star", "heart")


@pytest.fixture(scope="session")
def small_pass():
    """mini, 16 x 16, one image in float64 with a label: its numbers can be added up again to many digits."""
    net, x, labels = small_net(dtype="float64", seed=3)
    return record(net, x[:1], labels[:1], classes=CLASSES)
