"""What each command of the command line does; `tinyalex.cli` turns words into these calls."""

from tinyalex.cli.course import assignments, grade
from tinyalex.cli.looking import check, prepare, summary
from tinyalex.cli.machine import bench, info, plan, warmup
from tinyalex.cli.trained import eval_, predict, step
from tinyalex.cli.training import demo, train

__all__ = [
    "assignments",
    "bench",
    "check",
    "demo",
    "eval_",
    "grade",
    "info",
    "plan",
    "predict",
    "prepare",
    "step",
    "summary",
    "train",
    "warmup",
]
