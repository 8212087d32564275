"""Sums over the rows of a matrix."""

from tinyalex.backend.gpu.launch import Array, block_of, cupy, in_one_piece, small, start

PARTS = 2048  # sums that are computed side by side, before they are added up


def sum_of_rows(dy: Array) -> Array:
    """db: the sum over the rows of dy (rows, C), which is read once: 4 bytes a number.

    CuPy's own sum gives each column to one block of threads: a few columns would leave most of a GPU idle. So there are
    PARTS sums of some rows each first.
    """
    rows, C = dy.shape
    if rows <= PARTS:
        return dy.sum(axis=0)
    parts, block = cupy().empty((PARTS, C), dy.dtype), block_of(C)
    start("sum_of_rows", (-(-PARTS // block[1]),), block, in_one_piece(dy), parts, rows, *small(PARTS, C))
    return parts.sum(axis=0)
