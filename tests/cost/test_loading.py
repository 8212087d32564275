"""The measurement of the loader: what it times, and what its command prints."""

import re

import numpy as np
import pytest

from runs import carried_out, images, write_folder
from tinyalex.cost import loading as measurement
from tinyalex.cost.loading import loading
from tinyalex.errors import UsageError


class Noted:
    """Opens data sets, and notes what is read of each."""

    def __init__(self, number):
        self.number, self.reads = number, []

    def __call__(self):
        dataset, read = images(self.number), []
        whole = dataset.read
        dataset.read = lambda indices: read.extend(indices.tolist()) or whole(indices)
        self.reads.append(read)
        return dataset


def test_every_pass_opens_the_images_and_reads_each_of_them_once():
    noted = Noted(20)
    found = loading(noted, 12, 5, workers=2, passes=3)
    assert found.images == 20
    assert [sorted(read) for read in noted.reads] == [list(range(20))] * 3
    assert len({tuple(read) for read in noted.reads}) == 3  # each in an order of its own


def test_a_pass_over_many_images_ends_early(monkeypatch):
    monkeypatch.setattr(measurement, "IMAGES", 12)
    noted = Noted(20)
    assert loading(noted, 12, 4, passes=1).images == 12
    assert len(set(noted.reads[0])) == 12


def test_rates_are_images_by_seconds(monkeypatch):
    """On a clock that the test reads out: passes of 1, 4 and 2 seconds."""
    times = iter([0.0, 1.0, 10.0, 14.0, 20.0, 22.0])
    monkeypatch.setattr(measurement.time, "perf_counter", lambda: next(times))
    monkeypatch.setattr(measurement, "batches", lambda *_, **__: iter([(None, np.zeros(8)), (None, np.zeros(8))]))
    found = loading(Noted(16), 12, 8)
    assert (found.images, found.images_per_s, found.median_images_per_s) == (16, 16.0, 8.0)


@pytest.mark.parametrize(
    ("given", "message"),
    [({"passes": 0}, "got passes=0: expected 1 or more"), ({"workers": 0}, "got workers=0: expected 1 or more")],
)
def test_mistakes_are_named(given, message):
    with pytest.raises(UsageError, match=message):
        loading(Noted(4), 12, 4, **given)


def test_the_command(tmp_path, capsys):
    folder = write_folder(tmp_path)
    code, out, err = carried_out(capsys, f"loader --data '{folder}' --variant mini --batch 4 --workers 2 --passes 2")
    assert (code, err) == (0, "")
    assert re.fullmatch(
        re.escape(f"{folder}, ") + r"\d+ images, batch 4, workers 2: [0-9,.]+ images of 32 x 32 a second "
        r"\(median of 2 passes; the best [0-9,.]+\)\n",
        out,
    )
