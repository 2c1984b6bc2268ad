"""nbauth's own requests are not those of a class that other code has put into requests."""

from __future__ import annotations

import subprocess
import sys

CODE = """
import requests, requests.sessions

class Caching(requests.Session):
    def send(self, *args, **options):
        raise AssertionError("stored by other code")

requests.Session = requests.sessions.Session = Caching
from nbauth.core.errors import NbAuthError
from nbauth.kernel.calls.authorised_session import AuthorisedSession
from nbauth.oauth.engines.managed_identity import _LocalHttp
from nbauth.oauth.identities import hub
from nbauth.oauth.network import OwnSession, VerifiedSession

for own in (OwnSession, VerifiedSession, AuthorisedSession, _LocalHttp):
    assert Caching not in own.__mro__, own
import os
os.environ |= {"JUPYTERHUB_API_URL": "http://127.0.0.1:9", "JUPYTERHUB_API_TOKEN": "t"}
try:
    hub._auth_state("u")
except NbAuthError as error:
    print(error)
"""


def test_a_class_that_stores_responses_does_not_see_them() -> None:
    """Such a class is there if requests-cache was installed before nbauth was imported."""
    ran = subprocess.run(
        [sys.executable, "-c", CODE], capture_output=True, text=True, timeout=60, check=False
    )
    assert ran.returncode == 0, ran.stderr
    assert "hub" in ran.stdout
