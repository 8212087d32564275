"""The paper's experiments, run again on a small net: what varies, what is measured, and what came out.

An experiment is data (`tinyalex.experiments.catalogue`): arms that differ in one thing, and comparisons of two arms.
One runner carries all of them out (`tinyalex.experiments.lab`). A run that several experiments need is trained once.
"""
