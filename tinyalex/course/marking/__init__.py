"""Hand-ins are repaired, run side by side, and marked with nbgrader."""
