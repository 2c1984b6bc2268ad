"""Run as a script: a notebook's kernel that serves a cluster, until its standard input ends.

Its arguments are the scheduler's address, and the user and password of the demo. Prints the pickled
credential in hexadecimal digits.
"""

from __future__ import annotations

import pickle
import sys

import nbauth
from tests.kernel.redirects import until


def sign_in(user: str, password: str) -> None:
    """Sign in to the demo, as the person would."""
    nbauth.configure(attended=True)
    attempt = nbauth.login("User.Read", flow="password", background=True, login_hint=user)
    assert isinstance(attempt, nbauth.SignIn)
    until(lambda: getattr(attempt.step, "attempt", 0) == 1)
    attempt.enter(user, password)
    attempt.wait(20)


def main(scheduler: str, user: str, password: str) -> None:
    from distributed import Client

    from nbauth.adapters.dask import serve

    sign_in(user, password)
    with Client(scheduler, set_as_default=False) as client:
        serve(client)
        print(pickle.dumps(nbauth.credential()).hex(), flush=True)
        sys.stdin.read()


if __name__ == "__main__":
    main(*sys.argv[1:])
