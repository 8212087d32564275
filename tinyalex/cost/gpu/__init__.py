"""The steps of the report on a GPU (`python -m tinyalex.cost.gpu_report`).

`steps` lists them. A step is a generator of rows, as in `rows`; `one_step` runs one of them in a process of its own.
"""
