"""The count of a GPU kernel's instructions, on PTX written by hand."""

import json
from dataclasses import replace

import pytest

from site_tools import gpu_kernels, gpu_kernels_page, gpu_page
from site_tools.gpu_kernels_page import Ceilings, Line
from site_tools.ptx import kernels
from tinyalex.count import count
from tinyalex.spec import variant

LOOP = """
.visible .entry loop(
	.param .u64 loop_param_0,
	.param .u32 loop_param_1,
	.param .f32 loop_param_2
)
{
	.reg .pred 	%p<3>;

	ld.param.u32 	%r1, [loop_param_1];
	ld.param.f32 	%f1, [loop_param_2];
	mov.u32 	%r2, %tid.x;
	setp.ge.s32 	%p1, %r2, %r1;
	@%p1 bra 	$L__BB0_2;

$L__BB0_1:
	mov.u32 	%r3, %ntid.x;
	add.s32 	%r2, %r2, %r3;
	setp.lt.s32 	%p2, %r2, %r1;
	@%p2 bra 	$L__BB0_1;

$L__BB0_2:
	setp.neu.f32 	%p3, %f1, 0f3F400000;
	@!%p3 bra 	$L__BB0_3;
	add.f32 	%f2, %f1, %f1;
	sub.s32 	%r4, 0, 1;
	shr.u32 	%r5, %r4, 31;
	setp.ne.s32 	%p4, %r5, 1;
	@%p4 bra 	$L__BB0_1;
$L__BB0_3:
	ret;
}
"""


@pytest.mark.parametrize(
    ("thread", "count", "beta", "expected"),
    [
        (7, 7, 0.75, 5 + 2 + 1),  # nothing to do in the loop
        (6, 7, 0.75, 5 + 4 + 2 + 1),
        (0, 17, 0.75, 5 + 3 * 4 + 2 + 1),  # 0, 8 and 16
        (0, 17, 0.5, 5 + 3 * 4 + 2 + 5 + 1),
    ],
)
def test_executed_instructions(thread, count, beta, expected):
    ((name, kernel),) = kernels(LOOP)
    assert name == "loop"
    assert kernel.length == 17
    assert kernel.parameters == [f"loop_param_{number}" for number in range(3)]
    values = {"loop_param_1": count, "loop_param_2": beta, "%tid.x": thread, "%ntid.x": 8}
    assert kernel.executed(values) == expected


def test_the_launches_of_the_papers_net():
    """Each kernel for each layer that has it; what it reads and writes, by hand for conv2 and pool1."""
    found = {(one.kernel, one.layer): one for one in gpu_kernels.launches(count(variant("paper")), 2)}
    assert len(found) == 5 * 5 + 3 * 2 + 2 * 2 + 2 * 3 + 3
    assert sum(one.kernel == "col2im" and one.train for one in found.values()) == 4  # conv1's images need no gradient
    assert found["sgd_update", "all weights"].numbers == 60_965_224
    im2col = found["im2col", "conv2"]
    assert im2col.grid == (2 * 27, 2)
    assert im2col.numbers == 2 * 27 * 27 * 2400
    assert im2col.nbytes == 4 * (2 * 27 * 27 * (2400 + 96))
    assert found["max_pool_forward", "pool1"].nbytes == 2 * 96 * (4 * 55 * 55 + 5 * 27 * 27)


def test_the_page_tells_what_the_files_tell():
    """If this fails: make gpu-kernels after a change of a kernel, make gpu-docs after a new report."""
    page = gpu_kernels_page.PAGE.read_text()
    assert gpu_kernels_page.updated(page) == page


def test_the_counts_are_of_the_launches_of_today():
    """Kernels, layers, numbers and bytes, before and now; if this fails: make gpu-kernels."""
    counts = gpu_kernels_page.read()
    assert counts.keys() == {"before", "now"}
    for N in gpu_kernels.BATCHES:
        launches = gpu_kernels.launches(count(variant("paper")), N)
        expected = [(one.kernel, one.layer, one.numbers, one.nbytes, one.train, one.infer) for one in launches]
        lines = counts["now"][str(N)]
        assert [(one.kernel, one.layer, one.numbers, one.nbytes, one.train, one.infer) for one in lines] == expected
        assert {one.kernel for one in counts["before"][str(N)]} == {one.kernel for one in lines} - {"augment"}


def test_expected_times():
    """The longer of instructions and bytes, for each launch; products by hand."""
    most = Ceilings(nbytes=1e9, operations=1e12)
    instructions_of_1_ms = gpu_kernels_page.PER_SECOND / 1000
    line = Line("k", "a", 32, 0, 1, instructions_of_1_ms, 3_000_000, train=2, infer=0)
    other = replace(line, instructions=5 * instructions_of_1_ms, train=1, infer=1)
    assert gpu_kernels_page.times([line, other], "train", most) == pytest.approx((7, 9, 11))
    assert gpu_kernels_page.times([line, other], "infer", most) == pytest.approx((5, 3, 5))
    rows = [row.multiply_adds for row in count(variant("paper"))]
    assert gpu_kernels_page.of_products("infer", 10, most) == pytest.approx(20 * sum(rows) / 1e9)
    assert gpu_kernels_page.of_products("train", 10, most) == pytest.approx(20 * (3 * sum(rows) - 105_415_200) / 1e9)


def test_ceilings_and_measured_times_come_from_the_report():
    """im2col's measured time is the profile's; a copy twice as fast doubles the ceiling."""
    counts, report = gpu_kernels_page.read(), gpu_page.read_report()
    most = gpu_kernels_page.ceilings(report)
    (found,) = [
        row for row in gpu_kernels_page.of_a_step(counts, report, most, "train", 512) if row["kernel"] == "`im2col`"
    ]
    measured = gpu_kernels_page.rows_of(report, 5)["train 512: im2col"]["ms"]
    assert found["measured"] == f"{measured:.2f}"
    changed = json.loads(json.dumps(report))
    gpu_kernels_page.rows_of(changed, 4)["copy on the GPU"]["GB/s"] *= 2
    assert gpu_kernels_page.ceilings(changed) == (2 * most.nbytes, most.operations)


def test_a_missing_compiler_is_told_in_one_line(monkeypatch):
    monkeypatch.setattr(gpu_kernels.shutil, "which", lambda _name: None)
    monkeypatch.setattr(gpu_kernels.sys, "path", [])
    with pytest.raises(SystemExit, match=r"found no nvcc: expected it on the PATH or in a wheel; do .*pip install"):
        gpu_kernels.tool("nvcc")
