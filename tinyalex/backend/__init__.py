"""The array switch: one code for NumPy and CuPy, devices by name, and faster twins of the definitions.

`dispatch` chooses the library and the twin. `devices` tells where arrays lie and copies them; all that depends on the
kind of device is in `kinds`. `threads` and `memory` serve the CPU. `cpu/` and `gpu/` hold the twins: no module outside
this room imports them.
"""

from tinyalex.backend.devices import (
    beside,
    device_names,
    device_of,
    device_scope,
    is_cpu,
    new_stream,
    record_event,
    synchronize,
    to_device,
    to_numpy,
    wait_for_events,
)
from tinyalex.backend.dispatch import (
    check_choices,
    computing,
    cpu_kernels,
    get_array_module,
    gpu_kernels,
    kernel,
    kernels_in_use,
    load_kernels,
    use_kernels,
    without_twins,
)
from tinyalex.backend.kinds import Array, Event
from tinyalex.backend.library import gpu_count, gpu_library, gpus, uses_tf32
from tinyalex.backend.memory import SMALLEST_KEPT, device_in_use, forget_memory, without_pools
from tinyalex.backend.threads import thread_count, use_threads

__all__ = [
    "SMALLEST_KEPT",
    "Array",
    "Event",
    "beside",
    "check_choices",
    "computing",
    "cpu_kernels",
    "device_in_use",
    "device_names",
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
    "load_kernels",
    "new_stream",
    "record_event",
    "synchronize",
    "thread_count",
    "to_device",
    "to_numpy",
    "use_kernels",
    "use_threads",
    "uses_tf32",
    "wait_for_events",
    "without_pools",
    "without_twins",
]
