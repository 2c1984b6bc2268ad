"""Tests of what other tests depend on: the harness, the provider, faults of other libraries.

None of them is about nbauth. ``make test-rigs`` runs them; CI does so when what they test has
changed (tools/rigs_unchanged.py).
"""
