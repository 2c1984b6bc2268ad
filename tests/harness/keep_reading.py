"""PYTHONSTARTUP of the tests' ipykernel 7.3: applies nbauth's fix before the kernel reads anything.

Without it, a few in a hundred page loads stop the kernel before a test has loaded nbauth
(tests/rigs/test_ipykernel.py shows that in a plain kernel).
"""

from nbauth.jupyter.ipykernel.reply_fix import fix_replies

fix_replies(get_ipython().kernel)  # type: ignore[name-defined]  # noqa: F821
del fix_replies
