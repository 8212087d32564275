"""What each command of the command line does; `tinyalex.cli` turns words into these calls."""

from tinyalex.commands.course import assignments, grade
from tinyalex.commands.looking import check, prepare, summary
from tinyalex.commands.machine import bench, info, plan, warmup
from tinyalex.commands.trained import eval_, predict, step
from tinyalex.commands.training import demo, train

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
