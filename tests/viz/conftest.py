"""Where things lie in a drawn figure."""

import itertools

import pytest


def _apart(a, b):
    return a.x1 <= b.x0 or b.x1 <= a.x0 or a.y1 <= b.y0 or b.y1 <= a.y0


@pytest.fixture
def check_layout():
    """A function that fails where artists overlap or reach out of the figure, and returns their boxes in dots."""

    def check(figure, artists):
        figure.draw_without_rendering()
        found = [artist.get_window_extent() for artist in artists]
        for a, b in itertools.combinations(found, 2):
            assert _apart(a, b)
        for box in found:
            assert min(box.x0, box.y0) >= 0
            assert box.x1 <= figure.bbox.width
            assert box.y1 <= figure.bbox.height
        return found

    return check
