"""The report on a GPU: all steps on the stand-in, what it says without a GPU, and that it cannot pass by accident."""

import importlib.util
import json
import os
import re
import subprocess
import sys
import time
from dataclasses import replace
from types import SimpleNamespace

import pytest

import standin
from pages import ROOT
from site_tools import gpu_page
from tinyalex.backend import gpu as twins
from tinyalex.cost import gpu_report
from tinyalex.cost.gpu import correctness, kernels, one_step, speed, table
from tinyalex.cost.gpu.one_step import NO_GPU, STAND_IN
from tinyalex.cost.gpu.rows import TINY, LeftOutError
from tinyalex.cost.gpu.speed import SHOWN
from tinyalex.cost.gpu.steps import STEPS, Step
from tinyalex.errors import UsageError

STANDIN = ROOT / "tests" / "standin" / "as_cupy"
NOT_KERNELS = {"forget", "simulated_pool", "workspace"}


def report_in(folder):
    return json.loads((folder / "report.json").read_text())


def library(folder, code):
    """A folder with a module `cupy` of this code."""
    folder.mkdir()
    (folder / "cupy.py").write_text(code)
    return folder


# ---------------------------------------------------------------- on the stand-in


@pytest.fixture(scope="module")
def on_the_standin(tmp_path_factory):
    """(exit status, report, page) of the whole report."""
    if standin.host.COMPILER is None:
        pytest.skip("no C++ compiler here to run the kernels of CUDA on the processor")
    out = tmp_path_factory.mktemp("report")
    code = gpu_report.main(["--standin", str(STANDIN), "--out", str(out)])
    return code, report_in(out), (out / "report.md").read_text()


def test_every_step_runs(on_the_standin):
    code, report, page = on_the_standin
    found = {step["number"]: step for step in report["steps"]}
    assert list(found) == list(range(len(STEPS)))
    assert code == 0
    assert {step["where"] for step in report["steps"]} == {STAND_IN}
    for number, step in found.items():
        if number != 3:  # whether compute-sanitizer is here or not
            assert (step["status"], step["said"]) == ("passed", ""), step
    assert all(f"{number} {step.name} | " in page for number, step in enumerate(STEPS))
    assert page.count(STAND_IN) >= len(STEPS)


def test_what_the_steps_find(on_the_standin):
    rows = [{row["what"]: row for row in step["rows"]} for step in on_the_standin[1]["steps"]]
    assert rows[0]["GPU 0"]["is"].startswith("cuda:0 Stand-in GPU")
    assert NOT_KERNELS | set(rows[1]) >= set(twins.__all__)
    assert rows[2]["tests"]["passed"] >= TINY.passed
    assert set(rows[4]) == {"copy on the GPU", "product of 64 x 64, float32", "update of 1,024 weights"}
    slowest = [row["ms"] for what, row in rows[5].items() if re.match("train 2: (?!all of)", what)]
    assert any(what.endswith(" backward") for what in rows[5])
    assert slowest == sorted(slowest, reverse=True)
    assert len(slowest) == SHOWN
    assert slowest[-1] > 0
    for step in (6, 7):
        assert all(rows[step][case]["tinyalex"] > 0 for case in ("train 2", "infer 2"))
        assert all(rows[step][case]["two columns"] > 0 for case in ("train 2", "infer 2"))
    assert "product of 64 x 64, TF32" in rows[7]
    assert 0.9 < rows[8]["one net, 2 images"]["measured / predicted"] < 1.1
    assert rows[9]["2 steps twice, the same bits"]["right"] is True
    assert rows[9]["one net, epochs 2 to 2"]["images/s"] > 0
    assert 0 <= rows[9]["one net, epoch 1"]["waiting for input"] < 1


def test_the_standin_is_not_a_gpu(tmp_path):
    words = ["--steps", "0", "--standin", str(STANDIN), "--out", str(tmp_path)]
    assert gpu_report.main(words) == 0
    assert gpu_report.main([*words, "--required"]) == 1


# ---------------------------------------------------------------- without a GPU


def test_without_a_gpu(tmp_path, capsys, monkeypatch):
    """Every line says so, and it is a failure where a GPU is required."""
    monkeypatch.setenv("PYTHONPATH", str(library(tmp_path / "none", "raise ImportError")))
    words = ["--steps", "0,1,9", "--out", str(tmp_path)]
    assert gpu_report.main(words) == 0
    lines = capsys.readouterr().out.splitlines()[:3]
    assert [line.split(": ", 1)[1].split(", ")[0] for line in lines] == [NO_GPU] * 3
    assert all("a 'cuda' device needs CuPy" in line for line in lines)
    assert [step["status"] for step in report_in(tmp_path)["steps"]] == [NO_GPU] * 3
    assert gpu_report.main([*words, "--required"]) == 1


@pytest.mark.skipif(importlib.util.find_spec("cupy") is not None, reason="CuPy is here")
@pytest.mark.parametrize(("required", "code"), [("0", 0), ("1", 1)])
def test_a_gpu_that_is_required(required, code):
    """The tests that need one are skipped without it, or fail."""
    test = "tests/backend/gpu/test_twins.py::test_no_images"
    run = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-m", "gpu", "-n", "0", "-p", "no:cacheprovider", test],
        env={**os.environ, "TINYALEX_REQUIRE_GPU": required},
        cwd=ROOT,
        capture_output=True,
        text=True,
    )
    assert run.returncode == code, run.stdout
    assert ("TINYALEX_REQUIRE_GPU is 1, and there is no GPU: CuPy is not installed" in run.stdout) == bool(code)


# ---------------------------------------------------------------- what goes wrong costs one step


def test_a_crash(tmp_path):
    crashes = library(tmp_path / "crashes", "import os, signal\nos.kill(os.getpid(), signal.SIGSEGV)")
    assert gpu_report.main(["--steps", "0,1", "--standin", str(crashes), "--out", str(tmp_path)]) == 1
    steps = report_in(tmp_path)["steps"]
    assert [step["status"] for step in steps] == ["failed"] * 2
    assert all(step["said"].startswith("killed by signal 11") for step in steps)


def test_a_step_that_hangs(tmp_path, monkeypatch):
    """It is stopped, with the process that it began."""
    code = """
import subprocess, sys
subprocess.Popen([sys.executable, "-c", "import time; time.sleep(5); open(sys.argv[1], 'w')", __file__ + ".late"])
import time
time.sleep(60)
"""
    hangs = library(tmp_path / "hangs", code)
    monkeypatch.setattr(gpu_report, "STEPS", [replace(STEPS[0], limit=4)])
    began = time.monotonic()
    assert gpu_report.main(["--steps", "0", "--standin", str(hangs), "--out", str(tmp_path)]) == 1
    assert time.monotonic() - began < 30
    (step,) = report_in(tmp_path)["steps"]
    assert step["status"] == "timed out after 4 s"
    time.sleep(2)
    assert not (hangs / "cupy.py.late").exists()


def test_no_time(tmp_path, capsys):
    assert gpu_report.main(["--steps", "0,6", "--budget", "0", "--out", str(tmp_path)]) == 0
    assert "6 beside PyTorch, images/s: left out: no time, 0.0 s (" in capsys.readouterr().out
    assert gpu_report.main(["--steps", "0", "--budget", "0", "--required", "--out", str(tmp_path)]) == 1


@pytest.mark.parametrize("steps", ["99", "0,x", ""])
def test_steps_that_do_not_exist(tmp_path, capsys, steps):
    with pytest.raises(SystemExit):
        gpu_report.main(["--steps", steps, "--out", str(tmp_path)])
    assert f"got {steps!r}: expected 0 ... 9, with commas between them" in capsys.readouterr().err


def wrong(_):
    yield {"what": "a", "right": True}
    yield {"what": "b", "right": False}


def raises(_):
    yield {"what": "a", "first": 1}
    yield {"what": "a", "second": 2}
    raise RuntimeError("out of memory\nat line 7")


def refuses(_):
    yield {"what": "a"}
    raise UsageError("got this: expected that")


def leaves_out(_):
    raise LeftOutError("no such tool")
    yield


def finds_nothing(_):
    yield from ()


@pytest.mark.parametrize(
    ("work", "status", "said", "rows"),
    [
        (wrong, "failed", "wrong: b", 2),
        (raises, "failed", "RuntimeError: out of memory", 1),
        (refuses, "failed", "got this: expected that", 1),
        (leaves_out, "left out", "no such tool", 0),
        (finds_nothing, "failed", "", 0),
    ],
)
def test_how_a_step_ends(tmp_path, monkeypatch, work, status, said, rows):
    monkeypatch.setattr(one_step, "STEPS", [Step("one", work, 1, 1)])
    monkeypatch.setattr(one_step, "where", lambda: "a card")
    assert one_step.run_step(0, TINY, tmp_path / "step.json") == (status == "left out")
    found = json.loads((tmp_path / "step.json").read_text())
    assert (found["where"], found["status"], found["said"], len(found["rows"])) == ("a card", status, said, rows)
    if work is raises:
        assert found["rows"] == [{"what": "a", "first": 1, "second": 2}]  # a line that came in parts


# ---------------------------------------------------------------- the steps' tools


def test_every_kernel_is_in_the_smoke_test():
    assert {function.__name__ for function, _ in kernels.calls(9)} == set(twins.__all__) - NOT_KERNELS


def test_a_kernel_that_is_wrong(monkeypatch):
    for name, module in standin.forget().items():
        monkeypatch.setitem(sys.modules, name, module)
    monkeypatch.setattr(twins, "relu_forward", lambda x: x)
    monkeypatch.setattr(twins, "relu_backward", lambda dy, _: dy * float("nan"))
    found = {row["what"]: row["right"] for row in kernels.every_kernel(9)}
    assert [name for name, right in found.items() if not right] == ["relu_forward", "relu_backward"]


def test_no_file_with_tests_that_need_a_gpu_is_missed():
    """Of pytest's own list of the tests with the mark `gpu`."""
    mentioned = [str(file) for file in sorted((ROOT / "tests").rglob("test_*.py")) if "gpu" in file.read_text()]
    run = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-m", "gpu", "--collect-only", "-n", "0", *mentioned],
        cwd=ROOT,
        capture_output=True,
        text=True,
    )
    collected = [line.split("::")[0] for line in run.stdout.splitlines() if "::" in line]
    assert sorted(set(collected)) == correctness.test_files()
    assert len(collected) >= 200


def test_counts_of_tests():
    lines = ["FAILED a - 3 passed", "= 2 failed, 190 passed, 12 skipped, 301 deselected in 75.31s (0:01:15) ="]
    assert correctness.counted(lines) == {"failed": 2, "passed": 190, "skipped": 12}
    assert correctness.counted(["ERROR: no tests"]) == {}


def test_tests_that_fail(tmp_path, monkeypatch):
    """Each is named at once, and again in no second line; too few that pass are wrong too."""
    (tmp_path / "test_some.py").write_text("""import pytest\n
@pytest.mark.parametrize("n", [1, 2, 3])
def test_one(n):
    assert n < 3
""")
    monkeypatch.setattr(correctness, "ROOT", tmp_path)
    (tmp_path / "tests").mkdir()
    monkeypatch.setattr(correctness, "test_files", lambda: ["test_some.py"])
    for options, passed, right, failed in (((), 2, False, 1), (("-k", "1"), 1, True, 0), (("-k", "1"), 2, False, 0)):
        rows = {row["what"]: row for row in correctness.gpu_tests(replace(TINY, tests=options, passed=passed))}
        assert rows["tests"]["right"] is right
        assert rows["tests"]["failed"] == failed
        assert list(rows) == [*["FAILED test_some.py::test_one[3]"] * failed, "tests"]


@pytest.mark.parametrize(("code", "right"), [(0, True), (9, False)])
def test_memcheck(tmp_path, monkeypatch, code, right):
    """With a program in compute-sanitizer's place that runs what it is told to, and says how it ended."""
    tool = tmp_path / "compute-sanitizer"
    tool.write_text(f'#!/bin/sh\nshift 4\n"$@" || exit 1\necho "========= ERROR SUMMARY: {code} errors"\nexit {code}\n')
    tool.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=os.pathsep)
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(STANDIN), str(ROOT)]))
    assert list(correctness.memcheck(TINY)) == [
        {"what": "memcheck", "said": f"ERROR SUMMARY: {code} errors", "right": right}
    ]


def test_beside_pytorch(monkeypatch):
    """What fails in one program is told in its cell; torch.compile runs as long as there is time."""

    def torch_pace(_rows, mode, _batch, _steps, compiled=False):
        if mode == "infer":
            raise RuntimeError("CUDA out of memory")
        return 50.0 if compiled else 40.0

    monkeypatch.setattr(speed, "why_no_torch", lambda: None)
    monkeypatch.setattr(speed, "own_pace", lambda *given: 10.0 * len(given[-1]))
    monkeypatch.setattr(speed, "torch_pace", torch_pace)
    monkeypatch.setattr(speed, "free_gpu_pools", lambda _: None)
    rows = {}
    for row in speed.comparison(TINY):
        rows[row["what"]] = rows.get(row["what"], {}) | row
    assert rows["train 2"] == {
        "what": "train 2",
        "tinyalex": 10.0,
        "two columns": 20.0,
        "PyTorch": 40.0,
        "right": True,
        "tinyalex / PyTorch": 0.25,
        "torch.compile": 50.0,
    }
    assert rows["infer 2"]["PyTorch"] == "failed: RuntimeError CUDA out of memory"
    assert rows["infer 2"]["right"] is True
    late = replace(TINY, ends=time.monotonic())
    assert [row["torch.compile"] for row in speed.comparison(late) if "torch.compile" in row] == ["no time"] * 2


def test_own_code_that_fails_is_wrong(monkeypatch):
    monkeypatch.setattr(speed, "own_pace", lambda *_: 1 / 0)
    monkeypatch.setattr(speed, "why_no_torch", lambda: "PyTorch is not installed")
    monkeypatch.setattr(speed, "free_gpu_pools", lambda _: None)
    rows = list(speed.comparison(TINY))
    assert [row["right"] for row in rows] == [False, False]
    assert rows[0]["tinyalex"] == "failed: ZeroDivisionError division by zero"


def test_kernels_by_pytorchs_profiler(monkeypatch):
    """Times in microseconds, of all profiled steps; kernels whose long names begin alike are added up."""
    events = [
        SimpleNamespace(key="k" * 60 + "1", count=4, self_device_time_total=3000.0),
        SimpleNamespace(key="k" * 60 + "2", count=2, self_device_time_total=1000.0),
        SimpleNamespace(key="launch", count=9, self_device_time_total=0.0),
    ]

    class Profiler:
        def __init__(self, activities):
            assert activities == ["CUDA", "CPU"]

        def __enter__(self):
            return self

        def __exit__(self, *_):
            pass

        def key_averages(self):
            return events

    fake = SimpleNamespace(profile=Profiler, ProfilerActivity=SimpleNamespace(CUDA="CUDA", CPU="CPU"))
    monkeypatch.setitem(sys.modules, "torch.profiler", fake)
    monkeypatch.setattr(speed, "synchronize", lambda *_: None)
    bench = SimpleNamespace(step=lambda: None)
    assert list(speed.by_kernel(bench, 2)) == [("k" * 60, 2.0, 3.0)]


# ---------------------------------------------------------------- tables and the page


def test_table():
    rows = [{"what": "a|b", "right": True}, {"what": "c", "images/s": 4529.123, "error": 2e-7, "right": False}]
    assert table.table(rows).splitlines() == [
        "| what | right | images/s | error |",
        "| --- | --- | --- | --- |",
        "| a\\|b | yes |  |  |",
        "| c | NO | 4,529 | 2e-07 |",
    ]
    assert [table.cell(value) for value in (0.0, 0.25, 12.345, 123.4, 3, "two\nlines")] == [
        "0",
        "0.25",
        "12.3",
        "123",
        "3",
        "two lines",
    ]


def test_the_page_tells_what_the_file_tells():
    """If this fails: make gpu-docs."""
    page = gpu_page.PAGE.read_text()
    assert gpu_page.updated(page, gpu_page.read_report()) == page


def test_what_the_page_says(tmp_path):
    page = f"before\n{gpu_page.BEGIN}old\n{gpu_page.END}after\n"
    for nothing in (tmp_path / "absent.json", tmp_path / "empty.json"):
        (tmp_path / "empty.json").write_text("\n")
        said = gpu_page.updated(page, gpu_page.read_report(nothing))
        assert said == f"before\n{gpu_page.BEGIN}\n{gpu_page.NOT_YET}\n{gpu_page.END}after\n"
    step = {"number": 6, "name": "six", "status": "passed", "seconds": 3.0, "where": "NVIDIA H200", "said": ""}
    step["date"] = "2026-01-02"
    report = {"steps": [{**step, "rows": [{"what": "train 128", "tinyalex": 4529.0}]}]}
    (tmp_path / "report.json").write_text(json.dumps(report))
    said = gpu_page.updated(page, gpu_page.read_report(tmp_path / "report.json"))
    assert "NVIDIA H200, 2026-01-02: 1 of 1 steps passed." in said
    assert "| train 128 | 4,529 |" in said
    assert "old" not in said
    none = {**step, "where": "", "status": NO_GPU, "rows": []}
    assert gpu_page.NOT_YET in gpu_page.updated(page, {"steps": [none]})
    with pytest.raises(ValueError, match="got a page without the marks"):
        gpu_page.updated("before", None)


def test_several_reports_on_one_page(tmp_path, monkeypatch):
    """Of a step that ran twice the later one counts."""
    monkeypatch.setattr(gpu_page, "REPORT", tmp_path / "all.json")
    monkeypatch.setattr(gpu_page, "PAGE", tmp_path / "page.md")
    gpu_page.PAGE.write_text(gpu_page.BEGIN + gpu_page.END)
    step = {"name": "a", "date": "2026-01-02", "seconds": 3.0, "where": "NVIDIA H200", "said": "", "rows": []}
    files = []
    for name, results in (("first", {0: "passed", 2: "failed"}), ("second", {2: "passed", 1: "passed"})):
        steps = [{**step, "number": number, "status": status} for number, status in results.items()]
        files.append(str(tmp_path / name))
        (tmp_path / name).write_text(json.dumps({"steps": steps}))
    gpu_page.main(files)
    found = json.loads(gpu_page.REPORT.read_text())["steps"]
    assert [(one["number"], one["status"]) for one in found] == [(0, "passed"), (1, "passed"), (2, "passed")]
    assert "NVIDIA H200, 2026-01-02: 3 of 3 steps passed." in gpu_page.PAGE.read_text()
