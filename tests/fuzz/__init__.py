"""Damaged files by the thousand, read in processes of their own: see docs/howto/fuzzing.md.

`mutations` damages the bytes of a file, `targets` lists the readers, `worker` is the process that reads, and `runner`
starts it and counts. `python -m fuzz` runs all.
"""
