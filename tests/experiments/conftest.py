"""Labs so small that a run takes a moment."""

import pytest

from runs import TINY, images
from tinyalex import spec
from tinyalex.experiments.lab import Lab
from tinyalex.experiments.store import Setup, Store


@pytest.fixture
def make_lab(tmp_path, monkeypatch):
    """A function that opens the lab in a folder of this name: `tiny`, 36 images of four classes, one epoch."""
    monkeypatch.setitem(spec.VARIANTS, "tiny", TINY)

    def make(name="lab", **given):
        train, val = images(36), images(20, seed=1)
        setup = Setup("patterns", train.fingerprint(), 36, 20, 16, 1, "tiny")
        store = Store(tmp_path / name)
        if store.setup is None:
            store.begin(setup)
        return Lab(store, setup.base(), train, val, **given)

    return make
