"""nbauth and its peers side by side, in one process tree: ``python -m benchmarks``.

Times on a shared machine mean little: read the ratios.
"""
