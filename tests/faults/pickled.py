"""Run as a script: a pickled credential in real worker processes; prints a report as JSON.

Its arguments are the ``persist`` setting of the sign-in, and the demo's user and password.
"""

from __future__ import annotations

import json
import multiprocessing
import os
import sys
from typing import Any

import joblib

import nbauth
from nbauth.core.errors import NbAuthError
from tests.kernel.redirects import until


def used(credential: Any) -> list[str]:
    """What a worker gets: the length of a token, or an error."""
    try:
        return ["token" if credential.get_token("User.Read").token.count(".") == 2 else "?"]
    except NbAuthError as error:
        return [str(error.code), *error.lines()]


def workers(credential: Any, persist: str) -> dict[str, list[str]]:
    """The result of each kind of worker process."""
    report: dict[str, list[str]] = {}
    for how in ("spawn", "forkserver", "fork")[:: 2 if persist == "memory" else 1]:
        with multiprocessing.get_context(how).Pool(1) as pool:
            report[how] = pool.apply_async(used, (credential,)).get(30)
    (report["loky"],) = joblib.Parallel(n_jobs=2)([joblib.delayed(used)(credential)])
    return report


def main(persist: str, user: str, password: str) -> None:
    nbauth.configure(attended=True)
    sign_in = nbauth.login(
        "User.Read", flow="password", background=True, login_hint=user, persist=persist
    )
    assert isinstance(sign_in, nbauth.SignIn)
    until(lambda: getattr(sign_in.step, "attempt", 0) == 1)
    sign_in.enter(user, password)
    sign_in.wait(20)
    credential = nbauth.credential()
    report = {"own": workers(credential, persist)}
    os.environ["NBAUTH_AUTHORITY"] = "no authority"
    with multiprocessing.get_context("spawn").Pool(1) as pool:
        report["other settings"] = {"spawn": pool.apply_async(used, (credential,)).get(30)}
    print(json.dumps(report))


if __name__ == "__main__":
    main(*sys.argv[1:])
