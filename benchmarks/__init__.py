"""Compares nbauth with its peers, in one process tree: ``python -m benchmarks``.

On a shared machine the times vary; the ratios are what counts.
"""
