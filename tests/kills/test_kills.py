"""A few kills of small jobs; `make kills` does 50 of each. And that a difference is found."""

import itertools
import os
from dataclasses import replace

import pytest

from kills.jobs import GO_ON, JOBS, PREPARE, TRAIN, Job, all_files, parameters_and_losses
from kills.runner import Runner

pytestmark = pytest.mark.skipif(os.name == "nt", reason="Windows has no such signals")

TRAINING = Job(f"{TRAIN} --epochs 6 --save-every 1", parameters_and_losses, (16, 4, 32), GO_ON)
PREPARING = Job(f"{PREPARE} raw", all_files, (200, 40, 40))


def test_training_that_is_killed_ends_as_in_peace(tmp_path):
    found = Runner(tmp_path, TRAINING, moments="write").kill(2)
    assert found.failures == []
    assert found.kills == 2


def test_preparing_that_is_killed_ends_as_in_peace_and_a_difference_is_found(tmp_path):
    runner = Runner(tmp_path, PREPARING, moments="write")
    found = runner.kill(2)
    assert found.failures == []
    assert found.kills == 2
    numbers = itertools.count()
    runner.job = replace(PREPARING, result=lambda out: {**all_files(out), "count": next(numbers)})
    [failure] = runner.kill(1).failures
    assert failure.endswith("kills these are other than in peace: count")
    runner.job = replace(PREPARING, command="prepare nowhere {out}")
    [failure] = runner.kill(1).failures
    assert "it left with 2: tinyalex: got nowhere" in failure


def test_every_job_has_words(tmp_path):
    for job in JOBS.values():
        assert job.words(tmp_path / "run")[0] in ("train", "prepare")
        assert "run" in job.words(tmp_path / "run")
