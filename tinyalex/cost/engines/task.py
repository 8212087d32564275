"""A net as plain data, for an engine that knows nothing of tinyalex."""

import json
from dataclasses import asdict
from pathlib import Path
from types import SimpleNamespace

import numpy as np

from tinyalex import spec as nets
from tinyalex.cost.engines.child import Task
from tinyalex.cost.speed import random_images
from tinyalex.count import Row
from tinyalex.net import AlexNet


def net_of(spec: nets.Spec) -> AlexNet:
    """The net that the bench measures, its weights drawn from the same seed."""
    return AlexNet(spec, num_classes=nets.usual_classes(spec))


def task_for(net: AlexNet, mode: str, batch: int, threads: int) -> Task:
    """The task to train the net, or to infer with it, on the bench's random images."""
    images, labels = random_images(net, batch)
    arrays = {"images": images, "labels": labels, **net.params}
    return Task(net.spec.name, mode, batch, threads, [described(row) for row in net.rows], net.dropout, arrays)


def described(row: Row) -> SimpleNamespace:
    """A layer as `Task.layers` holds it."""
    past_edge = row.window.past_edge(*row.in_shape[1:])[0] if row.window else 0  # images and windows are square
    return SimpleNamespace(
        **asdict(row.layer), name=row.name, type=type(row.layer).__name__, groups=row.groups, past_edge=past_edge
    )


def write(task: Task, folder: Path) -> None:
    """Write the task into a folder, from where `child.read` reads it."""
    np.savez(folder / "arrays.npz", **task.arrays)
    words = {name: getattr(task, name) for name in ("variant", "mode", "batch", "threads", "dropout")}
    layers = [vars(layer) for layer in task.layers]
    (folder / "net.json").write_text(json.dumps(words | {"layers": layers}))
