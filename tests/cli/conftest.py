"""A folder with images and finished runs, for the commands that use them."""

import pytest

from runs import TINY, working_copy, write_folder
from tinyalex import cli, spec
from tinyalex.training import report


@pytest.fixture(scope="session")
def place(tmp_path_factory):
    """A folder with `images` and two runs of `tiny` on them, of other seeds: `a`, with its pictures, and `b`."""
    place = tmp_path_factory.mktemp("place")
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(spec.VARIANTS, "tiny", TINY)
        patch.chdir(place)
        write_folder(place / "images")
        words = "train --variant tiny --data images --epochs 2 --batch 12 --out"
        assert cli.main(f"{words} a".split()) == 0
        patch.setattr(report, "draw_pictures", lambda *_: [])
        assert cli.main(f"{words} b --seed 1".split()) == 0
    return place


@pytest.fixture
def here(place, tmp_path, monkeypatch):
    """A copy of that folder as the working folder, `tiny` among the variants, and no time spent on pictures."""
    return working_copy(place, tmp_path, monkeypatch)
