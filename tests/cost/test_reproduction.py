"""What a whole run on ILSVRC-2012 takes, against arithmetic by hand and a checkpoint that is there."""

import pytest

from runs import carried_out
from tinyalex import AlexNet
from tinyalex.cost.reproduction import duration, on_disk
from tinyalex.cost.scaling import StepCost
from tinyalex.count import count
from tinyalex.spec import MINI, PAPER
from tinyalex.weights.checkpoint import Checkpoint, write


def test_days_by_hand():
    """1,281,167 images are 10,009 batches of 128, of 2 s each with its update; a forward pass takes half a second."""
    step = StepCost("data", 1, 128, compute=1.5, update=0.5, exchange=0.0, waiting=0.0, sent=0.0)
    found = duration(step, epochs=90)
    assert found.steps == 900_810
    assert found.training == 1_801_620.0
    assert found.validation == pytest.approx(90 * 50_000 / 128 * 0.5)
    assert found.days == pytest.approx((1_801_620 + 17_578.125) / 86_400)


def test_devices_that_share_a_step_share_the_validation():
    one, two = (StepCost("data", K, 64 * K, 1.0, 0.0, 0.0, 0.0, 0.0) for K in (1, 2))
    assert duration(two, 1).validation == pytest.approx(duration(one, 1).validation / 2)


def test_the_disk():
    found = on_disk(PAPER, count(PAPER))
    assert found["prepared, raw"] == 1_331_167 * 256 * 256 * 3
    assert found["as distributed"] == pytest.approx(154.6e9, rel=1e-3)
    assert on_disk(MINI, count(MINI))["prepared, raw"] == 1_331_167 * 36 * 36 * 3


def test_the_checkpoints(tmp_path):
    """Three of a run, each with parameters and velocity."""
    net = AlexNet("mini", num_classes=10)
    write(Checkpoint(net, velocity=net.params), tmp_path / "checkpoint.npz")
    size = (tmp_path / "checkpoint.npz").stat().st_size
    assert on_disk(MINI, net.rows)["checkpoints"] == pytest.approx(3 * size, rel=0.01)


def test_the_command(capsys, tmp_path):
    words = f"plan --reproduce --variant paper --rate 100 --batch 100 --devices 1,2 --out {tmp_path}"
    code, out, _ = carried_out(capsys, words)
    assert code == 0
    after = out.partition("ILSVRC-2012: 1,281,167 training images, 50,000 for validation; 90 epochs of paper\n")[2]
    one = next(line.split() for line in after.splitlines() if line.startswith("1 "))
    days = 90 * (12_811 * 100 + 50_000 / 3) / 100 / 86_400
    assert one == ["1", "data", "100", "100.0", "1,152,990", f"{days:.2f}"]
    assert "in memory: 1.3 GB on one device\n" in after
    assert "261.7 GB prepared, raw" in after
    assert "ILSVRC" not in carried_out(capsys, f"plan --rate 100 --devices 1 --out {tmp_path}")[1]
