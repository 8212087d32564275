"""Prepared sets: images scaled and cut once, then kept in a few large files that are fast to read."""
