"""The net in ONNX Runtime, from the file that tinyalex writes. It infers only."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import onnxruntime

if TYPE_CHECKING:
    from collections.abc import Callable

    from tinyalex.cost.engines.child import Task


def build(task: Task) -> Callable[[], Any]:
    """A forward pass of ONNX Runtime, which is told the number of images in advance."""
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = task.threads
    options.add_free_dimension_override_by_name("batch", task.batch)
    path = str(task.folder / "net.onnx")
    session = onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])
    inputs = {"image": task.arrays["images"]}
    return lambda: session.run(None, inputs)[0]
