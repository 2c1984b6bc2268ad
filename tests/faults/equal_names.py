"""Two providers whose accounts have the same user name; each token names its account and scopes.

The text of an access token is ``access-PROVIDER-SUBJECT-SCOPES-NUMBER``.
"""

from __future__ import annotations

import itertools
import os
import random
import threading
import time
from collections.abc import Callable, Iterable, Mapping
from typing import Any, NamedTuple
from urllib.parse import urlsplit
from urllib.request import urlopen

from nbauth.core.scopes import Scopes
from nbauth.core.secret import SecretStr
from nbauth.core.tokens import TokenResponse
from nbauth.oauth.authorities import Authority
from nbauth.oauth.engines.protocol import DeviceCode, PendingAuthorization
from nbauth.testing.engine import PENDING, FakeEngine, refusal, unreachable
from tests.kernel.conftest import redirect

NAME = "ada@example.com"
PROVIDERS = ("work", "idp")
PEOPLE = 3
SCOPES = (("read",), ("write",), ("read", "write"))
WORDS = frozenset({"read", "write"})
ANSWERS_WITHIN = 0.004  # seconds
LIVES = (0.4, 2.0)  # seconds


class Text(NamedTuple):
    """The values in the text of a token."""

    kind: str
    provider: str
    subject: str
    scopes: frozenset[str]

    @classmethod
    def read(cls, text: str) -> Text:
        kind, provider, subject, words, _ = text.split("-")
        return cls(kind, provider, subject, frozenset(words.split("+")))


def authority_of(provider: str) -> str:
    return f"https://{provider}.example"


def subjects_of(provider: str) -> list[str]:
    return [f"{provider}{number}" for number in range(PEOPLE)]


class Provider:
    """The state shared by all engines of one provider: its issued refresh tokens.

    Attributes:
        live: the valid ones, each with its account.
        reused: those that were used again after a rotation.
        refreshes: the number of refreshes.
        asked_by_child: the number of requests from a forked child.
    """

    def __init__(self, name: str) -> None:
        self.name = name
        self.live: dict[str, str] = {}
        self.reused: list[str] = []
        self.refreshes = 0
        self.asked_by_child = 0
        self.numbers = itertools.count(1)
        self.lock = threading.Lock()
        self._spent: set[str] = set()
        self._process = os.getpid()
        os.register_at_fork(after_in_child=self._forked)

    def _forked(self) -> None:
        self.lock = threading.Lock()

    def answers(self) -> None:
        """Wait a moment, so that other threads can run."""
        if os.getpid() != self._process:
            self.asked_by_child += 1
        time.sleep(random.uniform(0, ANSWERS_WITHIN))

    def issue(self, subject: str) -> str:
        token = f"refresh-{self.name}-{subject}-{next(self.numbers)}"
        with self.lock:
            self.live[token] = subject
        return token

    def spend(self, token: str) -> str:
        """Invalidate a refresh token and return its account. Raises if it is not valid."""
        with self.lock:
            self.refreshes += 1
            if token in self._spent:
                self.reused.append(token)
            if token not in self.live:
                raise refusal("invalid_grant")
            self._spent.add(token)
            return self.live.pop(token)


class Engine(FakeEngine):
    """One of a provider's engines."""

    def __init__(self, provider: Provider, authority: Authority, client_id: str) -> None:
        super().__init__(authority, client_id)
        self._provider = provider

    def response(
        self, scopes: Iterable[str], *, user: str | None = None, **changes: Any
    ) -> TokenResponse:
        subject = user or random.choice(subjects_of(self._provider.name))
        words = "+".join(sorted(WORDS & set(scopes))) or "none"
        about = f"{self._provider.name}-{subject}-{words}-{next(self._provider.numbers)}"
        answer: dict[str, Any] = {
            "access_token": SecretStr(f"access-{about}"),
            "expires_in": random.uniform(*LIVES),
            "scopes": tuple(scopes),
            "refresh_token": SecretStr(self._provider.issue(subject)),
            "id_token": SecretStr(f"id-{about}"),
            "id_token_claims": {"sub": subject, "preferred_username": NAME, "name": "Ada"},
        }
        return TokenResponse(**{**answer, **changes})

    def redeem(self, pending: PendingAuthorization, answer: Mapping[str, str]) -> TokenResponse:
        self._provider.answers()
        return self.response(pending.private.scopes, user=answer["code"])

    def poll_device(self, device: DeviceCode) -> TokenResponse:
        self._provider.answers()
        self._misbehave(0.3, PENDING)
        self._misbehave(0.1, refusal("access_denied"), refusal("expired_token"), unreachable())
        return self.response(device.private.scopes)

    def refresh(
        self,
        refresh_token: str,
        scopes: Scopes,
        claims: str | None = None,
        *,
        granted: Iterable[str] = (),
    ) -> TokenResponse:
        self._misbehave(0.05, unreachable())
        self._provider.answers()
        response = self.response(granted, user=self._provider.spend(str(refresh_token)))
        self._provider.answers()
        return response

    def revoke(self, refresh_token: str) -> bool:
        self._provider.answers()
        with self._provider.lock:
            self._provider.live.pop(str(refresh_token), None)
        return True

    def _misbehave(self, share: float, *errors: Exception) -> None:
        if random.random() < share:
            raise random.choice(errors)

    def _called(self, method: str, **arguments: Any) -> Any:
        return None  # a long run would remember too much


class World:
    """Both providers, and the user who signs in on their pages.

    Attributes:
        engines: the number created, and the number of those of a sign-in that are still open.
    """

    def __init__(self) -> None:
        self.providers = {name: Provider(name) for name in PROVIDERS}
        self.people = {
            subject: self._web_ui(subject) for name in PROVIDERS for subject in subjects_of(name)
        }
        self.visits: list[threading.Thread] = []

    def make(self, authority: Authority, client_id: str, **_: Any) -> Engine:
        """An engine; see ``oauth.engines.engine_for``."""
        return Engine(self.providers[self.at(authority.url)], authority, client_id)

    def at(self, address: str) -> str:
        """The provider's name for an address."""
        return str(urlsplit(address).hostname).removesuffix(".example")

    def _web_ui(self, subject: str) -> Callable[[str], str]:
        def web_ui(authorize_url: str) -> str:
            return redirect(authorize_url, code=subject)

        return web_ui

    def visit(self, authorize_url: str) -> None:
        """A browser that signs in any user and is redirected to a listener."""

        def go() -> None:
            subject = random.choice(subjects_of(self.at(authorize_url)))
            try:
                with urlopen(redirect(authorize_url, code=subject), timeout=10) as page:
                    page.read()
            except OSError:  # the sign-in has been cancelled
                pass

        thread = threading.Thread(target=go, name="a browser", daemon=True)
        self.visits = [*filter(threading.Thread.is_alive, self.visits), thread]
        thread.start()
