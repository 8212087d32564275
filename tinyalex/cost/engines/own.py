"""The net in tinyalex itself: what `tinyalex bench` measures."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from tinyalex.cost.speed import Bench

if TYPE_CHECKING:
    from collections.abc import Callable

    from tinyalex.cost.engines.child import Task


def build(task: Task) -> Callable[[], Any]:
    """A step of the bench, whose images and parameters are the task's, as it draws them from the same seeds."""
    return Bench(task.variant, task.mode, task.batch, task.threads).step
