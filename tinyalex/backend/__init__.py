"""The array switch: one code for NumPy and CuPy, on devices by name, and faster twins of the definitions.

`dispatch` picks the library and the twin; `devices` knows where arrays lie and copies them; `threads` and `memory`
serve the CPU. `cpu/` and `gpu/` hold the twins: nothing outside this room imports them.
"""

from tinyalex.backend.devices import (
    Array,
    Mark,
    beside,
    device_of,
    device_scope,
    gpu_count,
    gpu_library,
    gpus,
    is_cpu,
    mark,
    new_stream,
    synchronize,
    to_device,
    to_numpy,
    wait_for,
)
from tinyalex.backend.dispatch import (
    computing,
    cpu_kernels,
    get_array_module,
    gpu_kernels,
    kernel,
    kernels_in_use,
    use_kernels,
)
from tinyalex.backend.memory import SMALLEST as SMALLEST_KEPT
from tinyalex.backend.memory import device_in_use
from tinyalex.backend.memory import release as forget_memory
from tinyalex.backend.threads import thread_count, use_threads

__all__ = [
    "SMALLEST_KEPT",
    "Array",
    "Mark",
    "beside",
    "computing",
    "cpu_kernels",
    "device_in_use",
    "device_of",
    "device_scope",
    "forget_memory",
    "get_array_module",
    "gpu_count",
    "gpu_kernels",
    "gpu_library",
    "gpus",
    "is_cpu",
    "kernel",
    "kernels_in_use",
    "mark",
    "new_stream",
    "synchronize",
    "thread_count",
    "to_device",
    "to_numpy",
    "use_kernels",
    "use_threads",
    "wait_for",
]
