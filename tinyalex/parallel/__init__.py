"""Data parallel training: ranks over MPI, and the staging of a GPU's gradients."""
