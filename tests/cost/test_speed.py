"""The bench: what it counts for each layer, what it prints, and that it leaves the machine's speed to the machine."""

import itertools
import json
from types import SimpleNamespace

import numpy as np
import pytest
from matplotlib.text import Text

from tinyalex import cli
from tinyalex.cost import pictures, stopwatch
from tinyalex.cost import speed as bench
from tinyalex.cost.speed import Bench, Cost, Roofs
from tinyalex.count import count, total_parameters
from tinyalex.errors import DataError, UsageError
from tinyalex.spec import variant

ROOFS = Roofs(4e9, 1e9)


@pytest.fixture(autouse=True)
def _quick(monkeypatch):
    monkeypatch.setattr(bench, "SIDE", 64)
    monkeypatch.setattr(bench, "GPU_SIDE", 64)
    monkeypatch.setattr(bench, "WEIGHTS", 1 << 10)


@pytest.mark.parametrize("mode", ["train", "infer"])
def test_pace(mode):
    at_work = Bench("mini", mode, 2)
    before = at_work.net.params["fc8.w"].copy()
    pace = at_work.pace(3)
    assert pace.images_per_s >= pace.median_images_per_s > 0
    assert pace.peak_rss_mb is None or 50 < pace.peak_rss_mb < 100_000
    assert np.array_equal(before, at_work.net.params["fc8.w"]) == (mode == "infer")


def test_costs_of_training():
    """Each layer once in each direction: but the ReLU of a convolution takes no time of its own forward."""
    at_work = Bench("mini", "train", 3)
    costs = at_work.costs(1)
    names = list(at_work.net.layers)
    fused = [f"relu{number}" for number in range(1, 6)]
    assert [(cost.layer, cost.direction) for cost in costs] == [
        *((name, "forward") for name in names if name not in fused),
        *((name, "backward") for name in reversed(names)),
        ("all", "update"),
    ]
    assert all(cost.seconds > 0 and cost.operations > 0 and cost.bytes > 0 for cost in costs)


def test_costs_of_inference():
    assert {cost.direction for cost in Bench("mini", "infer", 3).costs(1)} == {"forward"}


def test_what_a_layer_has_to_do():
    """By hand, from the shapes of `mini` for 5 images; 4 bytes a number."""
    rows = {row.name: row for row in count(variant("mini"), 10)}
    image, map1, map2 = 3 * 32 * 32, 32 * 32 * 32, 64 * 16 * 16
    pooled = 32 * 16 * 16
    conv2 = 64 * 16 * 5 * 5 + 64  # weights and biases
    assert bench.layer_work(rows["conv2"], 5) == (
        (5 * 2 * 6_553_600, 4 * (5 * (pooled + map2) + conv2)),
        (5 * 4 * 6_553_600, 4 * (5 * (2 * pooled + map2) + 2 * conv2)),
    )
    assert bench.layer_work(rows["conv1"], 5, input_gradient=False)[1] == (
        5 * 2 * 2_457_600,
        4 * (5 * (image + map1) + 2 * 2_432),
    )
    assert bench.layer_work(rows["norm1"], 5) == ((5 * 16 * map1, 4 * 5 * 2 * map1), (5 * 32 * map1, 4 * 5 * 3 * map1))
    assert bench.layer_work(rows["pool1"], 5) == ((5 * 9 * pooled, 4 * 5 * (map1 + 1.25 * pooled)),) * 2
    assert bench.layer_work(rows["relu1"], 5) == ((5 * map1, 4 * 5 * 2 * map1), (5 * map1, 4 * 5 * 3 * map1))
    assert bench.layer_work(rows["dropout6"], 5) == ((5 * 512, 4 * 5 * 2.25 * 512),) * 2
    assert bench.layer_work(rows["flatten"], 5) == ((5 * 1024, 4 * 5 * 2 * 1024),) * 2
    assert bench.update_work(list(rows.values())) == (6 * 945_354, 20 * 945_354)
    assert total_parameters(list(rows.values())) == 945_354


def test_roofs_are_measured(monkeypatch):
    """Operations and bytes of the product and the update, over the time that each took."""
    clock = iter([0.0, 2.0] * 5 + [0.0, 0.5] * 5)
    monkeypatch.setattr(stopwatch, "time", SimpleNamespace(perf_counter=lambda: next(clock)))
    found = bench.roofs(threads=1)
    assert found == Roofs(2 * 64**3 / 2.0, 20 * 1024 / 0.5)


def test_table():
    text = bench.table([Cost("conv1", "forward", 0.5, 1e9, 1e8), Cost("all", "update", 1.5, 3e8, 3e9)], ROOFS)
    lines = [line.split() for line in text.splitlines()]
    assert ["conv1", "forward", "500.00", "25%", "2.0", "50%", "100.0", "0.2", "20%"] in lines
    assert ["all", "update", "1500.00", "75%", "0.2", "5%", "3000.0", "2.0", "200%"] in lines
    assert ["sum", "2000.00"] in lines
    assert "4 GFLOP/s in a matrix product, 1 GB/s of memory" in text


def test_roofline():
    """A mark for each layer that takes time at its two speeds, and a name where there is room."""
    costs = [
        Cost("conv1", "forward", 0.5, 1e9, 1e8),
        Cost("conv2", "forward", 0.5, 1e9, 1e8),  # the same place: its name moves
        Cost("flatten", "forward", 1e-5, 1e3, 1e4),  # takes no time to speak of
        Cost("all", "update", 0.5, 3e8, 3e9),
    ]
    figure = pictures.roofline(costs, ROOFS)
    forward, backward = figure.axes
    assert [tuple(mark.get_offsets()[0]) for mark in forward.collections] == [(10, 2), (10, 2)]
    assert [tuple(mark.get_offsets()[0]) for mark in backward.collections] == [(0.1, 0.6)]
    (roof,) = forward.lines
    assert roof.get_xydata()[1].tolist() == [4.0, 4.0]  # the ridge: 4 operations a byte, 4 GFLOP/s
    assert {"conv1", "conv2"} <= {text.get_text() for text in forward.texts}
    assert "update" in {text.get_text() for text in backward.texts}
    assert len(pictures.roofline(costs[:2], ROOFS).axes) == 1
    with pytest.raises(DataError, match="got no layers: expected the costs of a net"):
        pictures.roofline([], ROOFS)


def test_no_name_covers_another_nor_a_mark():
    """Layers near each other, near the roofs and near the labels of the roofs, as in a net."""
    places = {"conv1": (9, 3.5), "conv2": (9.5, 3.5), "conv3": (14, 3), "conv4": (4.2, 4.3), "norm1": (0.3, 0.25)}
    costs = [
        Cost(layer, direction, 0.1, speed * 1e8, speed * 1e8 / intensity)
        for direction in ("forward", "backward")
        for layer, (intensity, speed) in places.items()
    ]
    costs += [Cost("all", "update", 0.1, 0.3e8, 1e8), Cost("pool1", "backward", 0.1, 0.26e8, 1e8)]
    figure = pictures.roofline(costs, ROOFS)
    figure.draw_without_rendering()
    for axes in figure.axes:
        texts = {text.get_text(): Text.get_window_extent(text) for text in axes.texts}
        assert len(texts) == len(axes.collections) + 2
        for one, other in itertools.combinations(texts, 2):
            assert not texts[one].overlaps(texts[other]), f"{one} covers {other}"
        for mark in axes.collections:
            middle = axes.transData.transform(mark.get_offsets()[0])
            assert not any(extent.contains(*middle) for extent in texts.values())
        for extent in texts.values():
            assert axes.bbox.x0 < extent.x0 < extent.x1 < axes.bbox.x1


# ---------------------------------------------------------------- the command


def test_the_command_says_how_fast(capsys):
    assert cli.main(["bench", "--variant", "mini", "--mode", "infer", "--batch", "2", "--steps", "1"]) == 0
    assert capsys.readouterr().out.startswith("mini, infer, batch 2: ")


def test_json_is_one_line(capsys, tmp_path):
    words = f"bench --variant mini --batch 2 --steps 1 --threads 1 --json --layers --out {tmp_path / 'new'}"
    assert cli.main(words.split()) == 0
    (line,) = capsys.readouterr().out.splitlines()
    found = json.loads(line)
    assert {"images_per_s", "median_images_per_s", "peak_rss_mb"} <= set(found)
    assert (found["variant"], found["mode"], found["batch"], found["threads"]) == ("mini", "train", 2, 1)
    assert found["layers"][0]["layer"] == "conv1"
    assert [path.name for path in (tmp_path / "new").iterdir()] == ["roofline-mini-train.png"]


def test_layers_are_printed(capsys, tmp_path):
    assert cli.main(f"bench --variant mini --batch 2 --steps 1 --layers --out {tmp_path}".split()) == 0
    out = capsys.readouterr().out
    assert "norm2     backward" in out
    assert f"drawn: {tmp_path / 'roofline-mini-train.png'}" in out


@pytest.mark.parametrize(
    ("words", "complaint"),
    [
        ("--batch 0", "got batch=0: expected 1 or more"),
        ("--steps 0", "got steps=0: expected 1 or more"),
        ("--threads 0", "threads=0: expected a number of threads, 1 or more"),
    ],
)
def test_mistakes(capsys, words, complaint):
    assert cli.main(f"bench --variant mini --batch 2 {words}".split()) == 2
    assert capsys.readouterr().err == f"tinyalex: {complaint}\n"


def test_another_mode():
    with pytest.raises(UsageError, match="got mode='fast': expected 'train' or 'infer'"):
        Bench("mini", "fast", 2)
