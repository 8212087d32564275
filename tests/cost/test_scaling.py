"""The cost model: against arithmetic by hand, and for sense on 1 to 64 devices."""

import math
from dataclasses import replace

import pytest

from runs import carried_out, refused
from tinyalex.cost import pictures
from tinyalex.cost import scaling as plan
from tinyalex.cost.scaling import Machine, StepCost
from tinyalex.count import count
from tinyalex.errors import DataError, UsageError
from tinyalex.spec import Conv, Spec, variant

PAPER = count(variant("paper"))
P = 60_965_224

# By hand, for images of 3 x 4 x 4: conv1 has 4*3 + 4 parameters and 192 multiply-adds, conv2 4*4 + 4 and 256.
SMALL = count(Spec("small", {"conv1": Conv(4, 1), "conv2": Conv(4, 1)}, input_size=4, columns=1), cross_columns=())
SLOW = Machine(rate=10.0, update=0.5, bandwidth=1000.0, latency=0.25, overlap=False)


def by_scheme(machine, images, devices):
    return {step.scheme: step for step in plan.steps(PAPER, machine, images, devices)}


# ---------------------------------------------------------------- by hand


def test_rings():
    """4 devices, 800 bytes: 3 messages of 200 bytes each to gather, and 3 more to add up before that."""
    assert SLOW.gather(800, 4) == pytest.approx(3 * (0.25 + 0.2))
    assert SLOW.sum(800, 4) == pytest.approx(6 * (0.25 + 0.2))
    assert SLOW.gather(800, 1) == SLOW.sum(800, 1) == 0


def test_one_device_has_nobody_to_wait_for():
    (step,) = plan.steps(PAPER, SLOW, 20, 1)
    assert step == StepCost("data", 1, 20, compute=2.0, update=0.5, exchange=0, waiting=0, sent=0)
    assert step.seconds == 2.5
    assert step.images_per_s == 8.0


def test_data_parallel_by_hand():
    """21 images on 4 devices: one of them has 6. Each of 8 layers is a ring of 6 messages."""
    step = by_scheme(SLOW, 21, 4)["data"]
    assert step.compute == pytest.approx(0.6)
    assert step.update == 0.5
    assert step.waiting == pytest.approx(8 * 6 * 0.25 + 6 * 4 * P / 4 / 1000)
    assert step.sent == pytest.approx(2 * 3 / 4 * 4 * P)
    assert (step.exchange, step.loading) == (0, 0)


def test_two_columns_by_hand():
    """20 images: each device receives 20 * D/2 numbers before each of four layers, and 20 * D/2 back."""
    step = by_scheme(SLOW, 20, 2)["columns"]
    numbers = 20 * (256 * 13 * 13 + 9216 + 4096 + 4096) / 2
    assert step.compute == pytest.approx(1.0)
    assert step.update == 0.25
    assert step.exchange == pytest.approx(4 * 2 * 0.25 + 2 * 4 * numbers / 1000)
    assert step.sent == pytest.approx(2 * 4 * numbers)
    assert (step.waiting, step.loading) == (0, 0)


def test_pairs_of_columns_by_hand():
    """3 pairs, 20 images: 7 of them a pair. Half of the gradients go round a ring of 3, from each half of the pairs."""
    step = by_scheme(SLOW, 20, 6)["columns x data"]
    numbers = 7 * (256 * 13 * 13 + 9216 + 4096 + 4096) / 2
    assert step.compute == pytest.approx(0.35)
    assert step.exchange == pytest.approx(4 * 2 * 0.25 + 2 * 4 * numbers / 1000)
    assert step.waiting == pytest.approx(8 * 4 * 0.25 + 4 * 4 * P / 2 / 3 / 1000)
    assert step.sent == pytest.approx(2 * 4 * numbers + 2 * 2 / 3 * 4 * P / 2)


def test_one_weird_trick_by_hand():
    """4 devices, 20 images: what fc6, fc7 and fc8 read is gathered, its gradient added up, in 3 messages of a quarter.

    The gradients of the convolutions, 2,334,080 parameters, go round as ever.
    """
    step = by_scheme(SLOW, 20, 4)["one weird trick"]
    read = 4 * 20 * (9216 + 4096 + 4096)
    convolutions = 34_944 + 307_456 + 885_120 + 663_936 + 442_624
    assert step.compute == pytest.approx(0.5)
    assert step.update == pytest.approx(0.5 * (convolutions + (P - convolutions) / 4) / P)
    assert step.exchange == pytest.approx(3 * 2 * 3 * 0.25 + 2 * 3 * read / 4 / 1000)
    assert step.waiting == pytest.approx(5 * 6 * 0.25 + 6 * 4 * convolutions / 4 / 1000)
    assert step.sent == pytest.approx(2 * 3 / 4 * read + 2 * 3 / 4 * 4 * convolutions)


def test_sums_get_on_under_the_backward_pass():
    """Two layers of 192 and 256 multiply-adds; backward the second takes 512, the first, without input gradient, 192.

    1152 multiply-adds in 1.152 s: the second layer's gradients are there after 0.512 s, the first one's after 0.704 s.
    """
    assert [row.multiply_adds for row in SMALL] == [192, 256]
    machine = Machine(rate=1 / 1.152, bandwidth=1000.0, latency=0.0)
    last, first = (machine.sum(4 * row.parameters, 2) for row in reversed(SMALL))  # 0.08 s and 0.064 s
    assert (last, first) == (pytest.approx(0.08), pytest.approx(0.064))
    (one, *_) = plan.steps(SMALL, machine, 2, 2)
    assert one.waiting == pytest.approx(0.064)  # 0.08 s of 0.192 s are hidden
    slow = replace(machine, bandwidth=200.0)  # 0.4 s and 0.32 s: the second sum begins when the first has ended
    (one, *_) = plan.steps(SMALL, slow, 2, 2)
    assert one.waiting == pytest.approx(0.512 + 0.4 + 0.32 - 0.704)
    (one, *_) = plan.steps(SMALL, replace(slow, overlap=False), 2, 2)
    assert one.waiting == pytest.approx(0.4 + 0.32)


def test_a_slow_loader_sets_the_pace():
    """5 images a second for each process: as many processes as devices, but one for each pair of columns."""
    machine = Machine(rate=1e6, loading=5.0)
    for devices, processes in ((1, 1), (4, 4)):
        assert by_scheme(machine, 40, devices)["data"].images_per_s == pytest.approx(5 * processes)
    found = by_scheme(machine, 40, 4)
    assert found["columns x data"].images_per_s == pytest.approx(10)
    assert found["one weird trick"].images_per_s == pytest.approx(20)
    assert by_scheme(replace(machine, rate=1.0), 40, 1)["data"].loading == 0


# ---------------------------------------------------------------- for sense


@pytest.mark.parametrize("devices", [1, 2, 4, 8, 16, 32, 64])
def test_sense(devices):
    machine = Machine(rate=2000.0, update=1e-3)
    for step in plan.steps(PAPER, machine, 128, devices):
        parts = (step.compute, step.update, step.exchange, step.waiting, step.loading)
        assert min(parts) >= 0
        assert 0 < step.images_per_s <= devices * 2000
        (alone,) = plan.steps(PAPER, machine, 128, 1)
        if devices <= 2:
            assert step.images_per_s >= alone.images_per_s
        for better in ({"bandwidth": 25e9}, {"latency": 1e-6}, {"rate": 4000.0}, {"update": 0.0}):
            other = by_scheme(replace(machine, **better), 128, devices)[step.scheme]
            assert other.images_per_s >= step.images_per_s, better
        assert by_scheme(replace(machine, overlap=False), 128, devices)[step.scheme].waiting >= step.waiting


def test_what_limits_each_scheme():
    """Data parallel sends the same bytes however many images; the others send more for more of them."""
    few, many = (by_scheme(SLOW, images, 4) for images in (64, 1024))
    assert few["data"].sent == many["data"].sent > few["one weird trick"].sent
    assert many["one weird trick"].sent > few["one weird trick"].sent
    assert many["columns x data"].sent > few["columns x data"].sent
    perfect = Machine(rate=100.0, bandwidth=math.inf, latency=0)
    for step in by_scheme(perfect, 128, 8).values():
        assert step.images_per_s == pytest.approx(800)


def test_which_ways_there_are():
    def schemes(name, devices):
        return [step.scheme for step in plan.steps(count(variant(name)), SLOW, 128, devices)]

    assert schemes("paper", 1) == ["data"]
    assert schemes("paper", 2) == ["data", "columns", "one weird trick"]
    assert schemes("paper", 3) == ["data", "one weird trick"]
    assert schemes("paper", 4) == ["data", "columns x data", "one weird trick"]
    assert schemes("caffe", 4) == ["data", "one weird trick"]  # its norms look across both columns


@pytest.mark.parametrize(
    ("given", "complaint"),
    [
        ({"rate": 0.0}, "got rate=0 images/s: expected 0.001"),
        ({"rate": math.nan}, "got rate=nan images/s: expected 0.001"),
        ({"bandwidth": -1.0}, "got bandwidth=-1 bytes/s: expected 1 "),
        ({"loading": 0.0}, "got loading=0 images/s: expected 0.001"),
        ({"latency": -1e-6}, "got latency=-1e-06 s: expected 0 "),
        ({"update": math.inf}, "got update=inf s: expected 0 "),
    ],
)
def test_machines_that_there_are_not(given, complaint):
    with pytest.raises(UsageError, match=complaint):
        Machine(**{"rate": 1.0, **given})


def test_too_few_images_or_devices():
    with pytest.raises(UsageError, match="got 3 images for 4 devices: expected 1 or more each; use a larger batch"):
        plan.steps(PAPER, SLOW, 3, 4)
    with pytest.raises(UsageError, match=r"got devices=0: expected 1 \.\.\. 1,000,000"):
        plan.steps(PAPER, SLOW, 3, 0)


# ---------------------------------------------------------------- the command and its picture


def test_the_command(capsys, tmp_path):
    words = "plan --devices 1,2 --rate 1000 --update 2 --bandwidth 1 --latency 50 --batch 100 --out"
    code, out, err = carried_out(capsys, f"{words} {tmp_path / 'new'}")
    assert (code, err) == (0, "")
    rows = {tuple(line.split()[:2]): line.split() for line in out.splitlines()}
    one, two = rows["1", "data"], rows["2", "data"]
    assert one[2:6] == ["100", "980.4", "1.00", "102.00"]
    machine = Machine(1000.0, 2e-3, 1e9, 50e-6)
    step = by_scheme(machine, 100, 2)["data"]
    assert two[3:6] == [f"{step.images_per_s:,.1f}", f"{step.images_per_s / 980.392:.2f}", f"{step.seconds * 1e3:.2f}"]
    assert two[-1] == f"{4 * P / 1e6:.1f}"
    assert "(as given) and updates all parameters in 2.00 ms" in out
    assert [path.name for path in (tmp_path / "new").iterdir()] == ["scaling-paper.png"]


def test_what_is_not_given_is_measured(capsys, tmp_path):
    words = f"plan --variant mini --devices 1,2 --batch 2 --per-device --out {tmp_path}"
    code, out, _ = carried_out(capsys, words)
    assert code == 0
    assert "(measured here)" in out
    assert [line[25:32].strip() for line in out.splitlines() if line[:1].isdecimal()] == ["2", "4", "4", "4"]


@pytest.mark.parametrize(
    ("words", "complaint"),
    [
        ("--devices 0", "got devices=0: expected 1 ... 1,000,000"),
        ("--devices ,", "got no numbers of devices: expected one or more, such as --devices 1,2,4"),
        ("--rate -1", "got rate=-1 images/s: expected 0.001 ... 1e+09"),
        ("--batch 3 --devices 4", "got 3 images for 4 devices: expected 1 or more each; use a larger batch"),
    ],
)
def test_mistakes(capsys, words, complaint):
    assert refused(capsys, f"plan --rate 10 {words}") == f"tinyalex: {complaint}\n"


def test_the_picture():
    machine = Machine(rate=2000.0)
    steps = [step for devices in (1, 2, 4) for step in plan.steps(PAPER, machine, 128, devices)]
    (axes,) = pictures.scaling(steps).axes
    drawn = {line.get_label(): [tuple(point) for point in line.get_xydata()] for line in axes.lines}
    assert drawn["nothing lost"] == [(1, 2000), (2, 4000), (4, 8000)]
    assert [x for x, _ in drawn["data"]] == [1, 2, 4]
    expected = [step.images_per_s for step in steps if step.scheme.startswith("columns")]
    assert [y for _, y in drawn["columns, in pairs from 4 devices on"]] == expected
    with pytest.raises(DataError, match="got no steps"):
        pictures.scaling([])
