"""cuBLAS of the stand-in: products of matrices that are given by bare pointers, as the real one takes them."""

import ctypes
import types

import numpy as np
from numpy.lib.stride_tricks import as_strided

from standin import memory
from standin.cuda import current_device, current_stream

COMPUTE_TYPES = {"float32": (68, 77), "float64": (70,)}  # CUBLAS_COMPUTE_32F, ..._32F_FAST_TF32; 64F
CALLS = []  # the compute type of each product
_kinds = {0: np.dtype("float32"), 1: np.dtype("float64")}  # CUDA_R_32F, CUDA_R_64F


def _gemm(
    handle, transa, transb, m, n, k, alpha, A, Atype, lda, strideA, B, Btype, ldb, strideB,
    beta, C, Ctype, ldc, strideC, batchCount, computeType, algo,
):  # fmt: skip
    """C[i] = alpha op(A[i]) op(B[i]) + beta C[i] for each i, all counted along columns first."""
    assert handle == 100 + current_device(), "a handle of another device"
    assert Atype == Btype == Ctype, "matrices of two dtypes"
    dtype = _kinds[Atype]
    assert computeType in COMPUTE_TYPES[dtype.name], f"compute type {computeType} for {dtype}"
    assert min(m, n, k, batchCount) > 0
    CALLS.append(computeType)
    a, reads_a = _matrices(A, dtype, (k, m) if transa else (m, k), lda, strideA, batchCount)
    b, reads_b = _matrices(B, dtype, (n, k) if transb else (k, n), ldb, strideB, batchCount)
    c, writes = _matrices(C, dtype, (m, n), ldc, strideC, batchCount)
    assert batchCount == 1 or strideC, "all products in one place"
    by, old = (dtype.type(_number(pointer, dtype)) for pointer in (alpha, beta))
    product = by * np.matmul(a.swapaxes(1, 2) if transa else a, b.swapaxes(1, 2) if transb else b)
    assert not any(np.shares_memory(c, one) for one in (a, b)), "a product in place of an operand"
    c[...] = product + old * c if old else product
    reads = [reads_a, reads_b, *([writes] if old else [])]
    current_stream(current_device()).work("gemmStridedBatchedEx", reads, [writes])


def _matrices(pointer, dtype, shape, between_columns, between, count):
    """Matrices (count, rows, columns), counted along columns first, and the memory that they lie in."""
    rows, columns = shape
    assert between_columns >= rows, f"{rows} rows, but columns are {between_columns} numbers apart"
    last = (count - 1) * between + (columns - 1) * between_columns + rows
    where = memory.at(pointer, last * dtype.itemsize, current_device())
    numbers = np.frombuffer((ctypes.c_byte * (last * dtype.itemsize)).from_address(pointer), dtype)
    return as_strided(
        numbers, (count, *shape), [dtype.itemsize * step for step in (between, 1, between_columns)]
    ), where


def _number(pointer, dtype):
    return np.frombuffer((ctypes.c_byte * dtype.itemsize).from_address(pointer), dtype)[0]


def as_module():
    cublas = types.ModuleType("cublas")
    cublas.gemmStridedBatchedEx = _gemm
    cublas.CUBLAS_COMPUTE_32F, cublas.CUBLAS_COMPUTE_32F_FAST_TF32, cublas.CUBLAS_COMPUTE_64F = 68, 77, 70
    cublas.CUBLAS_GEMM_DEFAULT_TENSOR_OP = 99
    return cublas
