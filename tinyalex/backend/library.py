"""CuPy, the library for arrays on a GPU: imported at first use, and what it says of the GPUs here."""

import functools
import os
from typing import Any

from tinyalex.errors import UsageError

INSTALL = "install cupy-cuda12x[ctk] or cupy-cuda13x[ctk]"  # [ctk]: with the CUDA libraries that CuPy loads


def gpu_library() -> Any:
    """The module `cupy`. Raises UsageError if CuPy, its CUDA libraries, or a GPU is missing."""
    try:
        import cupy
    except ImportError:
        raise UsageError(f"a 'cuda' device needs CuPy: {INSTALL}") from None
    _check(cupy)
    return cupy


@functools.cache  # once for each module: a step asks for the library hundreds of times
def _check(cupy: Any) -> None:
    """Raise UsageError unless there is a GPU, and CuPy loads NVRTC, which compiles, and cuBLAS, which multiplies.

    CuPy can be installed without them, and would load them at the first kernel and the first product. They are loaded
    here so that a missing one is reported at once.
    """
    if not cupy.cuda.is_available():
        raise UsageError("CuPy finds no GPU here: use the device 'cpu'")
    try:
        cupy.cuda.nvrtc.getVersion()
        cupy.cuda.cublas  # noqa: B018, as CuPy imports cuBLAS when this name is first read
    except (ImportError, RuntimeError) as error:
        reason = " ".join(str(error).split())
        raise UsageError(f"CuPy cannot load its CUDA libraries ({reason}): {INSTALL}") from None


def gpu_count() -> int:
    """The number of GPUs. Raises UsageError as `gpu_library` does."""
    return int(gpu_library().cuda.runtime.getDeviceCount())


def uses_tf32() -> bool:
    """Whether CuPy multiplies float32 matrices in TF32. It asks CUPY_TF32 in the same way."""
    return int(os.environ.get("CUPY_TF32", "0")) > 0


def gpus() -> list[str]:
    """One line for each GPU: name, free memory, precision of products, and the GPUs that it can copy to directly.

    If there are no GPUs, the one line says why.
    """
    try:
        cuda, count = gpu_library().cuda, gpu_count()
    except UsageError as error:
        return [f"none ({error})"]
    products = "TF32 products (CUPY_TF32)" if uses_tf32() else "float32 products, CUPY_TF32=0"
    lines = []
    for number in range(count):
        free, total = cuda.Device(number).mem_info
        name = cuda.runtime.getDeviceProperties(number)["name"].decode()
        line = f"cuda:{number} {name}, {free / 2**30:.1f} of {total / 2**30:.1f} GiB free, {products}"
        reached = [f"cuda:{i}" for i in range(count) if i != number and cuda.runtime.deviceCanAccessPeer(number, i)]
        lines.append(line + (f", reaches {', '.join(reached)} directly" if reached else ""))
    return lines
