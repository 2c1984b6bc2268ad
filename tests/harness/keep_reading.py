"""PYTHONSTARTUP of the tests' ipykernel 7.3: nbauth's mend, before the kernel reads anything.

Without it a few in a hundred page loads would stop one for good, before a test has loaded nbauth
(tests/rigs/test_ipykernel.py shows that in a bare one).
"""

from nbauth.jupyter.ipykernel.wedge import mend

mend(get_ipython().kernel)  # type: ignore[name-defined]  # noqa: F821
del mend
