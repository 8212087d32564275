"""The count of a GPU kernel's instructions, on PTX written by hand."""

import pytest

from site_tools import gpu_kernels
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
    assert len(found) == 5 * 5 + 3 * 2 + 2 * 2
    im2col = found["im2col", "conv2"]
    assert im2col.grid == (2 * 27, 2)
    assert im2col.numbers == 2 * 27 * 27 * 2400
    assert im2col.nbytes == 4 * (2 * 27 * 27 * (2400 + 96))
    assert found["max_pool_forward", "pool1"].nbytes == 2 * 96 * (4 * 55 * 55 + 5 * 27 * 27)
