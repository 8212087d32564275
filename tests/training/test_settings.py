"""The settings of a run: where they come from, and which make no sense."""

import math
import re
from dataclasses import replace

import pytest

from runs import TINY, settings
from tinyalex import AlexNet, spec
from tinyalex.errors import CheckpointError, UsageError
from tinyalex.training.settings import saved_settings, settings_for
from tinyalex.weights.checkpoint import Checkpoint


@pytest.fixture(autouse=True)
def _tiny(monkeypatch):
    monkeypatch.setitem(spec.VARIANTS, "tiny", TINY)


def test_settings_come_from_the_recipe():
    paper = settings_for("paper")
    assert (paper.epochs, paper.batch, paper.lr, paper.momentum, paper.weight_decay) == (90, 128, 0.01, 0.9, 0.0005)
    assert (paper.drops, paper.input_size, paper.stored_size, paper.dropout) == ((24, 50, 78), 224, 256, 0.5)
    assert settings_for("paper", epochs=10).drops == (3, 6, 9)
    assert settings_for("paper", epochs=10, drops=(4,)).drops == (4,)
    assert settings_for("paper", epochs=1).drops == (1, 1, 1)  # a short run begins at the full rate too
    mini = settings_for("mini", lr=0.5)
    assert (mini.lr, mini.input_size, mini.stored_size, mini.data) == (0.5, 32, 36, "shapes")


@pytest.mark.parametrize(
    "given",
    [
        *({key: 0} for key in ("epochs", "batch", "patience", "validate_every", "save_every", "input_size", "limit")),
        {"epochs": -3},
        {"seed": -1},
        *({key: -0.5} for key in ("lr", "momentum", "weight_decay", "dropout")),
        *({key: math.inf} for key in ("lr", "momentum", "weight_decay", "save_minutes")),
        {"dropout": 1.0},
        {"momentum": math.nan},
        {"drops": (0, 2)},
        {"drops": (3, -1)},
        {"schedule": "cosine"},
        *({"zoom": share} for share in (0.0, 1.5, math.nan)),
    ],
    ids=str,
)
def test_settings_that_make_no_sense(given):
    (name, value), *_ = given.items()
    with pytest.raises(UsageError, match=f"^got {name}.*{re.escape(str(value))}.*expected"):
        settings(**given)


@pytest.mark.parametrize("key", ["epochs", "batch", "patience", "save_every", "limit", "workers"])
def test_counts_have_a_limit(key):
    """The message is short, however long the number is."""
    for value, shown in ((10**9 + 1, "1000000001"), (10**23, f"{10**23}"), (10**4000, f"1{'0' * 39}...")):
        with pytest.raises(UsageError, match=f"^got {key}={re.escape(shown)}: expected 1,000,000,000 or less$"):
            settings(**{"drops": (1,), key: value})


def test_unknown_variant():
    with pytest.raises(UsageError, match="got the variant 'vgg': expected one of paper, "):
        settings_for("vgg")
    with pytest.raises(UsageError, match="got the variant 'vgg': expected one of paper, "):
        settings(initial="vgg")


def test_a_net_alone_is_no_run():
    with pytest.raises(CheckpointError, match="got a checkpoint of a net alone: expected one of a training run"):
        saved_settings(Checkpoint(AlexNet(replace(TINY), num_classes=4)))
