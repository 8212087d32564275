"""The commands to train with: the settings that `train` makes of its options."""

import shlex
from dataclasses import asdict, fields

import pytest

from tinyalex.cli.parser import parse
from tinyalex.cli.train import Train
from tinyalex.errors import UsageError
from tinyalex.training.settings import Settings, settings_for

EVERY_OPTION = """train --data d --variant paper --out o --resume r --input-size 64 --cross-columns 3,5 --epochs 7
    --batch 9 --lr 0.5 --momentum 0.6 --weight-decay 0.7 --dropout 0.8 --schedule plateau --patience 3
    --initial caffe --no-crops --no-reflections --colour off --zoom 0.3 --limit 11 --seed 12
    --save-every 13 --validate-every 14 --devices cuda:0,cpu --save-minutes 2.5 --check header --skip-bad --workers 4"""


@pytest.mark.parametrize("saved", [None, settings_for("mini")])
def test_every_option_of_a_run_is_one_of_its_settings(saved):
    command = parse(shlex.split(EVERY_OPTION))
    assert (str(command.resume), str(command.out)) == ("r", "o")
    assert asdict(command.settings(saved)) == {
        **{"data": "d", "variant": "paper", "input_size": 64, "cross_columns": (3, 5), "epochs": 7, "batch": 9},
        **{"lr": 0.5, "momentum": 0.6, "weight_decay": 0.7, "dropout": 0.8, "schedule": "plateau", "drops": (2, 4, 6)},
        **{"patience": 3, "initial": "caffe", "crops": False, "reflections": False, "colour": "off", "zoom": 0.3},
        **{"limit": 11, "seed": 12},
        **{"save_every": 13, "validate_every": 14, "devices": ("cuda:0", "cpu")},
        **{"save_minutes": 2.5, "check": "header", "skip_bad": True, "workers": 4},
    }


@pytest.mark.parametrize(
    ("words", "told"),
    [
        ("--patience 3", "got --patience, which has no effect with --schedule steps: expected plateau"),
        ("--patience 3 --schedule constant", "got --patience, which has no effect with --schedule constant"),
        ("--drops 3 --schedule constant", "got --drops, which has no effect with --schedule constant: expected steps"),
        ("--drops 3 --schedule linear", "got --drops, which has no effect with --schedule linear: expected steps"),
        ("--drops 3 --schedule plateau", "got --drops, which has no effect with --schedule plateau"),
    ],
)
@pytest.mark.parametrize("saved", [None, settings_for("mini")])
def test_options_without_an_effect(words, told, saved):
    with pytest.raises(UsageError, match=told):
        parse(["train", *words.split()]).settings(saved)


def test_a_schedule_that_was_saved_gives_options_their_effect():
    saved = settings_for("mini", schedule="plateau")
    assert parse(["train", "--patience", "3"]).settings(saved).patience == 3


def test_every_setting_is_an_option():
    assert {field.name for field in fields(Train)} == {field.name for field in fields(Settings)} | {
        *("out", "resume", "debug")
    }


def test_without_options_the_recipe_decides():
    assert parse(["train"]).settings() == settings_for("mini")
    assert parse(["train", "--variant", "paper"]).settings() == settings_for("paper")


def test_without_options_a_run_keeps_its_settings():
    saved = settings_for("paper", data="photos", epochs=9, drops=(5,), devices=("cpu:0", "cpu:1"), limit=7, crops=False)
    assert parse(["train"]).settings(saved) == saved
    assert parse(["train", "--lr", "0.5"]).settings(saved).drops == (5,)


def test_drops_that_were_given_stay_when_a_run_gets_more_epochs():
    saved = settings_for("mini", epochs=9, drops=(5,))
    assert parse(["train", "--epochs", "20"]).settings(saved).drops == (5,)


@pytest.mark.parametrize("saved", [None, settings_for("mini", epochs=9)])
def test_the_rates_fall_after_shares_of_the_epochs(saved):
    """40 % and 70 % of them, for `mini`; --drops sets them."""
    assert parse(["train", "--epochs", "20"]).settings(saved).drops == settings_for("mini", epochs=20).drops
    assert parse(["train", "--epochs", "20", "--drops", "3"]).settings(saved).drops == (3,)
    assert parse(["train", "--drops", ""]).settings(saved).drops == ()


@pytest.mark.parametrize(
    ("words", "resume"), [("", None), ("--resume", True), ("--resume run", "run"), ("--resume True", "True")]
)
def test_resume_with_and_without_a_folder(words, resume):
    found = parse(["train", *words.split()]).resume
    assert (found if found in (None, True) else str(found)) == resume
