"""What a drawn picture says."""

import pytest


@pytest.fixture
def written():
    """A function that gives the texts of a figure: the caption's, then those of its axes."""

    def texts(figure):
        drawn = [*figure.texts, *(text for axes in figure.axes for text in axes.texts)]
        return [text.get_text() for text in drawn if text.get_text()]

    return texts
