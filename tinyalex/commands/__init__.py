"""What each command of the command line does; `tinyalex.cli` turns words into these calls."""

from tinyalex.commands.looking import check, prepare, summary
from tinyalex.commands.machine import bench, info, plan, warmup
from tinyalex.commands.trained import eval_, predict, step
from tinyalex.commands.training import demo, train

__all__ = [
    "bench",
    "check",
    "demo",
    "eval_",
    "info",
    "plan",
    "predict",
    "prepare",
    "step",
    "summary",
    "train",
    "warmup",
]
