"""Products of matrices by cuBLAS, read and written where they lie; those of several groups in one call.

`cupy.matmul` would copy operands that are part of larger matrices, and its product of several matrices at once knows
no TF32. cuBLAS takes any matrix whose rows, or whose columns, are contiguous.
"""

from typing import Any

import numpy as np

from tinyalex.backend.gpu.launch import Array, cupy
from tinyalex.backend.library import uses_tf32

FACTORS = {dtype: np.array([0, 1], dtype) for dtype in ("float32", "float64")}  # what cuBLAS multiplies results by


def multiply(a: Array, b: Array, out: Array, *, add: bool = False) -> None:
    """out[g] = a[g] @ b[g] for each group g; with `add`, out[g] += a[g] @ b[g].

    a (G, M, K), b (G, K, N), out (G, M, N), all of one dtype. Any of them may be a view, as long as the rows or the
    columns of its matrices are contiguous; those of `out` the rows.   2*G*M*N*K operations, in TF32 as CuPy decides it:
    if CUPY_TF32 is 1.
    """
    (groups, M, K), N = a.shape, b.shape[2]
    if 0 in (groups, M, N, K):
        return
    cuda = cupy().cuda
    cublas, dtype = cuda.cublas, out.dtype.name
    kind = {"float32": cuda.runtime.CUDA_R_32F, "float64": cuda.runtime.CUDA_R_64F}[dtype]
    zero, one = FACTORS[dtype].ctypes.data, FACTORS[dtype][1:].ctypes.data
    (a_flipped, *a_lies), (b_flipped, *b_lies), (out_flipped, *out_lies) = _layout(a), _layout(b), _layout(out)
    if out_flipped:
        raise ValueError(f"multiply: out has strides {out.strides}: expected contiguous rows")
    # cuBLAS counts along columns first, so that it sees every matrix transposed: out' = b' a'
    cublas.gemmStridedBatchedEx(
        *(cuda.get_cublas_handle(), b_flipped, a_flipped, N, M, K),
        *(one, b.data.ptr, kind, *b_lies),
        *(a.data.ptr, kind, *a_lies),
        *(one if add else zero, out.data.ptr, kind, *out_lies),
        *(groups, compute_type(cublas, dtype), cublas.CUBLAS_GEMM_DEFAULT_TENSOR_OP),
    )


def compute_type(cublas: Any, dtype: str) -> int:
    """How cuBLAS computes products of `dtype`: in TF32 if CuPy would."""
    if dtype == "float64":
        return int(cublas.CUBLAS_COMPUTE_64F)
    return int(cublas.CUBLAS_COMPUTE_32F_FAST_TF32 if uses_tf32() else cublas.CUBLAS_COMPUTE_32F)


def _layout(matrices: Array) -> tuple[int, int, int]:
    """(is its transpose in rows?, numbers from row to row, numbers from matrix to matrix) of an array (G, rows, cols).

    A matrix whose rows are contiguous is not flipped, one whose columns are is.
    """
    between, row, col = (stride // matrices.itemsize for stride in matrices.strides)
    _, rows, cols = matrices.shape
    if col == 1 or cols == 1:
        return 0, max(row, cols), between
    if row == 1 or rows == 1:
        return 1, max(col, rows), between
    raise ValueError(f"multiply: got strides {matrices.strides}: expected contiguous rows or columns")
