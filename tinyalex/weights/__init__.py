"""Nets in files: our own checkpoints, and the small trained net that comes with the package."""
