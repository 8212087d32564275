"""What a drawn picture says, and a browser to look at the pages of steppers."""

import pytest

from browser import opened  # noqa: F401, the fixture


@pytest.fixture
def written():
    """A function that gives the texts of a figure: the caption's, then those of its axes."""

    def texts(figure):
        drawn = [*figure.texts, *(text for axes in figure.axes for text in axes.texts)]
        return [text.get_text() for text in drawn if text.get_text()]

    return texts
