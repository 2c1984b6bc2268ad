"""The actions of the stress test, and the checks of every token."""

from __future__ import annotations

import faulthandler
import json
import os
import pickle
import random
import time
import traceback
from collections import Counter, deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, NamedTuple

from nbauth.adapters.azure_core import Credential
from nbauth.adapters.bearer import TokenProvider
from nbauth.core.account import Account, AccountKey
from nbauth.core.errors import NbAuthError
from nbauth.core.scopes import Scopes
from nbauth.core.tokens import AuthenticationResult
from nbauth.kernel.bound import Bound
from nbauth.kernel.session import Session
from nbauth.kernel.sign_in.attempt import SignIn
from tests.faults.equal_names import (
    NAME,
    PROVIDERS,
    SCOPES,
    Text,
    World,
    authority_of,
    subjects_of,
)
from tests.faults.hosts import Hosts

CHILD_PATIENCE = 30.0
EXPECTED = frozenset({
    "not_signed_in", "ambiguous_account", "wrong_account", "cancelled", "access_denied",
    "expired_token", "no_connection", "interaction_required", "invalid_grant", "forked_process",
    "consent_required",
})  # fmt: skip
"""Codes of the expected errors."""


class Held(NamedTuple):
    """A long-lived object: the account that it must belong to, and how it is read."""

    key: AccountKey
    scopes: frozenset[str] | None
    read: Callable[[], object]


ADAPTERS: dict[str, Callable[[Bound, Scopes], Callable[[], object]]] = {
    "credential": lambda bound, scopes: lambda: Credential(bound, scopes).get_token().token,
    "provider": TokenProvider,
    "unpickled": lambda bound, scopes: pickle.loads(pickle.dumps(TokenProvider(bound, scopes))),
}


class Acts:
    """All actions; each takes a source of random numbers.

    Attributes:
        wrong: tokens of a wrong account or with wrong scopes.
        unexpected: errors that are not expected.
        refused: the number of expected errors, by code.
        checked: the number of checked tokens.
    """

    def __init__(self, session: Session, world: World) -> None:
        self.session = session
        self.world = world
        self.wrong: list[str] = []
        self.unexpected: list[str] = []
        self.refused: Counter[str] = Counter()
        self.checked = 0
        self.held: deque[Held] = deque(maxlen=60)
        self.hosts = Hosts(self.check)

    # ── what is checked ─────────────────────────────────────────────────────────────────────

    def check(
        self,
        what: str,
        text: object,
        key: AccountKey | None = None,
        scopes: frozenset[str] | None = None,
    ) -> None:
        """Check that a token belongs to an account and has these scopes."""
        self.checked += 1
        read = Text.read(str(text))
        said = (f"https://{read.provider}.example", "notebooks", read.subject)
        if key is not None and said != key:
            self.wrong.append(f"{what}: {said} instead of {tuple(key)}")
        if scopes is not None and not scopes <= read.scopes:
            self.wrong.append(f"{what}: {sorted(read.scopes)} instead of {sorted(scopes)}")

    def check_result(
        self, what: str, result: AuthenticationResult, call: dict[str, Any], asked: Any, words: Any
    ) -> None:
        key = result.account.key
        self.check(what, result.access_token, key, frozenset(words))
        id_token = Text.read(str(result.id_token))
        if (id_token.kind, id_token.subject) != ("id", result.account.home_account_id):
            self.wrong.append(f"{what}: another one's ID token")
        asked = asked.key if isinstance(asked, Account) else asked
        if asked not in (None, key, NAME, key.home_account_id):
            self.wrong.append(f"{what}: {key} instead of {asked}")
        if call.get("authority", key.issuer) != key.issuer:
            self.wrong.append(f"{what}: of {key.issuer} instead of {call}")

    # ── what is done ────────────────────────────────────────────────────────────────────────

    def client(self, rng: random.Random) -> tuple[str, dict[str, Any]]:
        """A provider, and options that select its client."""
        name = rng.choice(PROVIDERS)
        by_address = {"authority": authority_of(name), "client_id": "notebooks"}
        return name, rng.choice([by_address, {**by_address, "profile": name}])

    def whom(self, rng: random.Random, name: str) -> Any:
        """An account, identified in one of the possible ways."""
        known = [a for a in self.session.cache.accounts() if a.authority == authority_of(name)]
        subject = rng.choice(subjects_of(name))
        key = AccountKey(authority_of(name), "notebooks", subject)
        return rng.choice([None, None, subject, subject, key, NAME, *known])

    def login(self, rng: random.Random) -> None:
        name, call = self.client(rng)
        subject = rng.choice(subjects_of(name))
        asked = rng.choice([None, subject])
        self.session.login(
            *rng.choice(SCOPES), account=asked, force=rng.random() < 0.5,
            web_ui=self.world.people[subject], **call,
        )  # fmt: skip

    def login_as_another(self, rng: random.Random) -> None:
        name, call = self.client(rng)
        asked, other = rng.sample(subjects_of(name), 2)
        self.session.login("read", account=asked, web_ui=self.world.people[other], **call)

    def login_by_device(self, rng: random.Random) -> None:
        name, call = self.client(rng)
        asked = self.whom(rng, name)
        flow = rng.choice(["auto", "device"])
        self.session.login(*rng.choice(SCOPES), account=asked, force=True, flow=flow, **call)

    def login_by_browser(self, rng: random.Random) -> None:
        _, call = self.client(rng)
        self.session.login(
            "read", force=True, flow="browser", open_browser=self.world.visit, **call
        )

    def login_in_the_background(self, rng: random.Random) -> None:
        _, call = self.client(rng)
        sign_in = self.session.login("write", force=True, background=True, **call)
        assert isinstance(sign_in, SignIn)
        time.sleep(rng.uniform(0, 0.02))
        if rng.random() < 0.5:
            sign_in.cancel()

    def acquire(self, rng: random.Random) -> None:
        name, call = self.client(rng) if rng.random() < 0.7 else ("work", {})
        words, asked = rng.choice(SCOPES), self.whom(rng, name) if call else None
        result = self.session.acquire(
            *words, account=asked, force_refresh=rng.random() < 0.2,
            interactive=rng.random() < 0.2, **call,
        )  # fmt: skip
        self.check_result("acquire", result, call, asked, words)

    def hold(self, rng: random.Random) -> None:
        """Create a long-lived object."""
        name, call = self.client(rng)
        asked, words = self.whom(rng, name), rng.choice(SCOPES[:2])
        kind = rng.choice(["token", "auth", "session", "httpx", *ADAPTERS])
        if kind in ADAPTERS:
            bound = self.session.bind(asked, interactive=False, **call)
            if bound.key is not None:
                scopes_of = bound.client.scopes(words)
                self.held.append(
                    Held(bound.key, frozenset(words), ADAPTERS[kind](bound, scopes_of))
                )
            return
        if kind == "token":
            token = self.session.token(*words, account=asked, interactive=False, **call)
            self.held.append(Held(token.owner, frozenset(words), lambda: token.value))
            return
        call = {**call, "profile": name}
        scopes = words if rng.random() < 0.5 else ()
        auth = self.session.authorise(*scopes, account=asked, **call)
        auth.bound.interactive = False
        if auth.bound.key is not None:
            read = self.hosts.reads(kind, auth, name)
            self.held.append(Held(auth.bound.key, None, read))

    def read_held(self, rng: random.Random) -> None:
        if self.held:
            self.read("held", rng.choice(list(self.held)))

    def read(self, what: str, held: Held) -> None:
        text = held.read()
        if text is not None:
            self.check(what, text, held.key, held.scopes)

    def logout(self, rng: random.Random) -> None:
        name, call = self.client(rng)
        revoke = rng.random() < 0.3
        what = rng.random()
        if what < 0.1:
            self.session.logout(all=True, revoke=revoke)
        elif what < 0.5:
            self.session.logout(revoke=revoke, **rng.choice([{}, call]))
        else:
            self.session.logout(self.whom(rng, name) or NAME, revoke=revoke, **call)

    def use(self, rng: random.Random) -> None:
        name, call = self.client(rng)
        account = self.session.use(self.whom(rng, name) or NAME, **call)
        if account.authority != authority_of(name):
            self.wrong.append("use: an account of another client")

    def configure(self, rng: random.Random) -> None:
        _, call = self.client(rng)
        self.session.configure(**{"profile": None, "authority": None, "client_id": None, **call})

    def look_around(self, rng: random.Random) -> None:
        for account in self.session.accounts():
            assert account.username == NAME
        for pending in self.session.pending():
            assert pending.message
        self.session.new_cell()

    def fork(self, rng: random.Random) -> None:
        """A child reads its objects; it must not send requests to a provider."""
        read, write = os.pipe()
        pid = os.fork()
        if pid == 0:
            faulthandler.dump_traceback_later(CHILD_PATIENCE, exit=True)
            os.write(write, json.dumps(self._in_child()).encode())
            os._exit(0)
        os.close(write)
        with os.fdopen(read, "rb") as pipe:
            said = pipe.read()
        os.waitpid(pid, 0)
        child = json.loads(said) if said else {"unexpected": ["the child hangs"]}
        self.unexpected += child.get("unexpected", [])
        self.wrong += child.get("wrong", [])
        self.checked += child.get("checked", 0)

    def _in_child(self) -> dict[str, Any]:
        self.wrong, self.unexpected, self.checked = [], [], 0
        for held in list(self.held)[-10:]:
            with self.told("fork"):
                self.read("in a child", held)
        asked = sum(provider.asked_by_child for provider in self.world.providers.values())
        wrong = [*self.wrong, *["a child sent a request to a provider"] * asked]
        return {"wrong": wrong, "unexpected": self.unexpected, "checked": self.checked}

    @contextmanager
    def told(self, what: str) -> Iterator[None]:
        try:
            yield
        except NbAuthError as error:
            self.refused[error.code] += 1
            if error.code not in EXPECTED:
                self.unexpected.append(f"{what}: {error.code}: {traceback.format_exc()}")
        except Exception:
            self.unexpected.append(f"{what}: {traceback.format_exc()}")
