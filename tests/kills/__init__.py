"""Runs and preparations that are killed at random moments, and go on: see docs/reliability.md.

`jobs` has the commands and what they must leave, `runner` kills them and starts them again. `python -m kills` does all.
"""
