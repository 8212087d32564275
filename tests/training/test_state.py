"""What a checkpoint says about its run: it comes back, and what no run wrote is one CheckpointError."""

import copy
import json
from dataclasses import replace

import pytest

from runs import TINY, images, started
from tinyalex import spec
from tinyalex.errors import CheckpointError
from tinyalex.training.loop import Training
from tinyalex.training.settings import saved_settings
from tinyalex.training.state import run_state
from tinyalex.weights.checkpoint import Checkpoint, read


@pytest.fixture(scope="module")
def saved(tmp_path_factory):
    """The checkpoint of a run after one of 3 epochs."""
    folder = tmp_path_factory.mktemp("state")
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(spec.VARIANTS, "tiny", TINY)
        started(folder, epochs=1, drops=(1, 2)).run()
    checkpoint = read(folder / "checkpoint.npz")
    checkpoint.training["settings"]["epochs"] = 3
    return checkpoint


@pytest.fixture(autouse=True)
def _tiny(monkeypatch):
    monkeypatch.setitem(spec.VARIANTS, "tiny", TINY)


def changed(saved, part, value):
    """The checkpoint with another value at `part`: "settings.lr", "history.0.epoch", ..."""
    training = copy.deepcopy(saved.training)
    *path, last = part.split(".")
    place = training
    for key in path:
        place = place[int(key) if isinstance(place, list) else key]
    place[int(last) if isinstance(place, list) else last] = value
    return Checkpoint(saved.net, saved.classes, saved.statistics, dict(saved.velocity), training)


def test_it_comes_back(saved, tmp_path):
    state = run_state(saved)
    assert json.loads(json.dumps(state.history)) == saved.training["history"]
    assert (state.settings.lr, state.settings.drops, state.position.epoch) == (0.05, (1, 2), 1)
    assert (state.images, state.fingerprint) == (36, images(36).fingerprint())
    training = Training.resume(saved, saved_settings(saved), images(36), images(20, seed=1), tmp_path)
    assert training.checkpoint.training["position"] == saved.training["position"]


WRONG = [
    *(("settings", value) for value in (7, [], {}, "x")),
    *(("settings.lr", value) for value in ("x", True, [], None, 10**400)),
    *(("settings.epochs", value) for value in ("3", 0, -1, 10**23, 2.0, None)),
    *(("settings.drops", value) for value in (1, ["x"], [0], None)),
    *(("settings.batch", value) for value in (-8, 10**12, "8", [8])),
    *(("settings.devices", value) for value in (0, [1], "cpu")),
    *(("settings.schedule", value) for value in ("cosine", 1, None)),
    ("settings.colours", 4),
    ("settings.input_size", 17),
    *(("position", value) for value in (None, [], "x", 3)),
    *(("position.step", value) for value in (10**12, "x", -1, 1.5, True, 1)),
    *(("position.epoch", value) for value in (-1, 0, 2, 10**12, None)),
    *(("position.images", value) for value in (8, -8, "x")),
    *(("position.seconds", value) for value in (-1.0, "x")),
    ("position.speed", 1),
    *(("history", value) for value in (None, {}, [None], [], [7])),
    *(("history.0", value) for value in ({}, None, {"epoch": 1})),
    *(("history.0.epoch", value) for value in (0, 2, "1")),
    *(("history.0.val_top1_error", value) for value in ("x", [], True)),
    *(("history.0.seconds", value) for value in (0, -1.0, "x")),
    *(("history.0.warnings", value) for value in ("x", [1], {"loss": 1})),
    *(("images", value) for value in ("36", -1, None, 10**23, 3.5)),
    *(("fingerprint", value) for value in (7, [])),
    ("colour", "blue"),
]


@pytest.mark.parametrize(("part", "value"), WRONG, ids=str)
def test_what_no_run_wrote(saved, tmp_path, part, value):
    """In one line that is not too long, whatever the value is."""
    checkpoint = changed(saved, part, value)
    with pytest.raises(CheckpointError) as raised:
        Training.resume(checkpoint, saved_settings(saved), images(36), images(20, seed=1), tmp_path)
    assert len(str(raised.value).splitlines()) == 1
    assert len(str(raised.value)) < 500


@pytest.mark.parametrize("part", ["settings", "position", "history", "images"])
def test_what_is_missing(saved, part):
    training = {key: value for key, value in saved.training.items() if key != part}
    with pytest.raises(CheckpointError, match=part if part != "settings" else "a net alone"):
        run_state(replace(saved, training=training))


@pytest.mark.parametrize("names", [[], ["conv1.w"]])
def test_a_run_without_velocity_is_none(saved, names):
    velocity = {name: saved.velocity[name] for name in names}
    with pytest.raises(CheckpointError, match="got a checkpoint without SGD's velocity: expected that of each"):
        run_state(replace(saved, velocity=velocity))
