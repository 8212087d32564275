"""Data parallel training over MPI.

`ranks`: what a rank computes, and sums over all ranks. `failure`: what happens when a rank fails or dies. `masks`: the
ranks' parts of the dropout masks. `staging`: gradients of a GPU on their way to MPI and back.
"""
