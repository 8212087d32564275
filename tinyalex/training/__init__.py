"""The training loop, its settings, its scores and its report (sections 5 and 6)."""
