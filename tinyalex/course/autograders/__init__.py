"""Assignments for other programs that mark them: Gradescope and Otter."""
