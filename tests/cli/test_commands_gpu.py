"""The commands on GPUs: what they compute is what they compute on the CPU, and they say what is there."""

import json
import sys

import numpy as np
import pytest

import standin
from cases import small_net
from runs import TINY, carried_out, working_copy, write_folder
from tinyalex import check_net, cli, record, spec
from tinyalex.backend import device_of, library
from tinyalex.cost import speed as bench
from tinyalex.cost.speed import Bench
from tinyalex.errors import UsageError
from tinyalex.experiments import measures
from tinyalex.experiments.store import Store
from tinyalex.training import report


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    """A folder with `images` and a run of `tiny` on them."""
    place = tmp_path_factory.mktemp("place")
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(spec.VARIANTS, "tiny", TINY)
        patch.setattr(report, "draw_pictures", lambda *_: [])
        patch.chdir(place)
        write_folder(place / "images")
        assert (
            cli.main(
                ["train", "--variant", "tiny", "--data", "images", "--epochs", "2", "--batch", "12", "--out", "cpu"]
            )
            == 0
        )
    return place


@pytest.fixture
def here(place, tmp_path, monkeypatch):
    return working_copy(place, tmp_path, monkeypatch)


def numbers(folder, file="report.json"):
    return json.loads((folder / file).read_text())


@pytest.mark.parametrize("two", [False, True])
def test_train_eval_and_predict(capsys, here, gpu, two):
    devices = ",".join(gpu.two if two else gpu.two[:1])
    words = f"train --variant tiny --data images --epochs 2 --batch 12 --out gpu --devices {devices}"
    assert carried_out(capsys, words)[0] == 0
    there, on_cpu = numbers(here / "gpu"), numbers(here / "cpu")
    assert there["settings"]["devices"] == devices.split(",")
    assert there["train_top1_error"] == on_cpu["train_top1_error"]
    assert carried_out(capsys, f"eval gpu --views ten --devices {devices}")[0] == 0
    assert carried_out(capsys, "eval gpu --views ten --out cpu-eval")[0] == 0
    assert numbers(here / "gpu" / "eval")["loss"] == pytest.approx(numbers(here / "cpu-eval")["loss"], rel=1e-4)
    image = next((here / "images").rglob("*.png"))
    said = [carried_out(capsys, f"predict {image} --checkpoint gpu {word}") for word in (f"--devices {devices}", "")]
    assert [code for code, _, _ in said] == [0, 0]
    assert said[0][1] == said[1][1]


def test_an_experiment_trains_and_measures_there(capsys, here, gpu, monkeypatch):
    monkeypatch.setitem(spec.VARIANTS, "mini", TINY)
    used, computed = set(), measures.probabilities

    def noted(net, *given, **named):
        used.add(net.device)
        return computed(net, *given, **named)

    monkeypatch.setattr(measures, "probabilities", noted)
    words = "experiment crops-and-flips --data images --quick --size 16 --epochs 1"
    assert carried_out(capsys, f"{words} --devices {gpu.two[0]} --out there")[0] == 0
    assert used == {gpu.two[0]}
    assert carried_out(capsys, f"{words} --out here")[0] == 0
    on_gpu, on_cpu = (Store(here / folder) for folder in ("there", "here"))
    assert on_gpu.measured == on_cpu.measured
    errors = [[run.train_errors for run in store.runs.values()] for store in (on_gpu, on_cpu)]
    assert errors[0] == errors[1]


def test_bench(capsys, gpu, monkeypatch, tmp_path):
    monkeypatch.setitem(spec.VARIANTS, "tiny", TINY)
    monkeypatch.setattr(bench, "SIDE", 64)
    monkeypatch.setattr(bench, "GPU_SIDE", 64)
    monkeypatch.setattr(bench, "WEIGHTS", 1 << 10)
    for devices in (gpu.two[0], ",".join(gpu.two)):
        words = f"bench --variant tiny --batch 2 --steps 1 --devices {devices} --layers --json --out {tmp_path}"
        code, out, err = carried_out(capsys, words)
        assert code == 0, err
        found = json.loads(out)
        assert found["devices"] == devices.split(",")
        assert {one["layer"] for one in found["layers"]} == {*TINY.layers, "all"}


def test_the_bench_waits_around_a_step_and_not_within(gpu):
    if not gpu.is_standin:
        pytest.skip("only the stand-in counts what makes the host wait")
    at_work = Bench(TINY, "train", 2, devices=gpu.two)
    assert device_of(at_work._x) == gpu.two[0]
    with standin.unsynchronised() as waited:
        at_work.step()
    assert waited == []
    with standin.unsynchronised() as waited:
        at_work.pace(1)
    assert set(waited) == {"Device.synchronize"}


def test_info_tells_what_there_is(capsys, gpu, monkeypatch):
    code, out, _ = carried_out(capsys, "info")
    assert code == 0
    lines = [line for line in out.splitlines() if line.startswith("GPU ")]
    assert len(lines) == gpu.cupy.cuda.runtime.getDeviceCount()
    if gpu.is_standin:
        monkeypatch.delenv("CUPY_TF32", raising=False)
        standin.unreachable.add(frozenset((0, 2)))
        lines = [line for line in carried_out(capsys, "info")[1].splitlines() if line.startswith("GPU ")]
        told = "Stand-in GPU, 3.0 of 4.0 GiB free, float32 products, CUPY_TF32=0, reaches"
        assert lines[0] == f"GPU          cuda:0 {told} cuda:1 directly"
        assert lines[1] == f"GPU          cuda:1 {told} cuda:0, cuda:2 directly"
        monkeypatch.setenv("CUPY_TF32", "1")
        assert "TF32 products (CUPY_TF32)" in carried_out(capsys, "info")[1]


def test_info_without_a_gpu_or_without_cupy(capsys, monkeypatch):
    for name, module in standin.forget().items():
        monkeypatch.setitem(sys.modules, name, module)
    monkeypatch.setattr(standin.cupy.cuda, "is_available", lambda: False)
    library._check.cache_clear()
    assert "GPU          none (CuPy finds no GPU here: use the device 'cpu')" in carried_out(capsys, "info")[1]
    monkeypatch.setitem(sys.modules, "cupy", None)
    assert "GPU          none (a 'cuda' device needs CuPy: install" in carried_out(capsys, "info")[1]


@pytest.mark.parametrize("two", [False, True])
def test_a_recorded_pass(gpu, two):
    """Every array of it is the one that the CPU computes."""
    place = gpu.two if two else gpu.two[0]
    passes = []
    for devices in (None, place):
        net, x, labels = small_net(seed=1, dtype="float64", devices=devices)
        passes.append(record(net, x, labels))
    for mine, right in zip(*passes, strict=True):
        assert mine.name == right.name
        for key in ("y", "dx"):
            if getattr(right, key) is not None:
                np.testing.assert_allclose(getattr(mine, key), getattr(right, key), rtol=1e-9, atol=1e-12)


def test_gradients_are_checked_on_the_cpu(gpu):
    for place in (gpu.two[0], gpu.two, ("cpu:0", "cpu:1")):
        net, x, labels = small_net(devices=place)
        with pytest.raises(UsageError, match=r"got a net on .*: expected one on the CPU; move it with net.place"):
            check_net(net, x, labels)
