"""The comparison with other engines: stand-ins in processes of their own, and the real engines where they are."""

import json
import os
import subprocess
import sys
from dataclasses import replace

import numpy as np
import pytest

from runs import TINY, carried_out, refused
from tinyalex import SGD, AlexNet, spec
from tinyalex.cost import comparison
from tinyalex.cost.comparison import CLOSE, ENGINES, HERE, OWN, Cell, Compared, Engine
from tinyalex.cost.engines import child, own
from tinyalex.cost.engines.task import described, net_of, task_for, write
from tinyalex.count import count
from tinyalex.errors import TinyAlexError, UsageError
from tinyalex.weights import onnx_export

# An engine that needs NumPy only. What it answers depends on the parameters, the images and the labels.
STANDIN = """
import numpy as np


def build(task, wrong=False, crash=False):
    if crash:
        raise RuntimeError("no compiler")
    logits = task.arrays["images"].mean((2, 3)) @ task.arrays["fc8.w"][:, :3].T * (1 + 3e-4 * wrong)
    return lambda: logits if task.mode == "infer" else task.arrays["labels"].mean() + wrong
"""

# Every kind of layer, and every field of one that an engine has to know.
EVERYTHING = replace(
    TINY,
    name="everything",
    layers={
        "conv1": spec.Conv(8, 5, stride=2, pad=1, ceil_mode=True, reads_all=True, initial=spec.Initial(None, bias=0.1)),
        "tanh1": spec.Activation("tanh"),
        "norm1": spec.Norm(alpha=0.5, k=1.0),
        "pool1": spec.Pool(),
        "spatial1": spec.SpatialNorm(alpha=0.7, size=3),
        "conv2": spec.Conv(16, 3, pad=1, initial=spec.Initial(None, bias=0.1)),
        "relu2": spec.Activation(),
        "norm2": spec.Norm(alpha=0.9, k=2.0, size=3, alpha_over_size=True, within_columns=False),
        "pool2": spec.AveragePool(),
        "conv3": spec.Conv(8, 2, initial=spec.Initial(None)),
        "dropout3": spec.Drop("train"),
        "flatten": spec.Flat(),
        "fc6": spec.Full(12, spec.Initial(None)),
        "dropout6": spec.Drop("test"),
        "fc8": spec.Full(None, spec.Initial(None, bias=0.2)),
    },
    input_size=28,
)


@pytest.fixture
def standins(tmp_path, monkeypatch):
    """Engines that are all the stand-in: one that is right, one that is wrong and one that crashes."""
    file = tmp_path / "standin.py"
    file.write_text(STANDIN)
    engines = {
        OWN: Engine(file, "tinyalex"),
        "right": Engine(file, "numpy"),
        "wrong": Engine(file, "numpy", ("wrong",)),
        "crash": Engine(file, "numpy", ("crash",)),
        "infers": Engine(file, "numpy", modes=("infer",)),
        "absent": Engine(file, "no-such-package"),
    }
    monkeypatch.setattr(comparison, "ENGINES", engines)
    monkeypatch.setattr(comparison, "OTHERS", tuple(engines)[1:])
    monkeypatch.setattr(comparison, "SECONDS", 0.0)


def compared(cell, *names, rounds=1):
    return comparison.compare(cell, [OWN, *names], sys.executable, 1, rounds, 1)


# ---------------------------------------------------------------- stand-ins in processes of their own


@pytest.mark.usefixtures("standins")
def test_engines_take_turns():
    found = compared(Cell("mini", "infer", 2), "right", "wrong", "crash", rounds=2)
    assert {name: len(paces) for name, paces in found.rounds.items()} == {OWN: 2, "right": 2}
    assert min(min(paces) for paces in found.rounds.values()) > 0
    assert all(10 < peak < 1000 for peak in found.peaks.values())
    assert found.failed["crash"] == "RuntimeError: no compiler"
    assert found.failed["wrong"].startswith("its logits differ by ")
    assert found.best[0] == "right"


def test_images_a_second(monkeypatch):
    """Of each round; the peak is that of all rounds."""
    runs = iter([0.5, 0.25])
    monkeypatch.setattr(comparison, "_prepare", lambda *_: None)
    monkeypatch.setattr(
        comparison, "_run", lambda *_: {"seconds": (s := next(runs)), "peak_rss_mb": 100 * s, "first": [1.0]}
    )
    found = compared(Cell("mini", "infer", 8), rounds=2)
    assert (found.rounds, found.peaks) == ({OWN: [16.0, 32.0]}, {OWN: 50.0})


@pytest.mark.usefixtures("standins")
def test_losses_are_not_compared():
    """In training each engine draws its own dropout masks."""
    found = compared(Cell("mini", "train", 2), "wrong", "infers")
    assert list(found.rounds) == [OWN, "wrong"]
    assert found.failed == {}


@pytest.mark.usefixtures("standins")
def test_tinyalex_itself_must_not_fail(monkeypatch):
    monkeypatch.setitem(comparison.ENGINES, OWN, comparison.ENGINES["crash"])
    with pytest.raises(TinyAlexError, match=r"mini, infer 2: tinyalex failed \(RuntimeError: no compiler\)"):
        compared(Cell("mini", "infer", 2), "right")


@pytest.mark.parametrize(
    ("cell", "rounds", "complaint"),
    [(Cell("mini", "infer", 0), 1, "batch=0"), (Cell("mini", "infer", 2), 0, "rounds=0")],
)
def test_numbers_below_one(cell, rounds, complaint):
    with pytest.raises(UsageError, match=f"got {complaint}: expected 1 or more"):
        compared(cell, rounds=rounds)


@pytest.mark.usefixtures("standins")
def test_the_command(capsys):
    words = f"bench --variant mini --mode infer --batch 2 --rounds 1 --steps 1 --python {sys.executable}"
    code, out, err = carried_out(capsys, f"{words} --against all --threads 1")
    assert code == 0
    assert f"absent is left out: {sys.executable} has no no-such-package" in err
    first, *lines = out.splitlines()
    assert f"1 threads; numpy {np.__version__}" in first
    rows = [[cell.strip() for cell in line.strip("|").split("|")] for line in lines if line.startswith("|")]
    heading = ["net, mode, batch", "tinyalex", "right", "wrong", "crash", "infers", "against the best"]
    assert rows[0] == rows[3] == heading
    for row in (rows[2], rows[5]):
        assert (row[0], row[3], row[4]) == ("mini, infer 2", "-", "-")
        assert "(right)" in row[-1] or "(infers)" in row[-1]
    assert "mini, infer 2: crash failed: RuntimeError: no compiler" in lines

    code, out, _ = carried_out(capsys, f"{words} --against right,absent --threads 1 --json")
    (line,) = out.splitlines()
    found = json.loads(line)
    assert (found["threads"], found["versions"]["numpy"], found["rounds"]) == (1, np.__version__, 1)
    (cell,) = found["cells"]
    assert (cell["variant"], cell["mode"], cell["batch"], cell["best"]) == ("mini", "infer", 2, "right")
    assert cell["ratio"] == cell["images_per_s"][OWN] / cell["images_per_s"]["right"]


@pytest.mark.usefixtures("standins")
def test_mistakes(capsys):
    assert "got the engine 'tensorflow': expected names out of right, " in refused(capsys, "bench --against tensorflow")
    assert "got --against with --layers" in refused(capsys, "bench --against right --layers")
    assert "got /bin/false: expected a Python" in refused(capsys, "bench --against right --python /bin/false")
    assert "/no/python: No such file" in refused(capsys, "bench --against right --python /no/python")


# ---------------------------------------------------------------- which engines, and the tables


def test_which_engines(monkeypatch):
    names, missing = comparison.chosen(["jax", "torch"], {"torch": "2"}, "PY")
    assert names == [OWN, "torch"]
    assert missing == ["jax is left out: PY has no jax; PY -m pip install jax"]
    names, missing = comparison.chosen(["all"], {"torch": "2", "openvino": "1"}, "PY")
    assert names == [OWN, "torch", "torch-channels-last", "torch-fused", "torch-compile", "openvino"]
    assert [line.split()[0] for line in missing] == ["ort", "jax"]
    monkeypatch.setattr(comparison, "find_spec", lambda _: None)
    assert comparison.chosen(["openvino"], {"openvino": "1"}, "PY") == (
        [OWN],
        ["openvino is left out: tinyalex writes its net by the library onnx; pip install onnx"],
    )


def test_every_engine_has_its_file():
    assert all(engine.file.is_file() for engine in ENGINES.values())


def test_tables():
    """The median of the rounds; the fastest of the others, also where the memory is compared."""
    cell = Cell("paper", "infer", 1)
    rounds = {OWN: [30.0, 60.0, 50.0], "a": [20.0, 25.0, 24.0], "b": [39.0, 41.0, 40.0], "c": [99.0]}
    found = Compared(cell, rounds, {OWN: 400.0, "a": 500.0, "b": 1000.0, "c": 9.0}, {"c": "crashed"})
    assert found.best == ("b", 1.25)
    lines = [" ".join(line.split()) for line in comparison.lines([found], [OWN, "a", "b", "c"])]
    assert lines[2] == "| paper, infer 1 | 50.0 | 24.0 | 40.0 | - | 1.25 (b) |"
    assert lines[-2] == "| paper, infer 1 | 400 | 500 | 1,000 | 9.0 | 0.40 (b) |"
    assert lines[-1] == "paper, infer 1: c failed: crashed"
    alone = Compared(cell, {OWN: [1.0]}, {OWN: None})
    assert alone.best is None
    assert [line.split()[-2] for line in comparison.lines([alone], [OWN])][2] == "-"


# ---------------------------------------------------------------- what an engine is given


def test_a_task_survives_the_file(tmp_path):
    task = task_for(net_of(spec.variant("mini")), "train", 3, 2)
    write(task, tmp_path)
    read = child.read(tmp_path)
    assert (read.variant, read.mode, read.batch, read.threads, read.dropout) == ("mini", "train", 3, 2, 0.5)
    assert [vars(layer) for layer in read.layers] == [vars(layer) for layer in task.layers]
    assert set(read.arrays) == set(task.arrays)
    for name in task.arrays:
        np.testing.assert_array_equal(read.arrays[name], task.arrays[name])


def test_layers_as_data():
    layers = {row.name: described(row) for row in count(spec.PAPER)}
    conv1, norm1, relu1 = layers["conv1"], layers["norm1"], layers["relu1"]
    assert (conv1.type, conv1.size, conv1.stride, conv1.pad, conv1.groups, conv1.past_edge) == ("Conv", 11, 4, 0, 1, 3)
    assert layers["conv2"].groups == norm1.groups == 2
    assert (relu1.type, relu1.kind) == ("Activation", "relu")


def test_our_own_engine_has_the_parameters_and_images_of_the_task():
    net = net_of(spec.variant("mini"))
    task = task_for(net, "infer", 2, 1)
    np.testing.assert_allclose(own.build(task)(), net.forward(task.arrays["images"]), rtol=1e-4, atol=1e-6)


def test_steps_are_timed(monkeypatch):
    """Two steps warm up; then as many as asked for, and more until they take a second."""
    for least, took in ((0.0, [9, 7, 3, 5, 4]), (1.0, [9, 7, 0.5, 0.125, 0.25, 0.125])):
        clock = iter(np.repeat(np.cumsum([0.0, *took]), 2)[1:-1])
        losses = iter(range(10))
        with monkeypatch.context() as patch:
            patch.setattr(child.time, "perf_counter", lambda clock=clock: next(clock))
            found = child.timed(lambda losses=losses: next(losses), "train", 3, least)
        assert (found["seconds"], found["first"], found["last"]) == (np.median(took[2:]), 0, len(took) - 1)
    assert child.timed(lambda: np.ones((2, 3)), "infer", 1, -1.0)["first"] == [1, 1, 1]


# ---------------------------------------------------------------- the real engines

TRAINED = 4  # steps of the real engines, warm-up and all


@pytest.fixture(params=[name for name in ENGINES if name != OWN])
def engine(request):
    """Each engine that the Python in TINYALEX_ENGINES has."""
    python = os.environ.get("TINYALEX_ENGINES")
    if not python:
        pytest.skip("TINYALEX_ENGINES does not name a Python that has other engines")
    names, missing = comparison.chosen([request.param], comparison.installed(python), python)
    if missing:
        pytest.skip(missing[0])
    return python, ENGINES[names[1]]


def answers(engine, net, mode, folder):
    """What a real engine answers first and last."""
    python, at_work = engine
    write(task_for(net, mode, 3, 2), folder)
    if at_work.reads_onnx:
        onnx_export.write(net, folder / "net.onnx")
    words = [python, HERE / "child.py", folder, at_work.file, str(TRAINED - child.WARM_UP), "0", *at_work.options]
    done = subprocess.run(words, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout.splitlines()[-1])
    return np.array(found["first"]), np.array(found["last"])


def test_it_infers_as_we_do(engine, tmp_path):
    net = AlexNet(EVERYTHING, num_classes=7, kernels="reference")
    expected = net.forward(task_for(net, "infer", 3, 2).arrays["images"])[0]
    for found in answers(engine, net, "infer", tmp_path):
        assert np.linalg.norm(found - expected) < CLOSE * np.linalg.norm(expected)


def test_it_trains_as_we_do(engine, tmp_path):
    """The loss after some steps, of a net without dropout, whose masks are random."""
    if "train" not in engine[1].modes:
        pytest.skip("it does not train")
    layers = {name: layer for name, layer in EVERYTHING.layers.items() if not isinstance(layer, spec.Drop)}
    net = AlexNet(replace(EVERYTHING, layers=layers), num_classes=7, kernels="reference")
    first, last = answers(engine, net, "train", tmp_path)
    task, sgd, losses = task_for(net, "train", 3, 2), SGD(net), []
    for _ in range(TRAINED):
        losses.append(net.loss(task.arrays["images"], task.arrays["labels"], train=True))
        net.backward(net.criterion.backward())
        sgd.step()
    assert abs(losses[-1] - losses[0]) > 0.01
    assert (first, last) == pytest.approx((losses[0], losses[-1]), rel=CLOSE)
