"""Runs inside a kernel, in a cell: sign-ins by nbauth and by MSAL, timed alike.

A round gives the seconds from the person's approval to the cell going on, without those that the
token requests of that time took.
"""

from __future__ import annotations

import os
import threading
import time
import webbrowser
from collections.abc import Callable
from typing import Any

import msal
import requests

import nbauth
from benchmarks.person import Person, Redirect

SCOPE = "User.Read"


class Stopwatch:
    """Records when the person approved, and how long token requests took since."""

    def __init__(self) -> None:
        self.approved = 0.0
        self.requests: list[tuple[float, float]] = []
        send = requests.Session.send

        def timed(session: Any, request: Any, **options: Any) -> Any:
            began = time.monotonic()
            try:
                return send(session, request, **options)
            finally:
                if request.url.endswith("/token"):
                    self.requests.append((began, time.monotonic()))

        requests.Session.send = timed  # type: ignore[method-assign]

    def beyond(self) -> float:
        """Seconds since the approval, the last token request's own apart."""
        now = time.monotonic()
        began, ended = self.requests[-1]
        return now - self.approved - (ended - max(began, self.approved))


class Rounds:
    """Sign-ins of one client, one after the other."""

    def __init__(self, demo: dict[str, str], bearer: str = "") -> None:
        self.watch = Stopwatch()
        self.person = Person(demo["user"], demo["password"])
        self._headers = {"Authorization": f"token {bearer}"} if bearer else {}
        nbauth.configure(
            authority=demo["authority"], client_id=demo["client_id"], verify=demo["ca_file"]
        )
        self.msal = msal.PublicClientApplication(
            demo["client_id"],
            authority=demo["authority"],
            instance_discovery=False,
            verify=demo["ca_file"],
        )

    def nbauth(self, flow: str) -> float:
        """One ``%login --flow …``: the cell waits as it does there."""
        sign_in = nbauth.login(SCOPE, flow=flow, background=True, force=True)
        beside(self._come_back_when_asked, sign_in)
        sign_in.wait(60)
        return self.watch.beyond()

    def msal_browser(self) -> float:
        """One ``acquire_token_interactive``."""

        def browse(url: str, *_: object) -> bool:
            beside(self._bring, self.person.approve(url))
            return True

        webbrowser.open = browse
        answer = self.msal.acquire_token_interactive([SCOPE], timeout=60)
        assert "access_token" in answer, answer
        return self.watch.beyond()

    def msal_device(self) -> float:
        """One ``acquire_token_by_device_flow``."""
        flow = self.msal.initiate_device_flow([SCOPE])
        beside(self._approve_device, flow["verification_uri"], flow["user_code"])
        answer = self.msal.acquire_token_by_device_flow(flow)
        assert "access_token" in answer, answer
        return self.watch.beyond()

    def _come_back_when_asked(self, sign_in: Any) -> None:
        while not (sign_in.authorize_url or sign_in.user_code):
            time.sleep(0.01)
        if sign_in.user_code:
            self._approve_device(sign_in.verification_uri, sign_in.user_code)
        else:
            self._bring(self.person.approve(sign_in.authorize_url))

    def _approve_device(self, verification_uri: str, user_code: str) -> None:
        time.sleep(0.35)  # a person's approval does not coincide with a poll
        self.person.approve_device(verification_uri, user_code)
        self.watch.approved = time.monotonic()

    def _bring(self, redirect: Redirect) -> None:
        method, url, form = redirect
        time.sleep(0.2)  # now the cell waits
        with requests.Session() as browser:
            browser.trust_env = False
            self.watch.approved = time.monotonic()
            browser.request(method, url, data=form, headers=self._headers, timeout=60)


def beside(what: Callable[..., None], *given: Any) -> None:
    """Run in a thread, as a browser runs beside the kernel."""
    threading.Thread(target=what, args=given, daemon=True).start()


def public_address(url: str) -> None:
    """Set the callback flow's server address, since no front end reports it."""
    os.environ["JUPYTERHUB_PUBLIC_URL"] = url
