"""The measurements of docs/scaling.md: what they print of what was measured, without measuring it here."""

import pytest

from tinyalex.cost import measured_scaling
from tinyalex.cost.scaling import Machine, steps
from tinyalex.count import count
from tinyalex.errors import UsageError
from tinyalex.spec import variant

SPEEDS = {"one core": 100.0, "two cores, one device": 200.0, "two columns": 150.0, "two ranks": 180.0}


def test_what_it_prints(capsys, monkeypatch):
    """Of several rounds the best speeds count, and the median of the waiting."""
    rounds = iter([0.5, 1.0])

    def measure(setup, name, batch):
        assert (name, batch) == ("mini", 32)
        factor = next(rounds) if setup.name == "one core" else 1.0
        return {"images_per_s": factor * SPEEDS[setup.name], "waiting_share": 0.1}

    monkeypatch.setattr(measured_scaling, "measure", measure)
    monkeypatch.setattr(measured_scaling, "measure_one_core", lambda *_: (110.0, 0.01))
    monkeypatch.setattr(measured_scaling, "measure_all_reduce", lambda: (2e9, 1e-5))
    assert measured_scaling.main(["--variant", "mini", "--batch", "32", "--rounds", "2"]) == 0
    out = capsys.readouterr().out
    head, *rest = out.splitlines()
    assert head == "mini, 32 images a step; one core: 110.0 images/s, update 10.0 ms; all-reduce: 2.00 GB/s, 10.0 us"
    for name, speed in SPEEDS.items():
        assert f"{name:<24}{speed:>9.1f} images/s{speed / 200:>8.2f} of one device" in rest
    assert "two ranks wait 10.0% of the time" in rest
    machine = Machine(110.0, 0.01, 2e9, 1e-5, overlap=False)
    data = steps(count(variant("mini"), 10), machine, 32, 2)[0].images_per_s
    assert f"predicted data      sums after it                 {data:>9.1f} images/s, {data / 180 - 1:+.0%}" in rest


def test_programs_that_fail(monkeypatch, tmp_path):
    assert measured_scaling.output_of(["-c", "print(3)"]) == "3\n"
    with pytest.raises(UsageError, match=r"got the exit status 1 from .*: ValueError: no$"):
        measured_scaling.output_of(["-c", "raise ValueError('no')"])
    monkeypatch.setattr(measured_scaling, "MPIEXEC", tmp_path / "mpiexec")
    with pytest.raises(UsageError, match=r"expected an mpiexec; pip install mpi4py mpich"):
        measured_scaling.output_of(["-c", "print(3)"], ranks=2)


@pytest.mark.skipif(not measured_scaling.MPIEXEC.exists(), reason="mpiexec is not installed")
def test_an_all_reduce_is_timed():
    bandwidth, latency = measured_scaling.measure_all_reduce()
    assert bandwidth > 1e6
    assert 0 < latency < 1
