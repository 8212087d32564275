"""The net in OpenVINO, from the file that tinyalex writes. It infers only."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import openvino

if TYPE_CHECKING:
    from collections.abc import Callable

    from tinyalex.cost.engines.child import Task


def build(task: Task) -> Callable[[], Any]:
    """A forward pass of OpenVINO in float32, as everywhere here; it would else round to bfloat16 where it can."""
    core = openvino.Core()
    model = core.read_model(task.folder / "net.onnx")
    images = task.arrays["images"]
    model.reshape(images.shape)
    settings = {
        "INFERENCE_PRECISION_HINT": "f32",
        "INFERENCE_NUM_THREADS": task.threads,
        "PERFORMANCE_HINT": "LATENCY" if task.batch == 1 else "THROUGHPUT",
    }
    request = core.compile_model(model, "CPU", settings).create_infer_request()
    return lambda: request.infer([images])[0]
