"""The command experiment: what it lists, refuses, keeps, and how it goes on."""

import json
import re

import pytest

from runs import carried_out, refused, slim
from tinyalex import spec
from tinyalex.experiments.catalogue import EXPERIMENTS
from tinyalex.spec import MINI


@pytest.fixture
def small(here, monkeypatch):
    """That folder, with a mini of 8 kernels in each layer."""
    monkeypatch.setitem(spec.VARIANTS, "mini", slim(MINI))
    return here


def test_the_list(capsys):
    code, out, _ = carried_out(capsys, "experiment --list")
    assert code == 0
    assert [line.split()[0] for line in out.splitlines()] == list(EXPERIMENTS)


@pytest.mark.usefixtures("small")
def test_what_is_refused(capsys):
    assert "got no experiment" in refused(capsys, "experiment")
    assert "got the experiment 'lnr'" in refused(capsys, "experiment lnr --data images")
    assert "got seeds=0" in refused(capsys, "experiment lrn --seeds 0")
    for hours in ("nan", "-1"):
        assert f"got hours={float(hours)}" in refused(capsys, f"experiment lrn --hours={hours}")


def test_a_command_that_is_refused_leaves_no_set_up(capsys, small):
    assert "got epochs=0" in refused(capsys, "experiment ten-crop --data images --out kept --epochs 0")
    assert not (small / "kept" / "setup.json").exists()


def test_a_quick_experiment_is_kept_and_goes_on(capsys, small):
    words = "experiment ten-crop --data images --quick --out kept"
    code, out, _ = carried_out(capsys, f"{words} --hours 0 --seeds 2")
    assert (code, out) == (0, "\nruns left: 2, of ten-crop; the same command goes on\n")
    code, out, _ = carried_out(capsys, words)
    assert code == 0
    assert re.search(r"ten-crop, central crop, seed 0: done; about 0:00:00 left\n", out)
    assert "ten crops against central crop: " in out
    assert "runs left" not in out
    kept = small / "kept"
    assert (kept / "ten-crop.png").stat().st_size > 1000
    assert len((kept / "runs.jsonl").read_text().splitlines()) == 1
    assert len(list((kept / "nets").iterdir())) == 1
    setup = json.loads((kept / "setup.json").read_text())
    assert (setup["data"], setup["train_images"], setup["val_images"], setup["epochs"]) == ("images", 36, 16, 2)
    code, again, _ = carried_out(capsys, words)
    assert code == 0
    assert "done" not in again
    assert again.strip() in out


def test_a_folder_of_another_set_up_is_refused(capsys, small):
    assert carried_out(capsys, "experiment ten-crop --data images --quick --out kept --hours 0")[0] == 0
    assert "got epochs=8: expected 2" in refused(capsys, "experiment ten-crop --data images --out kept")
    next((small / "images").rglob("*.png")).unlink()
    assert "got other images than kept began with" in refused(
        capsys, "experiment ten-crop --data images --quick --out kept"
    )
    (small / "kept" / "setup.json").write_text("{}")
    assert "expected the results of experiments" in refused(
        capsys, "experiment ten-crop --data images --quick --out kept"
    )
